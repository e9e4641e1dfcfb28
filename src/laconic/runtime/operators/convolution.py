"""Conv."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from laconic.runtime.operators.arrays import Array, widened
from laconic.runtime.operators.windows import Sizes, Windows

COLUMN_VALUES = 2**18
"""Unroll as many images at a time as give about this many values: they stay in the L2 cache."""


def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    /,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sizes | None = None,
    group: int = 1,
    kernel_shape: Sizes | None = None,
    pads: Sizes | None = None,
    strides: Sizes | None = None,
) -> Array:
    """Cross-correlation: ``x [n, c, *sizes]``, ``w [o, c / group, *kernel]``, ``b [o]``.

    Gives ``[n, o, *counts]``. Unrolled windows times the weight as a matrix, group by group.
    """
    kernel = w.shape[2:]
    if kernel_shape not in (None, kernel):
        raise ValueError(f"kernel_shape is {kernel_shape}, the weight's kernel {kernel}")
    images, channels, outputs = x.shape[0], x.shape[1], w.shape[0]
    if channels != group * w.shape[1] or outputs % group:
        raise ValueError(f"{channels} channels, {group} groups, a weight of {w.shape}")
    windows = Windows.place(
        x.shape[2:], kernel, strides=strides, pads=pads, dilations=dilations, auto_pad=auto_pad
    )
    padded = windows.padded(widened(x), 0)
    depth = w.shape[1] * math.prod(kernel)
    positions = math.prod(windows.counts)
    weight = widened(w).reshape(group, outputs // group, depth)
    out = np.empty((images, group, outputs // group, positions), weight.dtype)
    chunk = max(1, COLUMN_VALUES // max(1, group * depth * positions))
    for start in range(0, images, chunk):
        columns = windows.columns(padded[start : start + chunk])
        part = columns.reshape(len(columns), group, depth, positions)
        np.matmul(weight, part, out=out[start : start + chunk])
    if b is not None:
        out += widened(b).reshape(group, outputs // group, 1)
    return out.reshape(images, outputs, *windows.counts).astype(x.dtype, copy=False)


CONVOLUTION: dict[str, Callable[..., Array]] = {"Conv": conv}
