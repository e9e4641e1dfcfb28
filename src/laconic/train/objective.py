"""What training minimises: the task's own loss, or a loss built round it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from laconic.train.task import Task


class Objective(ABC):
    """The loss of a batch, from everything a method may look at.

    Distillation asks a teacher for its outputs, a regulariser adds a term over the weights. A
    subclass implements `loss`; one with arguments also says in `configuration` what they are, so
    that a checkpoint of another objective is not taken for its own.
    """

    @abstractmethod
    def loss(
        self, model: nn.Module, inputs: Tensor, outputs: Tensor, targets: Tensor, task: Task
    ) -> Tensor:
        """A scalar: the mean over the batch, plus what does not depend on the batch.

        With several processes each calls this on its slice of the batch, and the losses are
        averaged in proportion to the slices.
        """

    @property
    def configuration(self) -> dict[str, Any]:
        """Arguments as JSON data."""
        return {}


class TaskLoss(Objective):
    """The loss that the task defines."""

    def loss(
        self, model: nn.Module, inputs: Tensor, outputs: Tensor, targets: Tensor, task: Task
    ) -> Tensor:
        """``task.loss(outputs, targets)``."""
        return task.loss(outputs, targets)


class Penalty(Protocol):
    """A term over the weights; any class with these members is one."""

    def __call__(self, model: nn.Module) -> Tensor:
        """A scalar with a gradient, its coefficient included."""
        ...

    @property
    def configuration(self) -> dict[str, Any]:
        """Arguments as JSON data."""
        ...


class Penalised(Objective):
    """An objective plus terms over the weights.

    Args:
        objective: what is minimised without the terms.
        penalties: added to it.
    """

    def __init__(self, objective: Objective, penalties: Sequence[Penalty]) -> None:
        self.objective = objective
        self.penalties = tuple(penalties)

    def loss(
        self, model: nn.Module, inputs: Tensor, outputs: Tensor, targets: Tensor, task: Task
    ) -> Tensor:
        """The objective's loss and all terms."""
        loss = self.objective.loss(model, inputs, outputs, targets, task)
        for penalty in self.penalties:
            loss = loss + penalty(model)
        return loss

    @property
    def configuration(self) -> dict[str, Any]:
        """The objective and the terms, each with its class."""
        return {
            "objective": {"kind": type(self.objective).__qualname__} | self.objective.configuration,
            "penalties": [
                {"kind": type(penalty).__qualname__, **penalty.configuration}
                for penalty in self.penalties
            ],
        }
