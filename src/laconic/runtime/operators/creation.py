"""Arrays from shapes, numbers and other dtypes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from laconic.errors import UnsupportedError
from laconic.runtime.operators.arrays import Array

ELEMENT_TYPES = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    4: np.uint16,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
    12: np.uint32,
    13: np.uint64,
    14: np.complex64,
}
"""TensorProto.DataType of onnx.proto, as far as NumPy has the type."""


def cast(x: Array, /, *, to: int, saturate: int = 1, round_mode: str = "up") -> Array:
    """x in another dtype; `saturate` and `round_mode` have a meaning for float8 alone."""
    if to not in ELEMENT_TYPES:
        raise UnsupportedError(f"Cast to element type {to} of ONNX, which NumPy has not")
    return x.astype(ELEMENT_TYPES[to])


def cast_like(x: Array, like: Array, /, *, saturate: int = 1, round_mode: str = "up") -> Array:
    """x in the dtype of another array."""
    return x.astype(like.dtype)


def shape(x: Array, /, *, start: int = 0, end: int | None = None) -> Array:
    """The sizes of the dimensions from `start` to before `end`."""
    return np.array(x.shape[start:end], np.int64)


def size(x: Array, /) -> Array:
    """The number of elements."""
    return np.asarray(x.size, np.int64)


def constant(
    *,
    value: Array | None = None,
    value_float: float | None = None,
    value_floats: tuple[float, ...] | None = None,
    value_int: int | None = None,
    value_ints: tuple[int, ...] | None = None,
) -> Array:
    """The one attribute that is given, as an array."""
    if value is not None:
        return value
    if value_float is not None or value_floats is not None:
        return np.asarray(value_floats if value_float is None else value_float, np.float32)
    return np.asarray(value_ints if value_int is None else value_int, np.int64)


def constant_of_shape(sizes: Array, /, *, value: Array | None = None) -> Array:
    """An array of one value (of one element), by default float32 zeros."""
    fill = np.float32(0) if value is None else value.reshape(())
    return np.full(tuple(int(n) for n in sizes), fill, fill.dtype)


def span(start: Array, limit: Array, delta: Array, /) -> Array:
    """Range: start, start + delta, … before limit."""
    count = max(0, math.ceil((limit.item() - start.item()) / delta.item()))
    return np.asarray(np.arange(count).astype(start.dtype) * delta + start)


CREATION: dict[str, Callable[..., Array]] = {
    "Cast": cast,
    "CastLike": cast_like,
    "Shape": shape,
    "Size": size,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "Range": span,
}
