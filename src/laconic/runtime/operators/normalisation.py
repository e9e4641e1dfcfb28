"""Subtract a mean, divide by a deviation, scale and shift; and dropout, which then does nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from laconic.errors import UnsupportedError
from laconic.runtime.operators.arrays import Array, widened


def batch_normalization(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    /,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Array:
    """(x − mean) / √(variance + ε) · scale + bias, one of each per channel (dimension 1).

    `momentum` has a meaning only in training.
    """
    if training_mode:
        raise UnsupportedError("BatchNormalization in training mode; export the model in eval mode")
    factor = widened(scale) / np.sqrt(widened(variance) + variance.dtype.type(epsilon))
    shift = widened(bias) - widened(mean) * factor
    channels = (-1,) + (1,) * (x.ndim - 2)
    out: Array = widened(x) * factor.reshape(channels)
    out += shift.reshape(channels)
    return out.astype(x.dtype, copy=False)


def _standardised(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    """(x − mean) / √(variance + ε) over `axes`, the mean, and the inverse deviation."""
    mean = x.mean(axis=axes, keepdims=True)
    centred = x - mean
    variance = np.square(centred).mean(axis=axes, keepdims=True)
    inverse = x.dtype.type(1) / np.sqrt(variance + x.dtype.type(epsilon))
    return centred * inverse, mean, inverse


def layer_normalization(
    x: Array,
    scale: Array,
    bias: Array | None = None,
    /,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> tuple[Array, Array, Array]:
    """Standardised over the dimensions from `axis` on, then scaled and shifted.

    Gives mean and inverse deviation too. `stash_type` 1 asks for at least float32 inside, which
    holds here always.
    """
    wide = widened(x)
    out, mean, inverse = _standardised(wide, tuple(range(axis % x.ndim, x.ndim)), epsilon)
    out *= widened(scale)
    if bias is not None:
        out += widened(bias)
    return out.astype(x.dtype, copy=False), mean, inverse


def instance_normalization(
    x: Array, scale: Array, bias: Array, /, *, epsilon: float = 1e-5
) -> Array:
    """Standardised over the spatial dimensions of each image and channel."""
    out, _, _ = _standardised(widened(x), tuple(range(2, x.ndim)), epsilon)
    channels = (-1,) + (1,) * (x.ndim - 2)
    out *= widened(scale).reshape(channels)
    out += widened(bias).reshape(channels)
    return out.astype(x.dtype, copy=False)


def group_normalization(
    x: Array,
    scale: Array,
    bias: Array,
    /,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Array:
    """Standardised over groups of channels of one image (arXiv:1803.08494).

    Scale and bias come one per channel (opset 21) or one per group (opset 18): their length tells.
    """
    images, channels, area = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    grouped = widened(x).reshape(images, num_groups, channels // num_groups, area)
    out, _, _ = _standardised(grouped, (2, 3), epsilon)
    per_channel = (num_groups, -1, 1) if scale.size == channels else (num_groups, 1, 1)
    out *= widened(scale).reshape(per_channel)
    out += widened(bias).reshape(per_channel)
    return out.reshape(x.shape).astype(x.dtype, copy=False)


def dropout(
    x: Array,
    ratio: Array | None = None,
    training: Array | None = None,
    /,
    *,
    seed: int = 0,
) -> tuple[Array, Array]:
    """x itself, and a mask that is true everywhere; `ratio` and `seed` matter in training alone."""
    if training is not None and training.any():
        raise UnsupportedError("Dropout in training mode; export the model in eval mode")
    return x, np.broadcast_to(np.True_, x.shape)


NORMALISATION: dict[str, Callable[..., Array | tuple[Array, ...]]] = {
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "Dropout": dropout,
}
