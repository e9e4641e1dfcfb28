"""The same elements in another shape or order."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from laconic.runtime.operators.arrays import Array


def _axes(axes: Array) -> tuple[int, ...]:
    return tuple(int(axis) for axis in axes.reshape(-1))


def identity(x: Array, /) -> Array:
    """x."""
    return x


def flatten(x: Array, /, *, axis: int = 1) -> Array:
    """A matrix: the dimensions before `axis`, and those from it on."""
    place = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:place]), math.prod(x.shape[place:]))


def reshape(x: Array, shape: Array, /, *, allowzero: int = 0) -> Array:
    """Another shape; -1 is what is left, 0 copies the input's size unless `allowzero`."""
    sizes = [int(size) for size in shape]
    if not allowzero:
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def transpose(x: Array, /, *, perm: tuple[int, ...] | None = None) -> Array:
    """Dimensions in another order, by default reversed."""
    return x.transpose(perm)


def squeeze(x: Array, axes: Array | None = None, /) -> Array:
    """Without dimensions of size 1: all of them, or those in `axes`."""
    return x.squeeze(None if axes is None else _axes(axes))


def unsqueeze(x: Array, axes: Array, /) -> Array:
    """With dimensions of size 1 where the output is to have them."""
    return np.expand_dims(x, _axes(axes))


def concat(*arrays: Array, axis: int) -> Array:
    """One after the other along an axis."""
    return np.concatenate(arrays, axis)


def split(
    x: Array,
    sizes: Array | None = None,
    /,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    output_count: int = 1,
) -> tuple[Array, ...]:
    """Parts along an axis, of the given sizes or equal ones (the last may be smaller)."""
    count = num_outputs or output_count
    if sizes is None:
        each = -(-x.shape[axis] // count)
        ends = [each * (i + 1) for i in range(count - 1)]
    else:
        if int(sizes.sum()) != x.shape[axis]:
            raise ValueError(f"parts of {sizes.tolist()} do not make {x.shape[axis]}")
        ends = np.cumsum(sizes)[:-1].tolist()
    return tuple(np.split(x, ends, axis))


def expand(x: Array, shape: Array, /) -> Array:
    """x broadcast against a shape (both ways)."""
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(int(n) for n in shape)))


def tile(x: Array, repeats: Array, /) -> Array:
    """x repeated along each dimension."""
    return np.tile(x, tuple(int(n) for n in repeats))


def pad(
    x: Array,
    pads: Array,
    value: Array | None = None,
    axes: Array | None = None,
    /,
    *,
    mode: str = "constant",
) -> Array:
    """Cells before and after along `axes` (by default all); negative pads cut cells away."""
    over = range(x.ndim) if axes is None else [axis % x.ndim for axis in _axes(axes)]
    amounts = [int(n) for n in pads]
    widths = [(0, 0)] * x.ndim
    for index, axis in enumerate(over):
        widths[axis] = (amounts[index], amounts[index + len(over)])
    kept = x[
        tuple(slice(max(-b, 0), n - max(-e, 0)) for (b, e), n in zip(widths, x.shape, strict=True))
    ]
    grown = [(max(b, 0), max(e, 0)) for b, e in widths]
    if mode == "constant":
        fill = x.dtype.type(0) if value is None else value.item()
        return np.pad(kept, grown, constant_values=fill)
    if mode not in ("reflect", "edge", "wrap"):
        raise ValueError(f"mode {mode!r} is none of constant, reflect, edge, wrap")
    return np.pad(kept, grown, mode)  # type: ignore[call-overload, no-any-return]


SHAPE: dict[str, Callable[..., Array | tuple[Array, ...]]] = {
    "Identity": identity,
    "Flatten": flatten,
    "Reshape": reshape,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Concat": concat,
    "Split": split,
    "Expand": expand,
    "Tile": tile,
    "Pad": pad,
}
