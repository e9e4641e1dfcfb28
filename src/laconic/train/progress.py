"""What a training says of itself: a record for each epoch, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict


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
