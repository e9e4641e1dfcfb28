"""One-dimensional k-means on sorted values: exact Lloyd iterations at the cost of a search each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from laconic.errors import UsageError
from laconic.share.line import Edges, Floats, Line
from laconic.share.optimum import optimal_start

MAX_ITERATIONS = 1000

Start = Callable[[Line, int], Floats]
"""Values and a number of clusters → first centroids, ascending."""


def linear_start(line: Line, clusters: int) -> Floats:
    """Equally spaced between the smallest and the largest value (arXiv:1510.00149, section 3.2).

    The paper finds it best at few bits: the few large weights, which matter most, get centroids.
    """
    return np.linspace(float(line.ordered[0]), float(line.ordered[-1]), clusters)


def density_start(line: Line, clusters: int) -> Floats:
    """Equally spaced in the cumulative distribution (arXiv:1510.00149, section 3.2)."""
    ranks = (np.arange(clusters) + 0.5) * len(line.ordered) / clusters
    return line.ordered[ranks.astype(np.int64)].astype(np.float64)


def forgy_start(line: Line, clusters: int) -> Floats:
    """Values drawn without repetition, always the same ones (arXiv:1510.00149, section 3.2)."""
    generator = np.random.default_rng(0)
    drawn = generator.choice(len(line.ordered), clusters, replace=False)
    return np.sort(line.ordered[drawn]).astype(np.float64)


STARTS: dict[str, Start] = {
    "linear": linear_start,
    "density": density_start,
    "forgy": forgy_start,
    "optimal": optimal_start,
}


def kmeans(
    values: NDArray[np.float32],
    clusters: int,
    start: str = "linear",
    weights: Floats | None = None,
) -> Floats:
    """Centroids of Lloyd's algorithm on a line, ascending.

    With weights h the squared error is ``Σ h (w - c)²`` and a centroid ``Σ h w / Σ h`` (Choi et
    al., arXiv:1612.01543), the plain mean where all its h are 0.

    An empty cluster gets half of the one with the largest squared error; fewer centroids than
    asked for come back only when there are fewer distinct values.

    The values are sorted once. A cluster is then an interval between midpoints, found by binary
    search, and its mean a difference of prefix sums (float64): an iteration costs
    O(clusters · log n), whatever the number of values. A cluster of one repeated value has exactly
    that value as its centroid, so values that are few already come back as they are.

    Args:
        values: any order, finite, at least one.
        clusters: at most this many centroids come back.
        start: a key of `STARTS`; from ``"optimal"`` no start gives a smaller error.
        weights: of the values, in their shape, not negative; None: all are 1.

    Raises:
        UsageError: an unknown start, fewer than one cluster, or too many for the start.

    Examples:
        >>> kmeans(np.float32([1, 2, 10, 12]), 2).tolist()
        [1.5, 11.0]
    """
    if start not in STARTS:
        raise UsageError(f"no start is named {start!r}; there are: {', '.join(STARTS)}")
    if clusters < 1:
        raise UsageError(f"{clusters} clusters were asked for; at least 1 is needed")
    line = Line.of(values, weights)
    ordered = line.ordered
    clusters = min(clusters, len(ordered))
    centroids = STARTS[start](line, clusters)
    edges = np.empty(0, np.int64)
    for _ in range(MAX_ITERATIONS):
        inner = np.searchsorted(ordered, midpoints(centroids), side="left")
        found = np.unique(np.concatenate([[0], inner, [len(ordered)]]))
        found = _split_worst(found, clusters, line)
        if np.array_equal(found, edges):
            break
        edges = found
        centroids = line.means(edges)
    return centroids


def midpoints(centroids: Floats) -> NDArray[np.float32]:
    """Where one cluster ends and the next begins: a value at a midpoint belongs to the upper one.

    Rounded up to float32, so that comparing float32 values with them decides as the exact
    midpoint does, even between neighbouring floats.

    Examples:
        >>> midpoints(np.array([1.0, 2.0, 5.0])).tolist()
        [1.5, 3.5]
    """
    exact = (centroids[1:] + centroids[:-1]) / 2
    rounded = exact.astype(np.float32)
    return np.where(rounded < exact, np.nextafter(rounded, np.float32(np.inf)), rounded)


def _split_worst(edges: Edges, clusters: int, line: Line) -> Edges:
    """Give each empty cluster part of one with a large squared error, cut at its mean.

    A linear start puts centroids into the gap that pruning leaves round zero; without this
    they would be lost.
    """
    missing = clusters - (len(edges) - 1)
    if missing == 0:
        return edges
    ordered, means, errors = line.ordered, line.means(edges), line.errors(edges)
    first, last = ordered[edges[:-1]], ordered[edges[1:] - 1]
    errors[first == last] = -np.inf  # nothing to cut, whatever the rounding errors say
    worst = np.argsort(-errors, kind="stable")[:missing]
    worst = worst[first[worst] < last[worst]]
    # Below the largest value, so that both parts get something.
    cuts = np.minimum(means[worst].astype(np.float32), np.nextafter(last[worst], -np.inf))
    return np.unique(np.concatenate([edges, np.searchsorted(ordered, cuts, side="right")]))
