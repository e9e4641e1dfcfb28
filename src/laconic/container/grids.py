"""How integers in a file stand for values: the NumPy side of every Grid (spec/format.md)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from laconic import coding
from laconic.coding.reader import Reader, varint
from laconic.container.dtypes import DTYPES, Bits, from_bits, to_bits
from laconic.errors import UsageError

Tables = Mapping[str, NDArray[Any]]
MAX_UNIFORM_CODE = 2**24  # integers up to here are exact in float32
SCALAR_CODES = np.dtype(np.int32)


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """One tensor as a file holds it: integers, and the tables that give them values.

    `codes` has the tensor's shape. `grid` is a key of `GRIDS`; `tables` are that grid's own.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    grid: str
    codes: NDArray[Any]
    tables: Tables = field(default_factory=dict)

    @property
    def bits(self) -> Bits:
        """The values' bits, as unsigned integers of the tensor's shape."""
        return GRIDS[self.grid].values(self.codes, self.tables, self.dtype, self.shape)

    @cached_property
    def payload(self) -> bytes:
        """Grid number, tables, coded integers: the tensor's bytes in a file."""
        return write_payload(self)

    @property
    def values(self) -> NDArray[Any]:
        """The values as NumPy has them (bfloat16 widened to float32)."""
        return from_bits(self.bits, self.dtype)


class FileGrid(ABC):
    """Tables and codes to bytes and back, and codes to values, in NumPy alone."""

    name: ClassVar[str]
    number: ClassVar[int]
    """The byte that names this grid in a file; never used twice."""

    @abstractmethod
    def write_tables(self, tensor: StoredTensor) -> bytes:
        """What stands before the coded integers."""

    @abstractmethod
    def read_tables(self, reader: Reader, dtype: str, shape: tuple[int, ...]) -> Tables:
        """The tables again; FormatError when they are malformed."""

    @abstractmethod
    def code_dtype(self, dtype: str, tables: Tables) -> np.dtype[Any]:
        """The integers' dtype in memory and for the coder."""

    @abstractmethod
    def check(self, reader: Reader, codes: NDArray[Any], tables: Tables) -> None:
        """FormatError when a code has no value."""

    @abstractmethod
    def values(
        self,
        codes: NDArray[Any],
        tables: Tables,
        dtype: str,
        shape: tuple[int, ...],
        start: int = 0,
    ) -> Bits:
        """The bits of the values that `codes` stand for, in the shape of `codes`.

        Args:
            codes: a run of the codes of a tensor of `shape`, in C order; all of them by default.
            tables: the tensor's.
            dtype: the tensor's.
            shape: of the whole tensor.
            start: place of the first of `codes` in the flat tensor.
        """


class Plain(FileGrid):
    """No grid: the integers are the bits of the values themselves."""

    name = "plain"
    number = 0

    def write_tables(self, tensor: StoredTensor) -> bytes:
        return b""

    def read_tables(self, reader: Reader, dtype: str, shape: tuple[int, ...]) -> Tables:
        return {}

    def code_dtype(self, dtype: str, tables: Tables) -> np.dtype[Any]:
        return DTYPES[dtype].bits

    def check(self, reader: Reader, codes: NDArray[Any], tables: Tables) -> None:
        pass

    def values(
        self,
        codes: NDArray[Any],
        tables: Tables,
        dtype: str,
        shape: tuple[int, ...],
        start: int = 0,
    ) -> Bits:
        return codes


class Codebook(FileGrid):
    """Few distinct values, ordered: code 0 is 0, code -1 the value next below, 1 next above.

    Tables: ``below`` and ``above``, the bits of the values for codes -n…-1 and 1…m. The value
    with all bits zero has code 0 and is not stored; -0.0 is an entry like any other.
    """

    name = "codebook"
    number = 1

    def write_tables(self, tensor: StoredTensor) -> bytes:
        below, above = tensor.tables["below"], tensor.tables["above"]
        return varint(len(below)) + varint(len(above)) + below.tobytes() + above.tobytes()

    def read_tables(self, reader: Reader, dtype: str, shape: tuple[int, ...]) -> Tables:
        below, above = reader.varint(), reader.varint()
        width = DTYPES[dtype]
        data = reader.take((below + above) * width.size_bytes)
        entries = np.frombuffer(data, width.bits)
        return {"below": entries[:below], "above": entries[below:]}

    def code_dtype(self, dtype: str, tables: Tables) -> np.dtype[Any]:
        return SCALAR_CODES

    def check(self, reader: Reader, codes: NDArray[Any], tables: Tables) -> None:
        _check_range(reader, codes, -len(tables["below"]), len(tables["above"]))

    def values(
        self,
        codes: NDArray[Any],
        tables: Tables,
        dtype: str,
        shape: tuple[int, ...],
        start: int = 0,
    ) -> Bits:
        below, above = tables["below"], tables["above"]
        entries = np.concatenate([below, np.zeros(1, below.dtype), above])
        return np.asarray(entries[codes + len(below)])


