"""Sharing while training: the weights are clustered again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn

from laconic.errors import UsageError
from laconic.represent import chains, entering
from laconic.share.share import ShareNearest


class Moment(Protocol):
    """Where training stands; `laconic.train.Moment` is one."""

    @property
    def done(self) -> int:
        """Updates that are made after this one, as the schedule counts."""
        ...

    @property
    def steps(self) -> int:
        """Updates in the whole training."""
        ...


class Recluster:
    """Finds the centroids of `ShareNearest` steps anew in training: train, cluster, tie, repeat.

    Every `every` updates k-means runs over the latent weights, which training has moved on; their
    nearest centroids tie them again. Between two clusterings, and after the last, the centroids
    are trained with the summed gradients of their members.

    Args:
        names: of weights that have a `ShareNearest` in their chain.
        every: updates from clustering to clustering; a last one that no update follows is left out.

    Raises:
        UsageError: `every` is below 1; in training, that a weight has no such step.

    Examples:
        >>> Recluster(["fc1.weight"], every=100).configuration
        {'names': ['fc1.weight'], 'every': 100}
    """

    def __init__(self, names: Sequence[str], every: int) -> None:
        if every < 1:
            raise UsageError(f"every is {every}; 1 clusters after each update")
        self.names = names
        self.every = every

    @property
    def configuration(self) -> dict[str, Any]:
        """Arguments as JSON data."""
        return {"names": list(self.names), "every": self.every}

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Nothing."""

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Cluster, when it is time."""
        if moment.done % self.every or moment.done >= moment.steps:
            return
        present = chains(model)
        for name in self.names:
            step = next((s for s in present.get(name, []) if isinstance(s, ShareNearest)), None)
            if step is None:
                raise UsageError(f"{name} has no ShareNearest in its chain to be clustered anew")
            with torch.no_grad():
                step.renew(entering(model, name, step))
