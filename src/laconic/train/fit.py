"""The fit loop: every stage, every objective, any number of processes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from laconic.errors import UsageError
from laconic.quantize.activation import describe_activations
from laconic.represent import description
from laconic.train import checkpoint as checkpoints
from laconic.train.callback import Callback
from laconic.train.evaluate import placed
from laconic.train.fabric import broadcast_model, check_precision, make_fabric
from laconic.train.loop import Clock, Loop, count_batches
from laconic.train.objective import Objective, TaskLoss
from laconic.train.optimizers import known, make_optimizer
from laconic.train.progress import History, Progress
from laconic.train.schedules import SCHEDULES
from laconic.train.task import Task

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def fit(
    model: nn.Module,
    task: Task,
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    weight_decay: float = 0.0,
    schedule: str = "constant",
    clip_norm: float | None = None,
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
        clip_norm: where the norm of all gradients together, of the whole batch, is larger, they
            are scaled down to it (Pascanu, Mikolov, Bengio, arXiv:1211.5063); None leaves them.
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
    check_clip_norm(clip_norm)
    factor = known("schedule", SCHEDULES, schedule)
    made = make_optimizer(model, optimizer, learning_rate, weight_decay, options)
    if epochs == 0:
        return []
    fabric = fabric or make_fabric()
    check_precision(fabric)
    objective = objective or TaskLoss()
    steps = count_batches(task, seed)
    fingerprint = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "optimizer": optimizer,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "clip_norm": clip_norm,
        "seed": seed,
        "options": options,
        "objective": _described(objective),
        "callbacks": [_described(callback) for callback in callbacks],
        "task": type(task).__qualname__,
        "steps": steps,
        "processes": fabric.world_size,
        "chains": description(model),
        "activations": describe_activations(model),
    }
    loop = Loop(
        model, task, objective, made, fabric, factor, learning_rate, clip_norm, epochs, steps,
        seed, tuple(callbacks), on_progress,
    )  # fmt: skip
    cuda = [fabric.device] if fabric.device.type == "cuda" else []
    with placed(model, fabric.device, training=True), torch.random.fork_rng(cuda):
        return _epochs(loop, checkpoint, fingerprint)


def _epochs(loop: Loop, checkpoint: Path | None, fingerprint: dict[str, Any]) -> History:
    """All epochs, or those that a checkpoint lacks; it is written after each."""
    model, fabric = loop.model, loop.fabric
    broadcast_model(model, fabric)
    history: History = []
    if checkpoint is not None and Path(checkpoint).exists():
        found = checkpoints.load(checkpoint, fingerprint)
        found.restore(model, loop.optimizer)
        history = list(found.history)
    clock = Clock(len(history), time.perf_counter())
    for epoch in range(len(history), loop.epochs):
        history.append(loop.epoch(epoch, clock))
        broadcast_model(model, fabric)
        if checkpoint is not None and fabric.is_global_zero:
            checkpoints.save(checkpoint, model, loop.optimizer, fingerprint, history)
        fabric.barrier()
    return history


def check_clip_norm(clip_norm: float | None) -> None:
    """Refuse a norm that no gradient could have.

    Raises:
        UsageError: it is not positive and finite.
    """
    if clip_norm is not None and not (clip_norm > 0 and math.isfinite(clip_norm)):
        raise UsageError(f"clip_norm {clip_norm:g} is not a positive number; 5 is usual of an LSTM")


def _described(part: Objective | Callback) -> dict[str, Any]:
    return {"kind": type(part).__qualname__, **part.configuration}
