"""A task for data that fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor
from torch.nn import functional

from laconic.errors import UsageError
from laconic.train.task import Batch, Split

if TYPE_CHECKING:
    from jaxtyping import Float


class ArrayTask:
    """Classification on arrays in memory; subclasses override `loss`, `score` and the metric.

    The validation split is the end of a permutation of the training rows that `split_seed` alone
    fixes: with *n* rows and *v* = round(n · validation_fraction), the last *v* of
    ``torch.randperm(n)`` under that seed. The other rows are the training split. The test split
    is never mixed with either.

    A batch is made in the order store → `augment` (training alone) → `transform`, so the inputs
    may be stored as uint8 and become floats one batch at a time. ``batches("train", seed=s)`` has
    a generator of its own, seeded by ``s``: the batches depend on nothing that ran before, and two
    iterators may be read in turns. The last training batch, possibly smaller, is kept.

    A task knows nothing of processes: when several train together, the fit loop gives each its
    slice of every batch.

    Args:
        train_inputs: training and validation inputs, ``[n, ...]``, any dtype.
        train_targets: their targets, ``[n, ...]``; class numbers of any integer dtype here.
        test_inputs: test inputs, ``[m, ...]``.
        test_targets: their targets.
        validation_fraction: the part of the training rows that is kept for validation, in (0, 1).
        batch_size: examples in a training batch.
        eval_batch_size: examples in a validation or test batch.
        augment: stored inputs of a training batch and a generator → inputs of the same dtype; all
            its randomness must come from that generator.
        transform: (augmented) stored inputs of a batch → what the network sees; None: as stored.
        split_seed: seed of the permutation that sets the validation rows apart.

    Raises:
        UsageError: inputs and targets differ in number, or the fraction leaves a split empty.

    Examples:
        >>> pixels = torch.arange(40, dtype=torch.uint8).reshape(10, 4)
        >>> labels = torch.arange(10) % 2
        >>> task = ArrayTask(pixels, labels, pixels[:2], labels[:2], validation_fraction=0.3,
        ...                  batch_size=4, transform=lambda stored: stored / 255)
        >>> [len(targets) for _, targets in task.batches("train", seed=1)]
        [4, 3]
        >>> next(task.batches("test"))[0].dtype, task.example_input.shape
        (torch.float32, torch.Size([1, 4]))
    """

    metric: str = "error_percent"
    higher_is_better: bool = False

    def __init__(
        self,
        train_inputs: Tensor,
        train_targets: Tensor,
        test_inputs: Tensor,
        test_targets: Tensor,
        *,
        validation_fraction: float = 0.1,
        batch_size: int = 64,
        eval_batch_size: int = 1000,
        augment: Callable[[Tensor, Generator], Tensor] | None = None,
        transform: Callable[[Tensor], Tensor] | None = None,
        split_seed: int = 0,
    ) -> None:
        _check_pairs("train", train_inputs, train_targets)
        _check_pairs("test", test_inputs, test_targets)
        for name, size in [("batch_size", batch_size), ("eval_batch_size", eval_batch_size)]:
            if size < 1:
                raise UsageError(f"{name} is {size}; a batch needs at least 1 example")
        self.train_inputs = train_inputs
        self.train_targets = train_targets
        self.test_inputs = test_inputs
        self.test_targets = test_targets
        self.validation_fraction = validation_fraction
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.augment = augment
        self.transform = transform
        self.split_seed = split_seed
        self._train_rows, self._validation_rows = _split(
            len(train_inputs), validation_fraction, split_seed
        )

    @property
    def example_input(self) -> Tensor:
        """The first training input as the network sees it, shape ``[1, ...]``."""
        return self._seen(self.train_inputs[:1])

    def batches(self, split: Split, *, seed: int = 0) -> Iterator[Batch]:
        """Inputs and targets of a split; see `Task.batches`. `seed` is used by ``train`` alone.

        Raises:
            UsageError: there is no such split.
        """
        if split == "train":
            return self._train_batches(seed)
        if split == "validation":
            return self._fixed_batches(self.train_inputs, self.train_targets, self._validation_rows)
        if split == "test":
            rows = torch.arange(len(self.test_inputs))
            return self._fixed_batches(self.test_inputs, self.test_targets, rows)
        raise UsageError(f"there is no split {split!r}; the splits are train, validation, test")

    def loss(self, outputs: Float[Tensor, "batch classes"], targets: Tensor) -> Tensor:
        """Mean cross entropy, in nats; `outputs` are logits."""
        return functional.cross_entropy(outputs, targets.long())

    def score(
        self, outputs: Float[Tensor, "batch classes"], targets: Tensor
    ) -> Float[Tensor, " batch"]:
        """100 where the largest logit is not the target's, 0 where it is: percent of errors."""
        return 100.0 * (outputs.argmax(1) != targets).float()

    def _seen(self, stored: Tensor) -> Tensor:
        return stored if self.transform is None else self.transform(stored)

    def _train_batches(self, seed: int) -> Iterator[Batch]:
        generator = Generator().manual_seed(seed)
        order = self._train_rows[torch.randperm(len(self._train_rows), generator=generator)]
        for rows in _chunks(order, self.batch_size):
            inputs = self.train_inputs[rows]
            if self.augment is not None:
                inputs = self.augment(inputs, generator)
            yield self._seen(inputs), self.train_targets[rows]

    def _fixed_batches(self, inputs: Tensor, targets: Tensor, order: Tensor) -> Iterator[Batch]:
        for rows in _chunks(order, self.eval_batch_size):
            yield self._seen(inputs[rows]), targets[rows]


def _chunks(rows: Tensor, size: int) -> Iterator[Tensor]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _check_pairs(split: str, inputs: Tensor, targets: Tensor) -> None:
    if len(inputs) != len(targets):
        raise UsageError(
            f"{split}: {len(inputs)} inputs but {len(targets)} targets; give one target an input"
        )
    if len(inputs) == 0:
        raise UsageError(f"{split}: there are no examples; give at least one")


def _split(count: int, validation_fraction: float, split_seed: int) -> tuple[Tensor, Tensor]:
    """Rows of the training and of the validation split; the second in ascending order.

    Ascending, because the order of evaluation says nothing and neighbours in memory are faster.
    """
    validation_count = round(count * validation_fraction)
    if not 0 < validation_count < count:
        raise UsageError(
            f"validation_fraction {validation_fraction} sets {validation_count} of {count} training"
            " examples apart; both splits need at least one, so choose a fraction between 0 and 1"
        )
    order = torch.randperm(count, generator=Generator().manual_seed(split_seed))
    keep = count - validation_count
    return order[:keep], order[keep:].sort().values
