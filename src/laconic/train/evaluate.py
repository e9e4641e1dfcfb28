"""The metric of a network on a split."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils import parametrize

from laconic.errors import UsageError
from laconic.train.fabric import make_fabric, total
from laconic.train.task import Split, Task, reported

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@contextmanager
def placed(model: nn.Module, device: torch.device, *, training: bool) -> Iterator[None]:
    """The model on `device`, in training or in eval mode; afterwards both as they were."""
    modes = [(module, module.training) for module in model.modules()]
    first = next(model.parameters(), None)
    home = device if first is None else first.device
    model.to(device).train(training)
    try:
        yield
    finally:
        model.to(home)
        for module, mode in modes:
            module.training = mode


def evaluate(model: nn.Module, task: Task, split: Split, fabric: Fabric | None = None) -> float:
    """The task's metric on a split: the mean of ``task.score`` over all examples, or from it.

    Without gradient, in eval mode; the model is left as it was. With several processes each
    scores its slice of every batch, and all return the same mean.

    Args:
        model: with or without chains.
        task: what to score.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        fabric: from `make_fabric`; None makes one.

    Raises:
        UsageError: the split is empty, or the scores are not one finite number an example.

    Examples:
        >>> from laconic.train.array_task import ArrayTask
        >>> rows, labels = torch.eye(4), torch.arange(4) % 2
        >>> task = ArrayTask(rows, labels, rows, labels, validation_fraction=0.5)
        >>> _ = torch.manual_seed(0)
        >>> evaluate(nn.Linear(4, 2), task, "test") in (0.0, 25.0, 50.0, 75.0, 100.0)
        True
    """
    fabric = fabric or make_fabric()
    rows = slice(fabric.global_rank, None, fabric.world_size)
    # Sum and count in float64: exact for any sensible number of errors.
    sums = torch.zeros(2, dtype=torch.float64, device=fabric.device)
    with placed(model, fabric.device, training=False), torch.no_grad(), parametrize.cached():
        for inputs, targets in task.batches(split):
            if len(targets[rows]) == 0:
                continue
            mine = fabric.to_device(targets[rows])
            scores = task.score(model(fabric.to_device(inputs[rows])), mine)
            if scores.shape != (len(mine),):
                raise UsageError(
                    f"task.score gave the shape {list(scores.shape)} for {len(mine)} examples; "
                    f"it must give one number an example, [{len(mine)}]"
                )
            sums += torch.stack([scores.double().sum(), sums.new_tensor(len(mine))])
    score, count = total(fabric, sums).tolist()
    if count == 0:
        raise UsageError(f"the split {split!r} has no examples; there is nothing to evaluate")
    if not math.isfinite(score):
        raise UsageError(
            f"the task's score on the split {split!r} is {score}: an output of the network or the "
            "score itself is not finite"
        )
    return reported(task, score / count)
