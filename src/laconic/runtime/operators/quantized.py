"""Floats to integers of 8 or 16 bits and back, each times a scale, from a zero point."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from laconic.runtime.operators.arrays import Array
from laconic.runtime.operators.creation import ELEMENT_TYPES


def quantize(
    x: Array, scale: Array, zero_point: Array | None = None, /,
    *, axis: int = 1, block_size: int = 0, saturate: int = 1, output_dtype: int = 0,
) -> Array:  # fmt: skip
    """``saturate(round(x / scale) + zero_point)``, ties to even; uint8 without a zero point.

    Examples:
        >>> quantize(np.float32([-1, 0.25, 0.75, 300]), np.float32(0.5), np.uint8(10)).tolist()
        [8, 10, 12, 255]
    """
    if zero_point is not None:
        dtype = zero_point.dtype
    else:
        dtype = np.dtype(ELEMENT_TYPES[output_dtype or 2])
    limits = np.iinfo(dtype)
    steps = np.rint(x / _along(x, scale, axis, block_size))
    if zero_point is not None:
        steps = steps + _along(x, zero_point, axis, block_size).astype(steps.dtype)
    return np.asarray(np.clip(np.nan_to_num(steps, nan=0.0), limits.min, limits.max), dtype)


def dequantize(
    x: Array, scale: Array, zero_point: Array | None = None, /,
    *, axis: int = 1, block_size: int = 0, output_dtype: int = 0,
) -> Array:  # fmt: skip
    """``(x - zero_point) * scale``, in the dtype of the scale.

    Examples:
        >>> dequantize(np.uint8([8, 10, 12]), np.float32(0.5), np.uint8(10)).tolist()
        [-1.0, 0.0, 1.0]
    """
    codes = x.astype(np.int64)
    if zero_point is not None:
        codes = codes - _along(x, zero_point, axis, block_size).astype(np.int64)
    return np.asarray(codes.astype(scale.dtype) * _along(x, scale, axis, block_size))


def _along(x: Array, table: Array, axis: int, block_size: int) -> Array:
    """One value for all, for each index of the axis, or for each block along it, to broadcast."""
    if table.size == 1 and table.ndim <= 1:
        return table.reshape(())
    if table.ndim == 1:
        if len(table) != x.shape[axis]:
            raise ValueError(f"scales of {list(table.shape)} for axis {axis} of {list(x.shape)}")
        shape = [1] * x.ndim
        shape[axis] = -1
        return table.reshape(shape)
    spread = np.repeat(table, max(1, block_size), axis)
    return np.take(spread, np.arange(x.shape[axis]), axis)


QUANTIZED: dict[str, Callable[..., Array]] = {
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
}
