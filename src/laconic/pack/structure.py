"""Structure in values that anyone made: few distinct values, or steps of one size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from laconic.container import StoredTensor, codebook, plain, uniform
from laconic.container.dtypes import Bits, from_bits

SAMPLE = 4096
"""Values looked at before all of them are."""
MOST_DISTINCT = 2**16
MOST_CODES = 2**15
"""Codes of a uniform grid that is looked for reach from minus this to this."""
MOST_SPLITS = 8
"""The smallest gap between values may be this many steps wide."""


def structured(name: str, bits: Bits, dtype: str) -> StoredTensor:
    """The smallest lossless form of a tensor: plain, codebook or uniform, by measured bytes.

    Args:
        name: the tensor's.
        bits: its values as unsigned integers, any shape.
        dtype: a key of `laconic.container.DTYPES`.

    Examples:
        >>> weights = np.float32([-3, 0, 1, 2, 0, 0, 1, 3] * 64) * np.float32(0.1)
        >>> structured("w", weights.view(np.uint32), "F32").grid
        'uniform'
    """
    candidates = [plain(name, bits, dtype)]
    if bits.size:
        if _has_few_values(bits):
            candidates.append(codebook(name, bits, dtype))
        if dtype == "F32":
            found = find_uniform(name, from_bits(bits, dtype))
            candidates += [found] if found else []
    return smallest(candidates)


def smallest(candidates: list[StoredTensor]) -> StoredTensor:
    """The candidate with the fewest bytes in a file, the first of equals."""
    if len(candidates) == 1:
        return candidates[0]
    return min(candidates, key=lambda stored: len(stored.payload))


def _spread(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """At most `SAMPLE` values from all over the array."""
    flat = values.reshape(-1)
    return flat[:: max(1, flat.size // SAMPLE)][:SAMPLE]


def _has_few_values(bits: Bits) -> bool:
    """Whether a table of values can be smaller than the values."""
    sample = _spread(bits)
    if len(np.unique(sample)) > 0.75 * len(sample):
        return False
    return len(np.unique(bits)) <= min(MOST_DISTINCT, bits.size)


def find_uniform(name: str, values: NDArray[np.float32]) -> StoredTensor | None:
    """The tensor as integers times a scale (one, or one a channel), if that is exact.

    Channels are the indices of the first axis, then of the last one.
    """
    if not np.isfinite(_spread(values).astype(np.float32)).all():
        return None
    scale = _scale_of(values)
    if scale is not None:
        return _uniform_if_exact(name, values, np.array([scale]), None)
    for axis in sorted({0, values.ndim - 1}) if values.ndim > 1 else []:
        rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        scales = []
        for row in rows:
            scale = _scale_of(row)
            if scale is None:
                break
            scales.append(scale)
        if len(scales) == len(rows):
            return _uniform_if_exact(name, values, np.array(scales, np.float32), axis)
    return None


def _uniform_if_exact(
    name: str, values: NDArray[np.float32], scales: NDArray[np.float32], axis: int | None
) -> StoredTensor | None:
    shaped = scales.reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    codes = np.rint(values.astype(np.float64) / shaped)
    if not np.abs(codes).max(initial=0) <= MOST_CODES:
        return None
    stored = uniform(name, codes.astype(np.int32), scales, axis)
    return stored if np.array_equal(stored.bits, values.view(np.uint32)) else None


def _scale_of(values: NDArray[np.float32]) -> np.float32 | None:
    """A float32 s with values = float32(k)·s for integers k; None when there is none.

    The smallest gap g between magnitudes is a few steps wide: s is near g, g/2, …. For each guess
    the codes are fixed, and every value confines s to an interval of half a unit in its last
    place; a float32 in all of them is the scale.
    """
    sample = np.unique(np.abs(_spread(values)))
    if len(sample) > 2 * MOST_CODES or (len(sample) > SAMPLE // 2 and values.size > SAMPLE):
        return None
    magnitudes = np.unique(np.abs(values)).astype(np.float64)
    magnitudes = magnitudes[magnitudes > 0]
    if not len(magnitudes):
        return np.float32(1)  # all zeros
    if not np.isfinite(magnitudes[-1]):
        return None
    gap = float(np.diff(magnitudes, prepend=0.0).min())
    for split in range(1, MOST_SPLITS + 1):
        scale = _confined(magnitudes, gap / split)
        if scale is not None:
            return scale
    return None


def _confined(magnitudes: NDArray[np.float64], guess: float) -> np.float32 | None:
    """The float32 nearest to `guess` that gives every magnitude exactly, or None."""
    # A gap is a difference of rounded numbers: the largest code must not amplify its error, so
    # the guess is refined on larger and larger magnitudes.
    for reach in (8.0, 64.0, 512.0, 4096.0, 32768.0):
        below = magnitudes[magnitudes <= reach * guess]
        if len(below):
            codes = np.rint(below / guess)
            if codes[-1] == 0:
                return None
            guess = float(below @ codes / (codes @ codes))
    codes = np.rint(magnitudes / guess)
    if codes[-1] > MOST_CODES or codes[0] == 0:
        return None
    half = np.spacing(magnitudes.astype(np.float32)).astype(np.float64) / 2
    low, high = ((magnitudes - half) / codes).max(), ((magnitudes + half) / codes).min()
    factors = codes.astype(np.float32)
    scale = np.float32(low)
    while scale <= high and scale > 0:
        if np.array_equal(factors * scale, magnitudes.astype(np.float32)):
            return scale
        scale = np.nextafter(scale, np.float32(np.inf))
        if scale - low > 64 * np.spacing(np.float32(low)):
            return None
    return None
