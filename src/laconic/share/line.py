"""Values on a line with weights: the sums of any interval as differences of running sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Edges = NDArray[np.int64]
"""Where clusters begin and end among the sorted values: 0, …, n, strictly ascending."""


@dataclass(frozen=True)
class Line:
    """Sorted values and the running sums of their weights h: of h, h·w and h·w², float64.

    Examples:
        >>> line = Line.of(np.float32([5, 1, 3]), np.array([1.0, 3.0, 1.0]))
        >>> line.ordered.tolist(), line.means(np.array([0, 2, 3])).tolist()
        ([1.0, 3.0, 5.0], [1.5, 5.0])
    """

    ordered: NDArray[np.float32]
    masses: Floats
    sums: Floats
    squares: Floats
    plain_sums: Floats | None
    """Of the values alone, where the weights are not all 1."""

    @staticmethod
    def of(values: NDArray[np.float32], weights: Floats | None = None) -> Line:
        """Sort `values`, any shape; `weights` are theirs, not negative, None: all 1."""
        if weights is None:
            ordered = np.sort(values, axis=None)
            count = np.arange(ordered.size + 1, dtype=np.float64)
            return Line(ordered, count, *_running(ordered), None)
        order = np.argsort(values, axis=None, kind="stable")
        ordered, own = values.reshape(-1)[order], weights.reshape(-1)[order].astype(np.float64)
        masses = np.concatenate([[0.0], np.cumsum(own)])
        return Line(ordered, masses, *_running(ordered, own), _running(ordered)[0])

    def means(self, edges: Edges) -> Floats:
        """The weighted mean of each cluster, ``Σ h w / Σ h``; the plain one where all h are 0.

        A difference of running sums has their rounding error, and they may be far larger than the
        cluster; its smallest and largest values bound the damage.
        """
        masses, sums = np.diff(self.masses[edges]), np.diff(self.sums[edges])
        if self.plain_sums is not None:
            empty = masses <= 0
            sums = np.where(empty, np.diff(self.plain_sums[edges]), sums)
            masses = np.where(empty, np.diff(edges), masses)
        return np.clip(sums / masses, self.ordered[edges[:-1]], self.ordered[edges[1:] - 1])

    def errors(self, edges: Edges) -> Floats:
        """``Σ h (w - c)²`` of each cluster, to the rounding of the running sums."""
        masses, squares = np.diff(self.masses[edges]), np.diff(self.squares[edges])
        return np.maximum(squares - masses * self.means(edges) ** 2, 0.0)


def _running(ordered: NDArray[np.float32], weights: Floats | None = None) -> tuple[Floats, Floats]:
    wide = ordered.astype(np.float64)
    first = wide if weights is None else weights * wide
    return (
        np.concatenate([[0.0], np.cumsum(first)]),
        np.concatenate([[0.0], np.cumsum(first * wide)]),
    )
