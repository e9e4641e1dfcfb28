"""What training minimises: the task's own loss, or a loss built round it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

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
