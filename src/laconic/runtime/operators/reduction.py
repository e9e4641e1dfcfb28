"""Many elements to one along some axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from laconic.runtime.operators.arrays import Array, widened


def reduction(function: Callable[..., Array]) -> Callable[..., Array]:
    """An operator that applies ``function(x, axis=…, keepdims=…)``; axes are an input."""

    def operator(
        x: Array, axes: Array | None = None, /, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Array:
        over: tuple[int, ...] | None = None
        if axes is not None and axes.size:
            over = tuple(int(axis) for axis in axes)
        elif noop_with_empty_axes:
            over = ()  # NumPy then reduces nothing, but still squares, say
        out = function(x, axis=over, keepdims=bool(keepdims))
        return np.asarray(out).astype(x.dtype, copy=False)

    return operator


def _mean(x: Array, **how: object) -> Array:
    return np.asarray(np.mean(widened(x), **how))  # type: ignore[call-overload]


def _sum(x: Array, **how: object) -> Array:
    wide = widened(x)
    return np.asarray(np.sum(wide, dtype=wide.dtype, **how))  # type: ignore[call-overload]


def _product(x: Array, **how: object) -> Array:
    return np.asarray(np.prod(x, dtype=x.dtype, **how))  # type: ignore[call-overload]


def _norm_1(x: Array, **how: object) -> Array:
    return _sum(np.abs(x), **how)


def _norm_2(x: Array, **how: object) -> Array:
    return np.sqrt(_sum_square(x, **how))


def _sum_square(x: Array, **how: object) -> Array:
    return _sum(np.square(widened(x)), **how)


def _largest(x: Array, **how: object) -> Array:
    lowest = -np.inf if x.dtype.kind == "f" else _edge(x, "min")
    return np.asarray(np.max(x, initial=lowest, **how))  # type: ignore[call-overload]


def _smallest(x: Array, **how: object) -> Array:
    highest = np.inf if x.dtype.kind == "f" else _edge(x, "max")
    return np.asarray(np.min(x, initial=highest, **how))  # type: ignore[call-overload]


def _edge(x: Array, side: str) -> int | bool:
    """The value that every other one beats: what an empty set reduces to."""
    if x.dtype == np.bool_:
        return side == "max"
    return int(getattr(np.iinfo(x.dtype), side))


def _extreme(function: Callable[..., Array]) -> Callable[..., Array]:
    """The place of the largest or smallest element along one axis."""

    def operator(
        x: Array, /, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
    ) -> Array:
        if select_last_index:
            flipped = function(np.flip(x, axis), axis=axis, keepdims=bool(keepdims))
            return np.asarray(x.shape[axis] - 1 - flipped).astype(np.int64, copy=False)
        return np.asarray(function(x, axis=axis, keepdims=bool(keepdims))).astype(np.int64)

    return operator


def cumulative_sum(x: Array, axis: Array, /, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Sums of all elements up to each one, or with `exclusive` up to the one before."""
    along = int(axis.item())
    ordered = np.flip(x, along) if reverse else x
    if exclusive:
        first = np.zeros_like(np.take(ordered, [0], along))
        ordered = np.concatenate([first, np.delete(ordered, -1, along)], along)
    out = np.cumsum(ordered, axis=along, dtype=x.dtype)
    return np.flip(out, along) if reverse else out


REDUCTION: dict[str, Callable[..., Array]] = {
    "ReduceMean": reduction(_mean),
    "ReduceSum": reduction(_sum),
    "ReduceMax": reduction(_largest),
    "ReduceMin": reduction(_smallest),
    "ReduceProd": reduction(_product),
    "ReduceL1": reduction(_norm_1),
    "ReduceL2": reduction(_norm_2),
    "ReduceSumSquare": reduction(_sum_square),
    "ArgMax": _extreme(np.argmax),
    "ArgMin": _extreme(np.argmin),
    "CumSum": cumulative_sum,
}
