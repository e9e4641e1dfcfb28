"""Equal steps: integers times a scale, one for the tensor, a channel, a group, or any tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader
from laconic.container.dtypes import Bits
from laconic.container.grids.grid import CHUNK, FileGrid, Shape, Tables, check_range
from laconic.container.grids.numbers import read_numbers, write_numbers
from laconic.container.grids.tiles import per_item, read_tile, tile_counts, write_tile

MAX_CODE = 2**24  # integers up to here are exact in float32
ROUNDINGS = {"F32": ("F32", "F16", "BF16"), "F16": ("F16",), "BF16": ("BF16",)}
"""The tensor's dtype → what its products may be rounded to; a file holds the place in the list."""
WIDTHS = (1, 2, 4)
MINUS_ZERO = 16
"""Bit of the form byte."""


class Uniform(FileGrid):
    """value = float32(code) · scale, rounded once to float32, then to `rounding`.

    Tables: ``tile``, the tile shape; ``scale``, float32, one a tile in the shape of
    `tile_counts`, finite and not 0; ``width``, bytes of a code; ``rounding``, the place of the
    products' dtype in `ROUNDINGS`: a float32 tensor may hold products that somebody computed in
    half precision; ``minus_zero``: 1 where code -1 is minus zero, and -2 is -1 · scale, and so on.
    """

    name = "uniform"
    number = 2

    def write_tables(self, tables: Tables, dtype: str, shape: Shape) -> bytes:
        form = WIDTHS.index(int(tables["width"])) | int(tables["rounding"]) << 2
        form |= MINUS_ZERO * int(tables["minus_zero"])
        tile = tuple(tables["tile"].tolist())
        scale = np.ascontiguousarray(tables["scale"], "<f4").view("<u4")
        return bytes([form]) + write_tile(shape, tile) + write_numbers(scale)

    def read_tables(self, reader: Reader, dtype: str, shape: Shape) -> Tables:
        if dtype not in ROUNDINGS:
            raise reader.error(f"a uniform grid holds {', '.join(ROUNDINGS)}, not {dtype}")
        form = reader.u8()
        width, rounding, minus_zero = form & 3, form >> 2 & 3, form >> 4
        if width >= len(WIDTHS) or rounding >= len(ROUNDINGS[dtype]) or minus_zero > 1:
            raise reader.error(f"no uniform grid of {dtype} has the form {form}")
        tile = read_tile(reader, shape)
        start = reader.offset
        scale = read_numbers(reader, tile_counts(shape, tile), np.uint32).view(np.float32)
        if not (np.isfinite(scale).all() and scale.all()):
            raise Reader(b"", start).error("a scale is not finite, or 0")
        return {
            "tile": np.array(tile, np.int64),
            "scale": scale,
            "width": np.asarray(WIDTHS[width]),
            "rounding": np.asarray(rounding),
            "minus_zero": np.asarray(minus_zero),
        }

    def code_dtype(self, dtype: str, tables: Tables) -> np.dtype[Any]:
        return np.dtype(f"i{int(tables['width'])}")

    def check(
        self, reader: Reader, codes: NDArray[Any], tables: Tables, shape: Shape, start: int = 0
    ) -> None:
        check_range(reader, codes, -MAX_CODE, MAX_CODE)

    def values(
        self, codes: NDArray[Any], tables: Tables, dtype: str, shape: Shape, start: int = 0
    ) -> Bits:
        tile = tuple(tables["tile"].tolist())
        rounding = ROUNDINGS[dtype][int(tables["rounding"])]
        flat = codes.reshape(-1)
        out = np.empty(flat.size, "<u4" if dtype == "F32" else "<u2")
        for first in range(0, flat.size, CHUNK):
            run = flat[first : first + CHUNK]
            scale = per_item(tables["scale"], shape, tile, start + first, run.size)
            factors = run.astype(np.float32)
            if int(tables["minus_zero"]):
                factors = np.where(factors < 0, -(-1 - factors), factors)
            out[first : first + CHUNK] = products(factors, scale, dtype, rounding)
        return out.reshape(codes.shape)


def products(
    factors: NDArray[np.float32], scale: NDArray[np.float32], dtype: str, rounding: str
) -> Bits:
    """The bits, in `dtype`, of the products rounded to float32 and then to `rounding`.

    Examples:
        >>> products(np.float32([3]), np.float32([0.1]), "F32", "F16").view(np.float32)
        array([0.30004883], dtype=float32)
    """
    with np.errstate(over="ignore", under="ignore"):  # a hostile scale gives infinity, no warning
        single = factors * scale
        if rounding == "F16":
            half = single.astype(np.float16)
            return half.view("<u2") if dtype == "F16" else half.astype(np.float32).view("<u4")
    bits: Bits = single.view("<u4")
    if rounding == "F32":
        return bits
    # To the nearest with 8 bits, ties to even; no product is NaN, and infinity stays.
    bits = bits + (np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))
    top = bits >> np.uint32(16)
    return top.astype("<u2") if dtype == "BF16" else top << np.uint32(16)
