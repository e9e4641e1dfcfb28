"""Uniform grids in values that anyone made: integers times a scale a tensor, channel or group."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.container import StoredTensor, uniform
from laconic.container.dtypes import Bits
from laconic.container.grids import GRIDS
from laconic.container.grids.grid import narrowest
from laconic.container.grids.numbers import MAX_NUMBERS
from laconic.container.grids.tiles import per_item, tile_counts
from laconic.pack.scales import ANY, ROUNDINGS, Rounding, codes_of, mixed_zeros, scales_of
from laconic.pack.tilings import PIECE, Shape, as_rows, boxes, floats, spread, tilings

LARGE_TILE = 1 << 20
"""Values; larger tiles are solved by a sample that grows where it fails."""
SAMPLE, LARGER_SAMPLE = (4, 2**8), (64, 2**14)
"""Tiles, and values of all of them, that are looked at first: few, then more."""
LARGE_SAMPLE = 4096
ROUNDS = 16
GAIN = 0.25
"""Bits a value that more scales must save."""
MANTISSA = 23
LOW_BITS = {"BF16": 0xFFFF, "F16": 0x1FFF}
"""Bits of a float32 that are 0 in a number of half precision."""
Scales = NDArray[np.float32]


def find_uniform(name: str, bits: Bits, dtype: str) -> StoredTensor | None:
    """The tensor as integers times scales, if that is exact; on the tiling that seems smallest.

    Args:
        name: the tensor's.
        bits: its values as unsigned integers, any shape.
        dtype: F32, F16 or BF16; others have no uniform grid.

    Examples:
        >>> codes = np.float32([[1, -2, 0, 3] * 4, [5, 7, -1, 0] * 4])
        >>> weights = codes * np.float32([[0.1], [0.26]])
        >>> find_uniform("w", weights.view("u4"), "F32").tables["scale"].tolist()
        [[0.10000000149011612], [0.25999999046325684]]
    """
    if dtype not in ROUNDINGS or not bits.size or not bits.ndim:
        return None
    possible = list(_possible(bits, dtype))
    # Not for the few tiles whose codes happen to have a common divisor.
    possible[1:] = [(bits_each + GAIN, tile, rounded) for bits_each, tile, rounded in possible[1:]]
    for _, tile, rounding in sorted(possible, key=itemgetter(0)):
        found = _scaled(name, bits, dtype, tile, rounding)
        if found is not None:
            return found
    return None


def _possible(bits: Bits, dtype: str) -> Iterator[tuple[float, Shape, Rounding]]:
    """Tilings that a sample fits, each with about the bits that a value will take.

    Where scales have few digits all values are also integers times one small scale, but large ones.
    """
    for tile in tilings(bits.shape):
        tiles = prod(tile_counts(bits.shape, tile))
        if tiles > MAX_NUMBERS:
            continue
        first, _ = _sampled(bits, dtype, tile, *SAMPLE)
        for rounding in _roundings(first, dtype):
            if not scales_of(first, rounding).all():
                continue
            more, inside = _sampled(bits, dtype, tile, *LARGER_SAMPLE)
            scale = scales_of(more, rounding)
            if scale.all():
                codes = np.rint(more / scale.astype(np.float64)[:, None])
                code_bits = float(np.log2(1 + codes).sum()) / inside
                yield code_bits + _bits_of(scale) * tiles / bits.size, tile, rounding
                break


def _bits_of(scales: Scales) -> int:
    """About the bits of each, coded: the digits behind the first, and some for its size."""
    digits = int(np.bitwise_or.reduce(scales.view(np.uint32) & np.uint32(0x7FFFFF)))
    trailing = (digits & -digits).bit_length() - 1 if digits else MANTISSA
    return MANTISSA - trailing + 4


def _roundings(sample: NDArray[np.float32], dtype: str) -> list[Rounding]:
    """What products may have been rounded to; float32 values may be numbers of half precision."""
    if dtype != "F32":
        return [ROUNDINGS[dtype]]
    patterns = sample.view(np.uint32)
    narrow = [name for name, low in LOW_BITS.items() if not (patterns & np.uint32(low)).any()]
    return [ROUNDINGS["F32"], *(ROUNDINGS[name] for name in narrow)]


def _sampled(
    bits: Bits, dtype: str, tile: Shape, tiles: int, values: int
) -> tuple[NDArray[np.float32], int]:
    """Magnitudes of some values of a few tiles, a row each, and how many there are.

    Where a tile is cut short stand zeros that are not counted.
    """
    counts = tile_counts(bits.shape, tile)
    places = np.unravel_index(spread(prod(counts), tiles), counts)
    within = np.unravel_index(spread(prod(tile), values // len(places[0])), tile)
    index, outside = [], np.zeros((1, 1), np.bool_)
    for place, step, offset, size in zip(places, tile, within, bits.shape, strict=True):
        at = place[:, None] * step + offset
        outside = outside | (at >= size)
        index.append(np.minimum(at, size - 1))
    magnitudes = np.abs(floats(bits[tuple(index)], dtype))
    return np.where(outside, np.float32(0), magnitudes), magnitudes.size - int(outside.sum())


def _scaled(
    name: str, bits: Bits, dtype: str, tile: Shape, rounding: Rounding
) -> StoredTensor | None:
    """The tensor on this tiling, or None."""
    counts = tile_counts(bits.shape, tile)
    scale = np.zeros(counts, np.float32)
    plus, minus = np.zeros(counts, np.bool_), np.zeros(counts, np.bool_)
    large = prod(tile) > LARGE_TILE
    solve = _large_scale if large else _small_scales
    for box, table in boxes(bits.shape, tile, 1 if large else PIECE):
        found = solve(bits[box], dtype, tile, rounding)
        if found is None:
            return None
        part = scale[table].shape
        scale[table], plus[table], minus[table] = (array.reshape(part) for array in found)
    scale = _filled(scale)
    minus_zero = bool((plus & minus).any())
    if not minus_zero:
        scale = np.where(minus, -scale, scale)
    return _coded(name, bits, dtype, tile, scale, rounding, minus_zero)


Found = tuple[Scales, NDArray[np.bool_], NDArray[np.bool_]]
"""Scales, and which tiles have a zero and a minus zero."""


def _small_scales(bits: Bits, dtype: str, tile: Shape, rounding: Rounding) -> Found | None:
    """Of all tiles in a box."""
    values = floats(bits, dtype)
    # Tiles cut short are filled with zeros, which would hide that they have minus zeros alone.
    zeros = mixed_zeros(as_rows(np.where(values == 0, values, np.float32(1)), tile))
    scale = scales_of(np.abs(as_rows(values, tile)), rounding)
    if not scale.all():
        return None
    return scale, *zeros


def _large_scale(bits: Bits, dtype: str, tile: Shape, rounding: Rounding) -> Found | None:
    """Of one tile: guessed from a sample, to which values are added that the guess does not fit."""
    places = np.unravel_index(spread(bits.size, LARGE_SAMPLE), bits.shape)
    sample = np.abs(floats(bits[places], dtype))
    for _ in range(ROUNDS):
        scale = scales_of(np.unique(sample)[None], rounding)
        if not scale.all():
            return None
        plus = minus = np.zeros(1, np.bool_)
        for box, _ in boxes(bits.shape, (1,) * bits.ndim):
            rows = floats(bits[box], dtype).reshape(1, -1)
            misfits = _misfits(np.abs(rows[0]), scale, rounding)
            if misfits.size:
                break
            here = mixed_zeros(rows)
            plus, minus = plus | here[0], minus | here[1]
        else:
            return scale, plus, minus
        sample = np.concatenate([sample, misfits[:LARGE_SAMPLE]])
    return None


def _misfits(
    magnitudes: NDArray[np.float32], scale: Scales, rounding: Rounding
) -> NDArray[np.float32]:
    """Values that are no integer times the scale; all zeros fit any scale."""
    if scale[0] == ANY:
        fits = magnitudes == 0
    else:
        fits = codes_of(magnitudes, scale, rounding)[1]
    return np.asarray(magnitudes[~fits])


def _filled(scale: Scales) -> Scales:
    """Tiles of zeros take the scale of a tile before them: equal neighbours code well."""
    flat = scale.reshape(-1)
    known = np.flatnonzero(flat != ANY)
    if not known.size:
        return np.ones(scale.shape, np.float32)
    before = np.searchsorted(known, np.arange(flat.size), side="right") - 1
    return np.asarray(flat[known[np.maximum(before, 0)]].reshape(scale.shape))


def _coded(
    name: str,
    bits: Bits,
    dtype: str,
    tile: Shape,
    scale: Scales,
    rounding: Rounding,
    minus_zero: bool,
) -> StoredTensor | None:
    """The codes of values on known scales, once they were seen to give every bit back."""
    flat = bits.reshape(-1)
    codes: NDArray[np.signedinteger[Any]] = np.zeros(flat.size, np.int8)
    for first in range(0, flat.size, PIECE):
        run = flat[first : first + PIECE]
        values = floats(run, dtype)
        each = per_item(scale, bits.shape, tile, first, run.size)
        factors = codes_of(np.abs(values), np.abs(each), rounding)[0]
        negative = np.signbit(values) ^ np.signbit(each)
        factors = np.where(negative, -factors - minus_zero, factors)
        here = narrowest(int(factors.min()), int(factors.max()))
        if here.itemsize > codes.itemsize:
            codes = codes.astype(here)
        codes[first : first + PIECE] = factors
    stored = uniform(
        name,
        codes.reshape(bits.shape),
        scale,
        tile=tile,
        dtype=dtype,
        rounding=rounding.dtype,
        minus_zero=minus_zero,
    )
    for first in range(0, flat.size, PIECE):
        part = codes[first : first + PIECE]
        again = GRIDS["uniform"].values(part, stored.tables, dtype, bits.shape, first)
        if not np.array_equal(again, flat[first : first + PIECE]):
            return None
    return stored
