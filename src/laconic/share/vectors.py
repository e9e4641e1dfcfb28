"""k-means of short vectors: the codebooks of product quantization."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from laconic.share.line import Floats

MOST_ROUNDS = 50
CHUNK = 2**14
"""Vectors whose distances to every centroid are in memory at once."""


def vector_kmeans(points: Floats, clusters: int) -> tuple[Floats, NDArray[np.int64]]:
    """Centroids of Lloyd's algorithm, and which of them each point has.

    It begins with greedy k-means++ (Arthur, Vassilvitskii, SODA 2007), with the same draws every
    time. A cluster that runs empty takes the point that is worst off. Where there are no more
    distinct points than clusters, these are the centroids.

    Args:
        points: ``[count, length]``, finite, at least one.
        clusters: at most so many centroids come back.

    Examples:
        >>> points = np.array([[0.0, 1.0], [0.0, 1.2], [5.0, 5.0]])
        >>> centroids, places = vector_kmeans(points, 2)
        >>> centroids[places].round(3).tolist()
        [[0.0, 1.1], [0.0, 1.1], [5.0, 5.0]]
    """
    distinct, places = np.unique(points, axis=0, return_inverse=True)
    if len(distinct) <= clusters:
        return distinct, places.reshape(-1)
    # Near the origin |x|² - 2xc + |c|² loses less.
    centre = points.mean(0)
    moved = points - centre
    centroids = moved[_spread(moved, clusters)]
    places = np.full(len(points), -1)
    for _ in range(MOST_ROUNDS):
        found, distances = _nearest(moved, centroids)
        if np.array_equal(found, places):
            break
        places = _filled(found, distances, clusters)
        counts = np.bincount(places, minlength=clusters)
        sums = [np.bincount(places, column, clusters) for column in moved.T]
        centroids = np.stack(sums, 1) / counts[:, None]
    return centroids + centre, places


def _spread(points: Floats, clusters: int) -> NDArray[np.int64]:
    """Points drawn one by one, each as likely as its squared distance to those before.

    Of a few draws the one stays that leaves the smallest sum of squares.
    """
    generator = np.random.default_rng(0)
    draws = 2 + int(np.log(clusters))
    drawn = [int(generator.integers(len(points)))]
    distances = np.square(points - points[drawn[0]]).sum(1)
    while len(drawn) < clusters:
        sums = np.cumsum(distances / max(distances.max(), np.finfo(np.float64).tiny))
        places = np.searchsorted(sums, generator.random(draws) * sums[-1], side="right")
        places = np.minimum(places, len(points) - 1)
        left = np.square(points[None] - points[places, None]).sum(2)
        left = np.minimum(left, distances)
        best = int(left.sum(1).argmin())
        drawn.append(int(places[best]))
        distances = left[best]
    return np.array(drawn)


def _nearest(points: Floats, centroids: Floats) -> tuple[NDArray[np.int64], Floats]:
    """For each point the place of its nearest centroid, and the squared distance."""
    places, distances = np.empty(len(points), np.int64), np.empty(len(points))
    lengths = np.square(centroids).sum(1)
    for first in range(0, len(points), CHUNK):
        run = points[first : first + CHUNK]
        costs = lengths - 2 * (run @ centroids.T)
        nearest = costs.argmin(1)
        places[first : first + CHUNK] = nearest
        distances[first : first + CHUNK] = np.square(run - centroids[nearest]).sum(1)
    return places, distances


def _filled(places: NDArray[np.int64], distances: Floats, clusters: int) -> NDArray[np.int64]:
    """Give each empty cluster a point: those that are farthest from their own, in turn."""
    counts = np.bincount(places, minlength=clusters)
    empty = np.flatnonzero(counts == 0)
    if not empty.size:
        return places
    places = places.copy()
    farthest = iter(np.argsort(-distances, kind="stable").tolist())
    for cluster in empty.tolist():
        point = next(point for point in farthest if counts[places[point]] > 1)
        counts[places[point]] -= 1
        counts[cluster] += 1
        places[point] = cluster
    return places
