"""The fit loop: every stage, every objective, any number of processes."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from laconic.errors import StageError, UsageError
from laconic.represent import description
from laconic.train import checkpoint as checkpoints
from laconic.train.callback import Callback, Moment
from laconic.train.evaluate import placed
from laconic.train.fabric import broadcast_model, check_precision, make_fabric, sum_gradients
from laconic.train.finite import check_gradients, first_not_finite
from laconic.train.objective import Objective, TaskLoss
from laconic.train.optimizers import known, make_optimizer
from laconic.train.schedules import SCHEDULES, Schedule
from laconic.train.task import Task

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class EpochRecord(TypedDict):
    """What one epoch did."""

    epoch: int
    """1 is the first."""
    loss: float
    """Mean over the examples, each step's before its update."""
    learning_rate: float
    """In the epoch's first step."""
    seconds: float
    """For information: no two runs agree in it."""


History = list[EpochRecord]


@dataclass(frozen=True)
class Progress:
    """How far training is, after a step; `step` of `steps` in `epoch` of `epochs`, from 1."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    """Of this step's batch."""
    seconds: float
    """Since this call of `fit` began."""
    resumed_epochs: int = 0
    """Epochs that a checkpoint had done before."""

    @property
    def fraction(self) -> float:
        """The part of all steps that is done, in [0, 1]."""
        return ((self.epoch - 1) * self.steps + self.step) / (self.epochs * self.steps)

    @property
    def seconds_left(self) -> float:
        """An estimate from the mean speed so far.

        Examples:
            >>> Progress(epoch=2, epochs=4, step=5, steps=10, loss=0.1, seconds=3.0).seconds_left
            5.0
        """
        here = self.fraction - self.resumed_epochs / self.epochs
        return self.seconds * (1 - self.fraction) / here


def fit(
    model: nn.Module,
    task: Task,
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    weight_decay: float = 0.0,
    schedule: str = "constant",
    seed: int = 0,
    fabric: Fabric | None = None,
    checkpoint: Path | None = None,
    objective: Objective | None = None,
    callbacks: Sequence[Callback] = (),
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> History:
    """Train `model` on the training split of `task`, in place; chains train as their steps say.

    Everything random comes from `seed` and the epoch's number, so one thread gives the same
    weights bit for bit, whether or not a checkpoint came between. The caller's random state and
    the model's device and mode are left as they were.

    Under ``torchrun`` each process takes every n-th example of every batch, so the batch and the
    loss are those of one process. BatchNorm then normalises by its own slice, and the running
    statistics are those of process 0 (as in DistributedDataParallel), which differs from one
    process; dropout draws differently too.

    Args:
        model: with or without chains.
        task: gives batches and loss; its inputs and targets have the batch as first dimension.
        epochs: how often the training split is seen; 0 does nothing.
        learning_rate: of the first step.
        optimizer: a key of `OPTIMIZERS`.
        weight_decay: for weights of two dimensions or more (see `make_optimizer`).
        schedule: a key of `SCHEDULES`.
        seed: 0 or more.
        fabric: from `make_fabric`; None makes one.
        checkpoint: a file that is written after each epoch. When it exists, training goes on
            after the last epoch in it; it must be visible to all processes.
        objective: what is minimised; None: the task's loss.
        callbacks: act before and after each step, in this order.
        on_progress: called after each step, in process 0.
        options: further arguments of the optimizer, such as ``momentum=0.9``.

    Returns:
        A record for each epoch, those before a resume included.

    Raises:
        UsageError: an argument that cannot be meant, or a task without training batches.
        StageError: the loss or a gradient is no longer finite, or the checkpoint is of another
            training.
        DataError: the checkpoint is damaged.

    Examples:
        >>> from laconic.train.array_task import ArrayTask
        >>> rows, labels = torch.eye(8), torch.arange(8) % 2
        >>> task = ArrayTask(rows, labels, rows, labels, validation_fraction=0.25)
        >>> history = fit(nn.Linear(8, 2), task, epochs=3, learning_rate=0.1)
        >>> [record["epoch"] for record in history], history[2]["loss"] < history[0]["loss"]
        ([1, 2, 3], True)
    """
    if epochs < 0 or seed < 0:
        raise UsageError(f"epochs is {epochs} and seed is {seed}; both must be 0 or more")
    factor = known("schedule", SCHEDULES, schedule)
    made = make_optimizer(model, optimizer, learning_rate, weight_decay, options)
    if epochs == 0:
        return []
    fabric = fabric or make_fabric()
    check_precision(fabric)
    objective = objective or TaskLoss()
    steps = _count_batches(task, seed)
    fingerprint = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "optimizer": optimizer,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "seed": seed,
        "options": options,
        "objective": _described(objective),
        "callbacks": [_described(callback) for callback in callbacks],
        "task": type(task).__qualname__,
        "steps": steps,
        "processes": fabric.world_size,
        "chains": description(model),
    }
    cuda = [fabric.device] if fabric.device.type == "cuda" else []
    with placed(model, fabric.device, training=True), torch.random.fork_rng(cuda):
        broadcast_model(model, fabric)
        history: History = []
        if checkpoint is not None and Path(checkpoint).exists():
            found = checkpoints.load(checkpoint, fingerprint)
            found.restore(model, made)
            history = list(found.history)
        loop = _Loop(
            model, task, objective, made, fabric, factor, learning_rate,
            epochs, steps, seed, len(history), time.perf_counter(), tuple(callbacks), on_progress,
        )  # fmt: skip
        for epoch in range(len(history), epochs):
            history.append(loop.epoch(epoch))
            broadcast_model(model, fabric)
            if checkpoint is not None and fabric.is_global_zero:
                checkpoints.save(checkpoint, model, made, fingerprint, history)
            fabric.barrier()
    return history


