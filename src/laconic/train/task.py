"""What a person wants of a network: data, a loss and a figure of merit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

Split = Literal["train", "validation", "test"]
Batch = tuple[Tensor, Tensor]


@runtime_checkable
class Task(Protocol):
    """Anything with these five members can be trained, compressed and measured.

    `ArrayTask` has them all for data that fit in memory; `examples/own_task.py` is a complete
    task for a person's own data.
    """

    metric: str
    """Name of the figure that is reported, with its unit: ``"error_percent"``."""
    higher_is_better: bool
    """Direction of the metric."""

    @property
    def example_input(self) -> Tensor:
        """One input as the network sees it, batch dimension (of 1) included."""
        ...

    def batches(self, split: Split, *, seed: int = 0) -> Iterator[Batch]:
        """Inputs and targets of a split.

        ``train`` is shuffled (and perhaps augmented) by `seed` alone: the same seed gives the
        same batches, whatever ran before. ``validation`` and ``test`` come in a fixed order.
        Validation data are taken from the training data; the test split is read once, at the end.
        """
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar."""
        ...

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The metric of each example of a batch, float, shape ``[batch]``; their mean is reported.

        An error in percent is 100.0 where the answer is wrong and 0.0 where it is right. Where
        the metric is a function of that mean (a perplexity is the exponential of the mean nats), a
        sixth member ``from_mean(mean: float) -> float`` may say which; see `reported`.
        """
        ...


def reported(task: Task, mean: float) -> float:
    """The metric, from the mean score of all examples.

    Args:
        task: with ``from_mean``, or without: then the mean itself is the metric.
        mean: of ``task.score`` over a split.
    """
    return float(getattr(task, "from_mean", float)(mean))
