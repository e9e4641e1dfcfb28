"""What may act between the steps of a training: schedules of sparsity, proximal steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn


@dataclass(frozen=True)
class Moment:
    """Where training stands; `step` of `steps` in all epochs together, from 0.

    Every epoch has as many numbers as the first has batches. Where a task gives fewer batches in
    another, its last one stands for all numbers that are left; surplus ones have none.
    """

    step: int
    done: int
    """The number of the step that follows."""
    steps: int
    epoch: int
    """From 0."""
    learning_rate: float
    """Of this step."""


class Callback(Protocol):
    """Acts on the model before or after every step; any class with these members is one.

    With several processes each calls it with the same arguments on the same weights, so it must
    be deterministic. A training that was killed goes on with a new callback at a later step: what
    it needs to know must follow from the moment and from the model, whose chains are kept.
    """

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Called before the forward pass of each step."""
        ...

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Called after the optimizer's update of each step."""
        ...

    @property
    def configuration(self) -> dict[str, Any]:
        """Arguments as JSON data, by which a checkpoint knows its own training."""
        ...