def _count_batches(task: Task, seed: int) -> int:
    """Batches of an epoch: the iterator's own length (a DataLoader has one), else by a pass."""
    batches = task.batches("train", seed=_mix(seed, 0))
    steps = operator.length_hint(batches) or sum(1 for _ in batches)
    if steps == 0:
        raise UsageError("the task gives no training batch; there is nothing to train on")
    return steps


def _described(part: Objective | Callback) -> dict[str, Any]:
    return {"kind": type(part).__qualname__, **part.configuration}


def _mix(*numbers: int) -> int:
    """One seed of 63 bits from several numbers, so that neighbours share nothing."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


@dataclass(frozen=True)
class _Loop:
    """The parts of a training, and its steps."""

    model: nn.Module
    task: Task
    objective: Objective
    optimizer: Optimizer
    fabric: Fabric
    factor: Schedule
    learning_rate: float
    epochs: int
    steps: int
    seed: int
    resumed_epochs: int
    started: float
    callbacks: tuple[Callback, ...]
    on_progress: Callable[[Progress], None] | None

    def epoch(self, epoch: int) -> EpochRecord:
        """One pass over the training split; `epoch` counts from 0."""
        began = time.perf_counter()
        torch.manual_seed(_mix(self.seed, epoch, self.fabric.global_rank))
        sum_of_losses, examples = 0.0, 0
        batches = self.task.batches("train", seed=_mix(self.seed, epoch))
        for step, (inputs, targets) in enumerate(batches):
            # A task may give more batches in one epoch than in another.
            done = min(1.0, (epoch + step / self.steps) / self.epochs)
            rate = self.learning_rate * self.factor(done)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            moment = Moment(epoch * self.steps + step, self.epochs * self.steps, epoch, rate)
            for callback in self.callbacks:
                callback.before_step(self.model, moment)
            loss = self.step(inputs, targets)
            if not math.isfinite(loss):
                where = first_not_finite(self.model, self.fabric.to_device(inputs))
                raise StageError(
                    f"epoch {epoch + 1}, step {step + 1}: the loss is {loss}{where}; lower the "
                    f"learning rate ({self.learning_rate:g}), or look for NaN in the data"
                )
            check_gradients(self.model, f"epoch {epoch + 1}, step {step + 1}", self.learning_rate)
            self.optimizer.step()
            for callback in self.callbacks:
                callback.after_step(self.model, moment)
            sum_of_losses += loss * len(targets)
            examples += len(targets)
            self.report(epoch, step, loss)
        if examples == 0:
            raise UsageError(f"epoch {epoch + 1}: the task gives no training example")
        return {
            "epoch": epoch + 1,
            "loss": sum_of_losses / examples,
            "learning_rate": self.learning_rate * self.factor(epoch / self.epochs),
            "seconds": time.perf_counter() - began,
        }

    def step(self, inputs: Tensor, targets: Tensor) -> float:
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
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        return float(sum_gradients(trained, loss.detach(), self.fabric))

    def report(self, epoch: int, step: int, loss: float) -> None:
        """Tell whoever asked, in process 0 alone."""
        if self.on_progress is None or not self.fabric.is_global_zero:
            return
        seconds = time.perf_counter() - self.started
        steps = max(self.steps, step + 1)
        self.on_progress(
            Progress(
                epoch + 1, self.epochs, step + 1, steps, loss, seconds, self.resumed_epochs
            )
        )  # fmt: skip
