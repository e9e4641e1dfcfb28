"""Some of the elements."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from laconic.runtime.operators.arrays import Array


def cut(
    x: Array,
    starts: Array,
    ends: Array,
    axes: Array | None = None,
    steps: Array | None = None,
    /,
) -> Array:
    """Slice: ``x[start:end:step]`` along each axis, with Python's rules for what lies outside."""
    over = range(len(starts)) if axes is None else [int(axis) for axis in axes]
    strides = [1] * len(starts) if steps is None else [int(step) for step in steps]
    index: list[slice] = [slice(None)] * x.ndim
    for axis, start, end, step in zip(over, starts, ends, strides, strict=True):
        index[axis] = slice(int(start), int(end), step)
    return x[tuple(index)]


def gather(x: Array, indices: Array, /, *, axis: int = 0) -> Array:
    """The entries of one axis that an array of indices names; negative ones count from the end."""
    return np.asarray(np.take(x, indices, axis))


def gather_elements(x: Array, indices: Array, /, *, axis: int = 0) -> Array:
    """For each place of `indices`, the entry along one axis that the index there names."""
    along = axis % max(1, x.ndim)
    within = tuple(slice(None if i == along else n) for i, n in enumerate(indices.shape))
    return np.take_along_axis(x[within], indices, axis)


def triangle(x: Array, k: Array | None = None, /, *, upper: int = 1) -> Array:
    """Trilu: the part of each matrix on and above (or below) the diagonal `k`, zeros elsewhere."""
    diagonal = 0 if k is None else int(k.item())
    return np.triu(x, diagonal) if upper else np.tril(x, diagonal)


INDEXING: dict[str, Callable[..., Array]] = {
    "Slice": cut,
    "Gather": gather,
    "GatherElements": gather_elements,
    "Trilu": triangle,
}
