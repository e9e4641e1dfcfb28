"""Few distinct values: codes are places in a table of them, one for the tensor or one a tile."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader, varint
from laconic.container.dtypes import DTYPES, Bits
from laconic.container.grids.entries import MAX_ENTRIES, read_entries, write_entries
from laconic.container.grids.grid import CHUNK, FileGrid, Shape, Tables, check_range, narrowest
from laconic.container.grids.numbers import read_numbers, write_numbers
from laconic.container.grids.tiles import per_item, read_tile, tile_counts, write_tile

COUNT = np.dtype(np.uint16)
"""Entries of one side of one of several codebooks."""
MAX_CODEBOOKS = 2**16
"""Of one tensor."""


class Codebook(FileGrid):
    """Few distinct values, ordered: code 0 is 0, code -1 the value next below, 1 next above.

    Tables: ``below`` and ``above``, the bits of the values for codes -n…-1 and 1…m. The value
    with all bits zero has code 0 and is not stored; -0.0 is an entry like any other.
    """

    name = "codebook"
    number = 1

    def write_tables(self, tables: Tables, dtype: str, shape: Shape) -> bytes:
        below, above = tables["below"], tables["above"]
        counts = np.array(below.size), np.array(above.size)
        entries = np.concatenate([below, above])
        return varint(below.size) + varint(above.size) + write_entries(entries, *counts, dtype)

    def read_tables(self, reader: Reader, dtype: str, shape: Shape) -> Tables:
        below, above = reader.varint(MAX_ENTRIES), reader.varint(MAX_ENTRIES)
        entries = read_entries(reader, np.array(below), np.array(above), dtype)
        return {"below": entries[:below], "above": entries[below:]}

    def code_dtype(self, dtype: str, tables: Tables) -> np.dtype[Any]:
        return narrowest(-tables["below"].size, tables["above"].size)

    def check(
        self, reader: Reader, codes: NDArray[Any], tables: Tables, shape: Shape, start: int = 0
    ) -> None:
        check_range(reader, codes, -tables["below"].size, tables["above"].size)

    def values(
        self, codes: NDArray[Any], tables: Tables, dtype: str, shape: Shape, start: int = 0
    ) -> Bits:
        zero = np.zeros(1, DTYPES[dtype].bits)
        # Negative places count from the end of an array.
        entries = np.concatenate([zero, tables["above"], tables["below"]])
        flat = codes.reshape(-1)
        out = np.empty(flat.size, DTYPES[dtype].bits)
        for first in range(0, flat.size, CHUNK):
            out[first : first + CHUNK] = entries[flat[first : first + CHUNK]]
        return out.reshape(codes.shape)


class Codebooks(FileGrid):
    """A codebook for each tile (a channel, a group): codes are those of `Codebook` in each.

    Tables: ``tile``, the tile shape; ``below`` and ``above``, how many entries each tile has on
    that side, in the shape of `tile_counts`; ``entries``, bits: for each tile its entries below
    zero, a zero, and its entries above, in ascending order.
    """

    name = "codebooks"
    number = 3

    def write_tables(self, tables: Tables, dtype: str, shape: Shape) -> bytes:
        below, above = tables["below"], tables["above"]
        entries = np.delete(tables["entries"], _zeros(below, above).reshape(-1))
        return (
            write_tile(shape, tuple(tables["tile"].tolist()))
            + write_numbers(below.astype(COUNT))
            + write_numbers(above.astype(COUNT))
            + write_entries(entries, below, above, dtype)
        )

    def read_tables(self, reader: Reader, dtype: str, shape: Shape) -> Tables:
        tile = read_tile(reader, shape)
        counts = tile_counts(shape, tile)
        if prod(counts) > MAX_CODEBOOKS:
            raise reader.error(f"{prod(counts):,} codebooks; at most {MAX_CODEBOOKS:,} can be")
        below = read_numbers(reader, counts, COUNT).astype(np.int64)
        above = read_numbers(reader, counts, COUNT).astype(np.int64)
        listed = read_entries(reader, below, above, dtype)
        before = np.cumsum(below + above) - (below + above).reshape(-1)
        places = before + below.reshape(-1)
        entries = np.insert(listed, places, listed.dtype.type(0))
        return {
            "tile": np.array(tile, np.int64), "below": below, "above": above, "entries": entries
        }  # fmt: skip

    def code_dtype(self, dtype: str, tables: Tables) -> np.dtype[Any]:
        return narrowest(-int(tables["below"].max(initial=0)), int(tables["above"].max(initial=0)))

    def check(
        self, reader: Reader, codes: NDArray[Any], tables: Tables, shape: Shape, start: int = 0
    ) -> None:
        tile = tuple(tables["tile"].tolist())
        flat = codes.reshape(-1)
        for first in range(0, flat.size, CHUNK):
            run = flat[first : first + CHUNK]
            low = per_item(tables["below"], shape, tile, start + first, run.size)
            high = per_item(tables["above"], shape, tile, start + first, run.size)
            if (run < -low).any() or (run > high).any():
                raise reader.error("a code is outside the codebook of its tile")

    def values(
        self, codes: NDArray[Any], tables: Tables, dtype: str, shape: Shape, start: int = 0
    ) -> Bits:
        tile = tuple(tables["tile"].tolist())
        zeros = _zeros(tables["below"], tables["above"])
        flat = codes.reshape(-1)
        out = np.empty(flat.size, DTYPES[dtype].bits)
        for first in range(0, flat.size, CHUNK):
            run = flat[first : first + CHUNK]
            zero = per_item(zeros, shape, tile, start + first, run.size)
            out[first : first + CHUNK] = tables["entries"][zero + run]
        return out.reshape(codes.shape)


def _zeros(below: NDArray[Any], above: NDArray[Any]) -> NDArray[np.int64]:
    """Where each tile's zero stands among the entries of all."""
    sizes = (below + above + 1).reshape(-1).astype(np.int64)
    starts = np.cumsum(sizes) - sizes
    zeros: NDArray[np.int64] = (starts + below.reshape(-1)).reshape(below.shape)
    return zeros
