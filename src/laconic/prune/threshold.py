"""Pruning below a threshold, which with 0 keeps the zeros that are there."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.prune.mask import Mask


class Threshold(Mask):
    """Sets weights of a magnitude below `below` to zero and keeps them so.

    The last step of DropNeuron (Pan, Dong, Guo, arXiv:1606.07326, section 3: 0.01), after a
    penalty has made weights small. With ``below=0`` nothing but the present zeros is held: what
    proximal steps, or another tool, left at exactly 0. Of scores with a sign (see `by`) negative
    ones are below 0 and go too.

    Args:
        below: 0 or more.

    Raises:
        UsageError: `below` is negative or no number, or (in `fit`) larger than every score of a
            weight that is not zero.

    Examples:
        >>> step = Threshold(0.5)
        >>> step.fit(torch.tensor([0.1, -0.5, 2.0]))
        >>> step(torch.tensor([0.1, -0.5, 2.0]))
        tensor([ 0.0000, -0.5000,  2.0000])
    """

    def __init__(self, below: float) -> None:
        super().__init__()
        if not (below >= 0 and math.isfinite(below)):
            raise UsageError(f"below is {below:g}; a threshold is 0 or a positive number")
        self.below = below

    def keep(self, scores: Tensor) -> Tensor:
        """What scores `below` or more."""
        kept = scores >= self.below
        present = scores > -torch.inf
        if bool(present.any()) and not bool(kept.any()):
            largest = float(scores.max())
            cure = (
                "lower the threshold" if largest >= 0 else "take scores that are not all negative"
            )
            raise UsageError(
                f"all {scores.numel()} weights are below {self.below:g}, the largest is "
                f"{largest:g}; {cure}, or leave this layer out"
            )
        return kept
