"""A task of which a part alone is seen: a few steps between two decisions, a quick score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from laconic.errors import UsageError
from laconic.train.task import Batch, Split, Task


class Shortened:
    """A task that ends early; None leaves a split whole.

    Raises:
        UsageError: a number below 1.

    Examples:
        >>> import torch
        >>> from laconic.train.array_task import ArrayTask
        >>> rows, labels = torch.eye(8), torch.arange(8) % 2
        >>> task = ArrayTask(rows, labels, rows, labels, validation_fraction=0.25, batch_size=2)
        >>> len(list(Shortened(task, train_batches=2).batches("train")))
        2
    """

    def __init__(
        self,
        task: Task,
        train_batches: int | None = None,
        validation_examples: int | None = None,
        test_examples: int | None = None,
    ) -> None:
        self.task = task
        self.train_batches = train_batches
        self.validation_examples = validation_examples
        self.test_examples = test_examples
        self.metric = task.metric
        self.higher_is_better = task.higher_is_better
        for name in ("train_batches", "validation_examples", "test_examples"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise UsageError(f"{name} is {value}; at least 1 is needed")

    @property
    def example_input(self) -> Tensor:
        """The task's."""
        return self.task.example_input

    def batches(self, split: Split, *, seed: int = 0) -> Iterator[Batch]:
        """The task's, the first of them."""
        limits = {"validation": self.validation_examples, "test": self.test_examples}
        examples = limits.get(split)
        batches = self.train_batches if split == "train" else None
        seen = 0
        for number, (inputs, targets) in enumerate(self.task.batches(split, seed=seed), 1):
            left = None if examples is None else examples - seen
            yield inputs[:left], targets[:left]
            seen += len(targets)
            if number == batches or (examples is not None and seen >= examples):
                return

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The task's."""
        return self.task.loss(outputs, targets)

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The task's."""
        return self.task.score(outputs, targets)

    def __getattr__(self, name: str) -> Any:
        if name == "task":  # of an empty copy, on its way
            raise AttributeError(name)
        return getattr(self.task, name)
