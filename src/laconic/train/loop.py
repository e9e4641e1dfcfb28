"""The steps of a training, in one process or several."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from laconic.errors import StageError, UsageError
from laconic.train.callback import Callback, Moment
from laconic.train.fabric import sum_gradients
from laconic.train.finite import check_gradients, first_not_finite
from laconic.train.objective import Objective
from laconic.train.progress import EpochRecord, Progress
from laconic.train.schedules import Schedule
from laconic.train.task import Batch, Task

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def count_batches(task: Task, seed: int) -> int:
    """Batches of an epoch: the iterator's own length (a DataLoader has one), else by a pass.

    Raises:
        UsageError: there is none.
    """
    batches = task.batches("train", seed=_mix(seed, 0))
    steps = operator.length_hint(batches) or sum(1 for _ in batches)
    if steps == 0:
        raise UsageError("the task gives no training batch; there is nothing to train on")
    return steps


def _mix(*numbers: int) -> int:
    """One seed of 63 bits from several numbers, so that neighbours share nothing."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _with_last(batches: Iterator[Batch]) -> Iterator[tuple[bool, Batch]]:
    """Each batch, and whether it is the last."""
    before = next(batches, None)
    while before is not None:
        after = next(batches, None)
        yield after is None, before
        before = after


class Clock(NamedTuple):
    """What the time left is estimated from."""

    resumed_epochs: int
    """Epochs that a checkpoint had done before."""
    started: float
    """When this call of `fit` began, by `time.perf_counter`."""


@dataclass(frozen=True)
class Loop:
    """The parts of a training, and its steps."""

    model: nn.Module
    task: Task
    objective: Objective
    optimizer: Optimizer
    fabric: Fabric
    factor: Schedule
    learning_rate: float
    clip_norm: float | None
    epochs: int
    steps: int
    """Of an epoch, as the first one has; a task may give more or fewer batches in another."""
    seed: int
    callbacks: tuple[Callback, ...]
    on_progress: Callable[[Progress], None] | None

    def epoch(self, epoch: int, clock: Clock) -> EpochRecord:
        """One pass over the training split; `epoch` counts from 0."""
        began = time.perf_counter()
        torch.manual_seed(_mix(self.seed, epoch, self.fabric.global_rank))
        sum_of_losses, examples = 0.0, 0
        batches = iter(self.task.batches("train", seed=_mix(self.seed, epoch)))
        for step, (is_last, (inputs, targets)) in enumerate(_with_last(batches)):
            loss = self.update(inputs, targets, self.moment(epoch, step, is_last=is_last), step)
            sum_of_losses += loss * len(targets)
            examples += len(targets)
            self.report(epoch, step, loss, clock)
        if examples == 0:
            raise UsageError(f"epoch {epoch + 1}: the task gives no training example")
        return {
            "epoch": epoch + 1,
            "loss": sum_of_losses / examples,
            "learning_rate": self.learning_rate * self.factor(epoch / self.epochs),
            "seconds": time.perf_counter() - began,
        }

    def moment(self, epoch: int, step: int, *, is_last: bool) -> Moment:
        """Where training stands."""
        done = min(1.0, (epoch + step / self.steps) / self.epochs)
        first = epoch * self.steps
        return Moment(
            first + min(step, self.steps),
            first + (self.steps if is_last else min(step + 1, self.steps)),
            self.epochs * self.steps,
            epoch,
            self.learning_rate * self.factor(done),
        )

    def update(self, inputs: Tensor, targets: Tensor, moment: Moment, step: int) -> float:
        """One step of the optimizer, with the callbacks round it; the batch's loss.

        Raises:
            StageError: the loss or a gradient is not finite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = moment.learning_rate
        for callback in self.callbacks:
            callback.before_step(self.model, moment)
        loss = self.gradients(inputs, targets)
        place = f"epoch {moment.epoch + 1}, step {step + 1}"
        if not math.isfinite(loss):
            where = first_not_finite(self.model, self.fabric.to_device(inputs))
            raise StageError(
                f"{place}: the loss is {loss}{where}; lower the learning rate "
                f"({self.learning_rate:g}), or look for NaN in the data"
            )
        check_gradients(self.model, place, self.learning_rate)
        if self.clip_norm is not None:
            # Of the whole batch: the gradients of all processes are summed by now.
            nn.utils.clip_grad_norm_(self.trained(), self.clip_norm)
        self.optimizer.step()
        for callback in self.callbacks:
            callback.after_step(self.model, moment)
        return loss

    def trained(self) -> list[nn.Parameter]:
        """What the optimizer moves."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def gradients(self, inputs: Tensor, targets: Tensor) -> float:
        """The gradients of one batch, summed over all processes, and its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        rows = slice(self.fabric.global_rank, None, self.fabric.world_size)
        mine = self.fabric.to_device((inputs[rows], targets[rows]))
        loss = torch.zeros((), device=self.fabric.device)
        # A process whose slice is empty still takes part in the sum below.
        if len(mine[1]):
            # Cached: each chain is computed once a step, however often its weight is read.
            with parametrize.cached():
                outputs = self.model(mine[0])
                loss = self.objective.loss(self.model, mine[0], outputs, mine[1], self.task)
                if not loss.requires_grad:
                    raise UsageError("the loss depends on no parameter that asks for a gradient")
                # The task's loss is a mean: weighted by its slice it adds up to the batch's.
                loss = loss * (len(mine[1]) / len(targets))
                loss.backward()  # type: ignore[no-untyped-call]
        return float(sum_gradients(self.trained(), loss.detach(), self.fabric))

    def report(self, epoch: int, step: int, loss: float, clock: Clock) -> None:
        """Tell whoever asked, in process 0 alone."""
        if self.on_progress is None or not self.fabric.is_global_zero:
            return
        seconds = time.perf_counter() - clock.started
        steps = max(self.steps, step + 1)
        self.on_progress(
            Progress(
                epoch + 1, self.epochs, step + 1, steps, loss, seconds, clock.resumed_epochs
            )
        )  # fmt: skip
