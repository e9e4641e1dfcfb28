"""Uniform quantization whose values are the means of their bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from laconic.errors import UsageError
from laconic.share.codebook import Clusters, Codebook
from laconic.share.line import Floats

MOST_BINS = 2**16 - 1
"""With weights in them."""


class ShareBins(Codebook):
    """Cuts the line into bins of equal width; a weight takes the mean of its bin, or the weighted.

    Choi, El-Khamy, Lee, arXiv:1612.01543: at a low rate uniform bins and an entropy
    code come near the best quantizer of that entropy; the values of the bins are means,
    ``Σ h w / Σ h`` with `by`, and are trained like other centroids. The bins are centred at
    multiples of their width. A departure: weights in the bin round zero become zero, so that they
    and those pruned before are one symbol.

    Args:
        width: of a bin, in root mean squares of the non-zero weights.

    Raises:
        UsageError: a width that is not positive; in `fit` so small a one that more than 65,535
            bins have weights.

    Examples:
        >>> import torch
        >>> step = ShareBins(width=1.0)
        >>> step.fit(torch.tensor([0.0, 0.25, 1.0, 1.5, -1.0]))
        >>> step(torch.zeros(5)).tolist()
        [0.0, 0.0, 1.25, 1.25, -1.0]
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        if not 0 < width < float("inf"):
            raise UsageError(
                f"width {width:g} is not positive; 0.5 root mean squares is a usual one"
            )
        self.width = width

    def cluster(
        self, values: NDArray[np.float32], importances: Floats | None, count: int
    ) -> Clusters:
        """A centroid for each bin that has weights, but for that round zero."""
        wide = values.astype(np.float64)
        width = self.width * np.sqrt(np.mean(wide**2))
        bins, places = np.unique(np.round(wide / width), return_inverse=True)
        if len(bins) > MOST_BINS:
            raise UsageError(
                f"bins of {self.width:g} root mean squares leave {len(bins):,} values; at most "
                f"{MOST_BINS:,} can be: take wider ones"
            )
        middle = np.flatnonzero(bins == 0)
        order = np.arange(1, len(bins) + 1)
        if middle.size:
            order[middle] = 0
            order[int(middle[0]) + 1 :] -= 1
        centroids = means_of(wide, importances, places, len(bins))
        return order[places].astype(np.int32), np.delete(centroids, middle)


def means_of(
    values: Floats, importances: Floats | None, places: NDArray[np.integer], count: int
) -> Floats:
    """``Σ h w / Σ h`` of the members of each cluster; the plain mean where all h are 0.

    Args:
        values: w.
        importances: h; None: all are 1.
        places: of each value, which of `count` clusters is its own; none is empty.
        count: of clusters.
    """
    plain = np.bincount(places, values, count) / np.bincount(places, minlength=count)
    if importances is None:
        return plain
    masses = np.bincount(places, importances, count)
    sums = np.bincount(places, importances * values, count)
    return np.where(masses > 0, np.divide(sums, masses, out=plain.copy(), where=masses > 0), plain)