class Uniform(FileGrid):
    """Equal steps: value = float32(code) · scale, one scale for the tensor or one a channel.

    Tables: ``scale``, float32, shape ``[1]`` or ``[shape[axis]]``, positive and finite;
    ``axis``, int, shape ``[]``, -1 for one scale. Float32 tensors only.
    """

    name = "uniform"
    number = 2

    def write_tables(self, tensor: StoredTensor) -> bytes:
        scale = np.asarray(tensor.tables["scale"], "<f4")
        return varint(int(tensor.tables["axis"]) + 1) + scale.tobytes()

    def read_tables(self, reader: Reader, dtype: str, shape: tuple[int, ...]) -> Tables:
        if dtype != "F32":
            raise reader.error(f"a uniform grid holds F32, not {dtype}")
        axis = reader.varint(len(shape)) - 1
        count = 1 if axis < 0 else shape[axis]
        start = reader.offset
        scale = np.frombuffer(reader.take(4 * count), "<f4")
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise Reader(b"", start).error("a scale is not a positive finite number")
        return {"scale": scale, "axis": np.asarray(axis)}

    def code_dtype(self, dtype: str, tables: Tables) -> np.dtype[Any]:
        return SCALAR_CODES

    def check(self, reader: Reader, codes: NDArray[Any], tables: Tables) -> None:
        _check_range(reader, codes, -MAX_UNIFORM_CODE, MAX_UNIFORM_CODE)

    def values(
        self,
        codes: NDArray[Any],
        tables: Tables,
        dtype: str,
        shape: tuple[int, ...],
        start: int = 0,
    ) -> Bits:
        axis, scale = int(tables["axis"]), tables["scale"].reshape(-1)
        if axis >= 0:
            inner = prod(shape[axis + 1 :])
            channel = np.arange(start, start + codes.size) // max(1, inner) % max(1, shape[axis])
            scale = scale[channel.reshape(codes.shape)]
        with np.errstate(over="ignore"):  # a hostile scale gives infinity, not a warning
            return to_bits(codes.astype(np.float32) * scale).reshape(codes.shape)


GRIDS: dict[str, FileGrid] = {grid.name: grid for grid in (Plain(), Codebook(), Uniform())}
GRID_NUMBERS = {grid.number: grid for grid in GRIDS.values()}


def _check_range(reader: Reader, codes: NDArray[Any], low: int, high: int) -> None:
    if codes.size and not low <= int(codes.min()) <= int(codes.max()) <= high:
        raise reader.error(
            f"codes from {codes.min()} to {codes.max()} are outside the grid [{low}, {high}]"
        )


def plain(name: str, bits: Bits, dtype: str) -> StoredTensor:
    """A tensor whose values are kept as they are, bit for bit."""
    return StoredTensor(name, dtype, bits.shape, "plain", bits)


def codebook(name: str, bits: Bits, dtype: str) -> StoredTensor:
    """A tensor as codes into the table of its distinct values; exact for any bits.

    Examples:
        >>> stored = codebook("w", to_bits(np.float32([0.5, 0, -2, 0.5])), "F32")
        >>> stored.codes.tolist(), stored.values.tolist()
        ([1, 0, -1, 1], [0.5, 0.0, -2.0, 0.5])
    """
    distinct = np.unique(bits)
    codes = np.searchsorted(distinct, bits)  # four times faster than unique's own inverse
    order = _value_order(distinct, dtype)
    negative = _is_negative(distinct, dtype)
    zero = distinct == 0
    # The rank of each distinct value among those on its side of zero.
    rank = np.empty(len(distinct), np.int64)
    below = order[negative[order]]
    above = order[~negative[order] & ~zero[order]]
    rank[below] = np.arange(-len(below), 0)
    rank[above] = np.arange(1, len(above) + 1)
    rank[zero] = 0
    return StoredTensor(
        name,
        dtype,
        bits.shape,
        "codebook",
        rank[codes].astype(SCALAR_CODES).reshape(bits.shape),
        {"below": distinct[below], "above": distinct[above]},
    )


def uniform(
    name: str, codes: NDArray[Any], scale: NDArray[np.float32], axis: int | None
) -> StoredTensor:
    """A float32 tensor as integers times a scale (one, or one for each index of `axis`).

    Raises:
        UsageError: a code is too large for float32 to hold exactly.
    """
    if codes.size and int(np.abs(codes).max()) > MAX_UNIFORM_CODE:
        raise UsageError(f"{name}: a code is beyond ±2^24; use fewer bits")
    tables = {"scale": scale, "axis": np.asarray(-1 if axis is None else axis)}
    return StoredTensor(name, "F32", codes.shape, "uniform", codes.astype(SCALAR_CODES), tables)


def _is_negative(bits: Bits, dtype: str) -> NDArray[np.bool_]:
    """Where the sign bit is set (signed and float types)."""
    if dtype[0] in "UBC" and dtype != "BF16":
        return np.zeros(bits.shape, np.bool_)
    top = np.array(1 << (8 * bits.dtype.itemsize - 1), bits.dtype)
    return np.asarray((bits & top) != 0)


def _value_order(bits: Bits, dtype: str) -> NDArray[np.intp]:
    """Indices that sort the bit patterns by value: a float's negatives run backwards."""
    if dtype[0] not in "FB" or dtype == "BOOL":
        signed = bits.view(f"<i{bits.dtype.itemsize}") if dtype[0] == "I" else bits
        return np.argsort(signed, kind="stable")
    negative = _is_negative(bits, dtype)
    descending = np.argsort(bits[negative], kind="stable")[::-1]
    return np.concatenate([np.flatnonzero(negative)[descending], np.flatnonzero(~negative)])


def write_payload(tensor: StoredTensor) -> bytes:
    """Grid number, tables, coded integers: the bytes of one tensor in a file."""
    grid = GRIDS[tensor.grid]
    tables = grid.write_tables(tensor)
    return bytes([grid.number]) + tables + coding.smallest(tensor.codes)


def read_payload(
    reader: Reader, grid: FileGrid, name: str, dtype: str, shape: tuple[int, ...]
) -> StoredTensor:
    """The tensor again, from the bytes after its grid number; FormatError when they are damaged."""
    tables = grid.read_tables(reader, dtype, shape)
    codes = coding.decode(reader, shape, grid.code_dtype(dtype, tables))
    grid.check(reader, codes, tables)
    return StoredTensor(name, dtype, shape, grid.name, codes, tables)
