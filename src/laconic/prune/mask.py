"""What all pruning of weights has in common: a mask, chosen by scores."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.represent import Step, fitted


class Mask(Step):
    """Makes some of the weights zero and keeps them so; a subclass says which.

    Scores decide: the magnitude, or what `by` was given. What is zero already scores lowest of
    all, counts as pruned and is never kept. The gradient of a pruned weight is zero, so
    fine-tuning cannot revive it.

    A subclass implements `keep`.
    """

    learnt = ("mask",)
    placed = ("mask",)
    mask: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", None)
        self._scores: Tensor | None = None

    def by(self, scores: Tensor) -> Self:
        """Choose by these scores in the next `fit`; shape of the weight, the lowest go first.

        Examples:
            >>> from laconic.prune import Prune
            >>> step = Prune(0.5).by(torch.tensor([3.0, 1.0]))
            >>> step.fit(torch.tensor([0.1, 9.0]))
            >>> step.mask
            tensor([ True, False])
        """
        self._scores = scores
        return self

    def fit(self, weight: Tensor) -> None:
        """Choose the mask: True where the weight is kept.

        Raises:
            UsageError: the scores have another shape or are NaN, or nothing would be left.
        """
        scores = weight.abs() if self._scores is None else self._scores
        if scores.shape != weight.shape:
            raise UsageError(
                f"the scores have the shape {list(scores.shape)}, the weight {list(weight.shape)}"
            )
        bad = int(torch.isnan(scores).sum())
        if bad:
            raise UsageError(f"{bad} of {scores.numel()} scores are NaN; no order is among them")
        self._scores = None
        present = weight != 0
        self.mask = self.keep(torch.where(present, scores.float(), -torch.inf)) & present

    @abstractmethod
    def keep(self, scores: Tensor) -> Tensor:
        """True for the weights that stay, shape of `scores`; what is zero has the score -inf.

        Raises:
            UsageError: a weight of this shape cannot be pruned so, or nothing would be left.
        """

    def forward(self, weight: Tensor) -> Tensor:
        """`weight` where the mask is true, else +0.0."""
        # A product, because torch.where branches on each element: 4 times slower in training.
        # + 0.0 turns the -0.0 of a negative weight into 0.0.
        return weight * fitted(self, "mask").to(weight.dtype) + 0.0


def rows_of(weight: Tensor) -> Tensor:
    """A weight as the matrix ``[outputs, inputs · kernel]``; a vector is a single row."""
    return weight.flatten(1) if weight.ndim > 1 else weight.reshape(1, -1)


def to_add(scores: Tensor) -> Tensor:
    """Scores in float64 whose sums can be compared: what is zero already counts 0, others more.

    Negative scores are moved up, all by as much, until the lowest is just above 0: sums of equally
    many weights keep their order. Scores that are not negative stay as they are.

    Examples:
        >>> to_add(torch.tensor([1.0, 0.0, -torch.inf]))
        tensor([1., 0., 0.], dtype=torch.float64)
        >>> to_add(torch.tensor([1.0, -2.0, -torch.inf])).round()
        tensor([3., 0., 0.], dtype=torch.float64)
    """
    scores = scores.double()
    present = scores > -torch.inf
    if bool((scores[present] < 0).any()):
        lowest = scores[present].min()
        # The part of a billionth tells the lowest from what is zero, and changes no comparison
        # of float32 scores.
        scores = scores - lowest * (1 + 1e-9)
    return torch.where(present, scores, 0.0)
