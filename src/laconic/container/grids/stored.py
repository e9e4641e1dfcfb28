"""One tensor as a file holds it, and its payload: grid number, tables, coded integers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic import coding
from laconic.coding.reader import Reader
from laconic.container.dtypes import Bits, from_bits
from laconic.container.grids import row_index as repeated
from laconic.container.grids.codebook_grid import Codebook, Codebooks
from laconic.container.grids.grid import FileGrid, Tables
from laconic.container.grids.plain_grid import Plain
from laconic.container.grids.products_grid import Products
from laconic.container.grids.uniform_grid import Uniform

GRIDS: dict[str, FileGrid] = {
    grid.name: grid for grid in (Plain(), Codebook(), Uniform(), Codebooks(), Products())
}
GRID_NUMBERS = {grid.number: grid for grid in GRIDS.values()}


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """One tensor as a file holds it: integers, and the tables that give them values.

    `grid` is a key of `GRIDS`, and `tables` are that grid's own; `codes` has the tensor's shape, or
    the grid's `code_shape` for it.
    Or `grid` is ``"rows"``, `codes` has a number for each index of the first axis, the place of
    its values in `rows`, and there are no tables.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    grid: str
    codes: NDArray[Any]
    tables: Tables = field(default_factory=dict)
    rows: StoredTensor | None = None
    """The distinct rows, in another form than this."""
    coding: str = "smallest"
    """A key of `laconic.coding.PRESETS`: which coders may hold the codes."""

    @property
    def bits(self) -> Bits:
        """The values' bits, as unsigned integers of the tensor's shape."""
        if self.rows is not None:
            return np.asarray(self.rows.bits[self.codes])
        return GRIDS[self.grid].values(self.codes, self.tables, self.dtype, self.shape)

    @cached_property
    def pieces(self) -> list[bytes]:
        """Grid number, tables, coded integers: the tensor's bytes in a file, one after the other.

        In pieces, because large ones would be in memory twice to become one.
        """
        before, codes = head(self)
        return [before, *coding.chosen(codes, self.coding)]

    @property
    def payload(self) -> bytes:
        """The `pieces` as one."""
        return b"".join(self.pieces)

    @property
    def payload_bytes(self) -> int:
        """How many bytes the tensor takes in a file."""
        return sum(map(len, self.pieces))

    @property
    def values(self) -> NDArray[Any]:
        """The values as NumPy has them (bfloat16 widened to float32)."""
        return from_bits(self.bits, self.dtype)


def head(tensor: StoredTensor) -> tuple[bytes, NDArray[Any]]:
    """What stands before the coded integers in a payload, and these integers."""
    if tensor.rows is not None:
        behind, codes = head(tensor.rows)
        return bytes([repeated.NUMBER]) + repeated.write_index(tensor.codes) + behind, codes
    grid = GRIDS[tensor.grid]
    tables = grid.write_tables(tensor.tables, tensor.dtype, tensor.shape)
    return bytes([grid.number]) + tables, tensor.codes


@dataclass(frozen=True)
class Head:
    """What a payload says before its coded integers."""

    grid: FileGrid
    tables: Tables
    index: repeated.Index | None
    """Where rows repeat: the place of each among those that the codes stand for."""
    shape: tuple[int, ...]
    """Of the values that the codes stand for."""

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Of the codes."""
        return self.grid.code_shape(self.tables, self.shape)


def read_head(reader: Reader, name: str, dtype: str, shape: tuple[int, ...]) -> Head:
    """What `head` wrote; `reader` then stands before the coded integers.

    Raises:
        FormatError: tables are malformed.
    """
    index = None
    number = reader.u8()
    if number == repeated.NUMBER:
        index = repeated.read_index(reader, shape)
        shape = (int(index.max()) + 1, *shape[1:])
        number = reader.u8()
    if number not in GRID_NUMBERS:
        reader.position -= 1
        raise reader.error(
            f"{name}: no grid {'of rows ' if index is not None else ''}has number {number}"
        )
    grid = GRID_NUMBERS[number]
    return Head(grid, grid.read_tables(reader, dtype, shape), index, shape)
