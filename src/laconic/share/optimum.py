"""The best clusters on a line, by dynamic programming."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from laconic.errors import UsageError
from laconic.share.line import Edges, Floats, Line

MOST_PLACES = 2**13
"""Places at which a cluster may end; of more distinct values some are passed over."""
MOST_CLUSTERS = 2**10
"""For which the tables are filled: their cost is clusters times places."""


def optimal_start(line: Line, clusters: int) -> Floats:
    """The centroids of the smallest squared error there is (Wang, Song, R Journal 2011).

    On a line clusters are intervals, so that dynamic programming finds the best:
    ``D_k(j) = min_i D_{k-1}(i) + error(i, j)``. The best i never falls as j grows, by which a row
    of n places costs O(n log n) (Grønlund et al., arXiv:1701.07204, section 2.2).

    Exact, to the rounding of float64 sums, for up to `MOST_PLACES` distinct values. Of more, as
    many places are allowed as ends of clusters, half of them with as many values between them,
    half equally far apart: the best of these intervals, from which Lloyd's iterations of `kmeans`
    go on over all values and can only win.

    Raises:
        UsageError: more than `MOST_CLUSTERS` clusters, and more distinct values than that.
    """
    changes = np.flatnonzero(line.ordered[1:] != line.ordered[:-1]) + 1
    edges = np.concatenate([[0], changes, [len(line.ordered)]])
    if len(edges) - 1 <= clusters:
        return line.means(edges)
    if clusters > MOST_CLUSTERS:
        raise UsageError(
            f"the start 'optimal' finds up to {MOST_CLUSTERS:,} centroids, not {clusters:,}; with "
            "so many 'density' comes as near"
        )
    if len(edges) - 1 > MOST_PLACES:
        edges = _thinned(edges, line.ordered)
    return line.means(best_edges(line, edges, clusters))


def _thinned(edges: Edges, ordered: NDArray[np.float32]) -> Edges:
    """Some of the edges: evenly among the values, and evenly between the smallest and largest."""
    half = MOST_PLACES // 2
    ranks = np.linspace(0, len(ordered), half + 1)
    levels = np.linspace(float(ordered[0]), float(ordered[-1]), half)[1:-1]
    wanted = np.concatenate([ranks, np.searchsorted(ordered, levels)])
    kept: Edges = edges[np.unique(np.searchsorted(edges, wanted))]
    return kept


def best_edges(line: Line, edges: Edges, clusters: int) -> Edges:
    """Those `clusters` intervals between `edges` whose squared errors add up to the least.

    Args:
        line: the values.
        edges: where a cluster may begin or end.
        clusters: fewer than there are intervals between `edges`.
    """
    masses, sums, squares = line.masses[edges], line.sums[edges], line.squares[edges]

    def error(first: Edges, stop: Edges) -> Floats:
        mass, total = masses[stop] - masses[first], sums[stop] - sums[first]
        mean = np.divide(total, mass, out=np.zeros_like(total), where=mass > 0)
        return np.maximum(squares[stop] - squares[first] - total * mean, 0.0)

    last = len(edges) - 1
    least = error(np.zeros(last + 1, np.int64), np.arange(last + 1))
    cuts = np.zeros((clusters, last + 1), np.int32)
    for row in range(1, clusters):
        # row + 1 clusters hold an interval each at least: they end at row + 1 or later.
        found, cuts[row, row:] = _row(least, error, row, last)
        least = np.concatenate([np.full(row + 1, np.inf), found])
    chosen = [last]
    for row in range(clusters - 1, 0, -1):
        chosen.append(int(cuts[row, chosen[-1]]))
    best: Edges = edges[np.array([0, *reversed(chosen)])]
    return best


def _row(
    least: Floats, error: Callable[[Edges, Edges], Floats], row: int, last: int
) -> tuple[Floats, Edges]:
    """``min_i least[i] + error(i, j)`` for each end j from row + 1 to `last`, and the best i.

    Every second end first, then those between, whose i lie between the neighbours'. The i come
    with one entry before the first end.
    """
    count = last - row
    best, found = np.full(count + 1, row), np.empty(count + 1)
    step = 1 << (count.bit_length() - 1)
    while step:
        place = np.arange(step, count + 1, 2 * step)
        ends = place + row
        known = place + step <= count
        low = best[place - step]
        high = np.where(known, best[np.minimum(place + step, count)], ends - 1)
        lengths = np.minimum(high, ends - 1) - low + 1
        starts = np.cumsum(lengths) - lengths
        tried = np.arange(int(lengths.sum())) - np.repeat(starts - low, lengths)
        costs = least[tried] + error(tried, np.repeat(ends, lengths))
        found[place] = np.minimum.reduceat(costs, starts)
        equal = np.flatnonzero(costs == np.repeat(found[place], lengths))
        best[place] = tried[equal[np.searchsorted(equal, starts)]]
        step //= 2
    return found[1:], best
