"""Max and average over windows, or over all there is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from laconic.runtime.operators.arrays import Array, widened
from laconic.runtime.operators.windows import Sizes, Windows


def max_pool(
    x: Array,
    /,
    *,
    kernel_shape: Sizes,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sizes | None = None,
    pads: Sizes | None = None,
    storage_order: int = 0,
    strides: Sizes | None = None,
    output_count: int = 1,
) -> Array | tuple[Array, Array]:
    """The largest value in each window and, when asked for, its place in the flattened input.

    A NaN is larger than any number; of equal ones the first counts.
    """
    windows = Windows.place(
        x.shape[2:],
        kernel_shape,
        strides=strides,
        pads=pads,
        dilations=dilations,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    padded = windows.padded(x, lowest)
    out = np.full(x.shape[:2] + windows.counts, lowest, x.dtype)
    if output_count == 1:
        for cell in windows.cells(padded):
            np.maximum(out, cell, out=out)
        return out
    area = math.prod(x.shape[2:])
    order: Literal["F", "C"] = "F" if storage_order else "C"
    places = windows.padded(np.arange(area).reshape(x.shape[2:], order=order)[None, None], -1)
    best = np.full(out.shape, -1, np.int64)
    for cell, place in zip(windows.cells(padded), windows.cells(places), strict=True):
        larger = (cell > out) | ((cell != cell) & (out == out))
        better = (larger | (best < 0)) & (place >= 0)
        out, best = np.where(better, cell, out), np.where(better, place, best)
    planes = np.arange(math.prod(x.shape[:2])) * area
    return out, best + planes.reshape(x.shape[:2] + (1,) * len(windows.counts))


def average_pool(
    x: Array,
    /,
    *,
    kernel_shape: Sizes,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sizes | None = None,
    pads: Sizes | None = None,
    strides: Sizes | None = None,
) -> Array:
    """The mean of each window; cells that only ceil_mode reaches never count."""
    windows = Windows.place(
        x.shape[2:],
        kernel_shape,
        strides=strides,
        pads=pads,
        dilations=dilations,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )
    padded = windows.padded(widened(x), 0)
    out = np.zeros(x.shape[:2] + windows.counts, padded.dtype)
    for cell in windows.cells(padded):
        out += cell
    counted = windows.padded(np.ones(x.shape[2:], padded.dtype), 0)
    if count_include_pad:
        sizes = zip(counted.shape, windows.excess, strict=True)
        counted = np.zeros_like(counted)
        counted[tuple(slice(0, size - excess) for size, excess in sizes)] = 1
    out /= sum(windows.cells(counted))
    return out.astype(x.dtype, copy=False)


def global_average_pool(x: Array, /) -> Array:
    """The mean over all spatial dimensions."""
    means = widened(x).mean(axis=tuple(range(2, x.ndim)), keepdims=True)
    return np.asarray(means).astype(x.dtype, copy=False)


def global_max_pool(x: Array, /) -> Array:
    """The largest value over all spatial dimensions."""
    return np.asarray(x.max(axis=tuple(range(2, x.ndim)), keepdims=True))


POOLING: dict[str, Callable[..., Array | tuple[Array, ...]]] = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
}
