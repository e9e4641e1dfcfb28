"""The examples that a saliency may look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from laconic.errors import UsageError


class Examples(Protocol):
    """What a saliency needs of a task; `laconic.train.Task` has it."""

    def batches(self, split: Literal["train"], *, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets of the training split, in an order that `seed` decides."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar."""
        ...


@dataclass(frozen=True)
class Data:
    """The first `count` training examples in the order of `seed`; never validation or test ones.

    Raises:
        UsageError: `count` is below 1.
    """

    task: Examples
    count: int = 1024
    seed: int = 0
    initial: Mapping[str, Tensor] | None = None
    """The weights before any training, by name, for criteria that compare with them."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError(f"a saliency looks at {self.count} examples; it needs at least 1")

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets, in the task's batches; the last one may be cut.

        Raises:
            UsageError: the task gives no training example, one without a target, or NaN or
                infinity.
        """
        left = self.count
        for inputs, targets in self.task.batches("train", seed=self.seed):
            if not isinstance(targets, Tensor) or (len(inputs) and not len(targets)):
                raise UsageError(
                    "the task has no target (label) for each training example; choose what looks "
                    "at weights alone, such as magnitude, or give the task its labels"
                )
            if not bool(torch.isfinite(inputs).all()):
                raise UsageError("an input of the training examples is NaN or infinite")
            if len(targets):
                yield inputs[:left], targets[:left]
            left -= len(targets)
            if left <= 0:
                return
        if left == self.count:
            raise UsageError("the task gives no training example; there is nothing to score by")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The task's mean loss of a batch."""
        return self.task.loss(outputs, targets)
