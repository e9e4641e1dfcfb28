"""Han's thresholds: a quality parameter times the standard deviation of the layer's weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.prune.mask import Mask


class QualityThreshold(Mask):
    """Sets weights of a magnitude below ``q · σ`` to zero and keeps them so.

    Han, Pool, Tran, Dally, arXiv:1506.02626, section 4: "the pruning threshold is chosen as a
    quality parameter multiplied by the standard deviation of a layer's weights". σ is that of the
    weights which are not zero yet, so that a second pruning goes on from what the first one left.
    How many zeros a q gives depends on the layer: of Gaussian weights 38 % at ½, 68 % at 1.
    Scores given by `by` are compared with their own deviation; for magnitudes give none, as those
    of |w| have the smaller one (of Gaussian weights 0.6 σ).

    Args:
        quality: q, 0 or more; by layer, from a sensitivity analysis.

    Raises:
        UsageError: `quality` is negative or no number, or (in `fit`) leaves nothing.

    Examples:
        >>> step = QualityThreshold(1.0)
        >>> step.fit(torch.tensor([3.0, -1.0, 1.0, -3.0]))  # σ² = 5
        >>> step.mask
        tensor([ True, False, False,  True])
    """

    def __init__(self, quality: float) -> None:
        super().__init__()
        if not (quality >= 0 and math.isfinite(quality)):
            raise UsageError(f"quality is {quality:g}; 0 or a positive number of deviations, say 1")
        self.quality = quality
        self._below = 0.0

    def fit(self, weight: Tensor) -> None:
        """Measure σ, then choose the mask; see `Mask.fit`."""
        values = weight if self._scores is None else self._scores
        if values.shape == weight.shape and bool(weight.any()):
            present = values[weight != 0].double()
            self._below = self.quality * float(present.std(correction=0))
        super().fit(weight)

    def keep(self, scores: Tensor) -> Tensor:
        """What scores ``q · σ`` or more."""
        kept = (scores >= self._below) & (scores > -torch.inf)
        if not bool(kept.any()) and bool((scores > -torch.inf).any()):
            raise UsageError(
                f"all {scores.numel()} weights are below {self.quality:g} σ = {self._below:.3g}, "
                f"the largest is {float(scores.max()):.3g}; lower the quality, or leave this layer "
                "out"
            )
        return kept
