"""Entropy-constrained sharing: what a value costs in bits decides with its error who takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laconic.errors import UsageError
from laconic.share.bins import means_of
from laconic.share.codebook import Clusters
from laconic.share.kmeans import kmeans
from laconic.share.line import Floats
from laconic.share.share import Share

MOST_ROUNDS = 200
SMALLEST_GAIN = 1e-7
"""Of the Lagrangian, relative: less in a round ends the iteration."""
CHUNK = 2**15
"""Values whose costs under every centroid are in memory at once."""


class ShareEntropy(Share):
    """Gives each weight the value whose squared error and bits together cost least (ECSQ).

    Choi, El-Khamy, Lee, arXiv:1612.01543, after Chou, Lookabaugh, Gray, 1989:
    ``argmin_k h (w - c_k)² - λ log2 p_k``, then ``c_k = Σ h w / Σ h`` and the frequencies p_k
    anew, values that nobody takes are dropped, until the Lagrangian falls no more; it never rises.
    Departures: zero is a value too, with c_0 = 0 and the pruned weights in its p_0, so that small
    weights may become zero (a dead zone is magnitude pruning); and λ is given without a scale,
    ``λ = penalty · mean(h w²)`` over the non-zero weights.

    Args:
        bits: the iteration begins with the ``2^bits - 1`` centroids of k-means, and zero.
        penalty: of a bit for each weight, in mean weighted squares; 0.001 to 0.1 are usual, 0 is
            Lloyd's algorithm with zero as a fixed value.
        start: of k-means, as for `Share`.

    Raises:
        UsageError: bits or start as for `Share`, a negative penalty; in `fit` one so high that no
            weight is worth its bits.

    Examples:
        >>> import torch
        >>> weight = torch.tensor([1.0, 1.0, 1.0, 1.1, -3.0])
        >>> step = ShareEntropy(bits=3, penalty=0.05)
        >>> step.fit(weight)
        >>> [round(value, 3) for value in step.codebook.tolist()]
        [-3.0, 1.025]
    """

    def __init__(self, bits: int, penalty: float, start: str = "density") -> None:
        super().__init__(bits, start)
        if not 0 <= penalty < float("inf"):
            raise UsageError(f"penalty {penalty:g} is negative or infinite; 0.01 is a usual one")
        self.penalty = penalty

    def cluster(
        self, values: NDArray[np.float32], importances: Floats | None, count: int
    ) -> Clusters:
        """What the iteration ends with."""
        first = kmeans(values, 2**self.bits - 1, self.start, importances)
        found = constrained(
            values, first, self.penalty, zeros=count - len(values), importances=importances
        )
        if not len(found.centroids):
            raise UsageError(
                f"penalty {self.penalty:g}: no value is worth its bits, and every weight would "
                "become zero; lower the penalty, or leave this layer out"
            )
        return found.assignments, found.centroids


@dataclass(frozen=True)
class Constrained:
    """Where an entropy-constrained iteration ended."""

    assignments: NDArray[np.int32]
    """0 for zero, i + 1 for centroid i."""
    centroids: Floats
    lagrangians: list[float]
    """After each round."""


def constrained(
    values: NDArray[np.float32],
    centroids: Floats,
    penalty: float,
    *,
    zeros: int = 0,
    importances: Floats | None = None,
) -> Constrained:
    """The iteration of `ShareEntropy`.

    Args:
        values: not zero.
        centroids: to begin with.
        penalty: λ in mean weighted squares.
        zeros: how many zeros there are beside the values.
        importances: h; None: all are 1.
    """
    wide = values.astype(np.float64)
    own = np.ones(len(wide)) if importances is None else importances
    price = penalty * float(np.mean(own * wide**2))
    table = np.concatenate([[0.0], centroids])
    places = _cheapest(wide, own, table, np.zeros(len(table)))
    lagrangians: list[float] = []
    for _ in range(MOST_ROUNDS):
        table, places, lengths = _updated(wide, importances, places, len(table), zeros)
        spent = zeros * lengths[0] if zeros else 0.0
        spent += float(lengths[places].sum())
        lagrangians.append(float((own * (wide - table[places]) ** 2).sum()) + price * spent)
        if len(lagrangians) > 1 and lagrangians[-1] > lagrangians[-2] * (1 - SMALLEST_GAIN):
            break
        places = _cheapest(wide, own, table, price * lengths if price else 0 * table)
    return Constrained(places.astype(np.int32), table[1:], lagrangians)


def _cheapest(
    values: Floats, importances: Floats, table: Floats, prices: Floats
) -> NDArray[np.intp]:
    """For each value the entry with the smallest ``h (w - c)² + price``."""
    places = np.empty(len(values), np.intp)
    for first in range(0, len(values), CHUNK):
        run = slice(first, first + CHUNK)
        costs = importances[run, None] * (values[run, None] - table) ** 2 + prices
        places[run] = costs.argmin(1)
    return places


def _updated(
    values: Floats,
    importances: Floats | None,
    places: NDArray[np.intp],
    size: int,
    zeros: int,
) -> tuple[Floats, NDArray[np.intp], Floats]:
    """Entries that somebody takes, at their means; places among them; bits of each, ``-log2 p``.

    Entry 0 is zero and stays, of infinite length where nobody takes it.
    """
    taken = np.bincount(places, minlength=size) > 0
    taken[0] = True
    places = (np.cumsum(taken) - 1)[places]
    table = np.zeros(int(taken.sum()))
    others = places > 0
    if others.any():
        own = None if importances is None else importances[others]
        table[1:] = means_of(values[others], own, places[others] - 1, len(table) - 1)
    counts = np.bincount(places, minlength=len(table)).astype(np.float64)
    counts[0] += zeros
    with np.errstate(divide="ignore"):
        return table, places, -np.log2(counts / counts.sum())
