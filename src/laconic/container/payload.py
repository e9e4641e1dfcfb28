"""The payload of one tensor: held against its checksum, decoded whole or in parts."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic import coding
from laconic.coding import Run
from laconic.coding.blocks import read_table
from laconic.coding.integers import blank
from laconic.coding.reader import Reader
from laconic.container.checksums import joined
from laconic.container.dtypes import DTYPES, Bits
from laconic.container.grids import Head, StoredTensor, read_head
from laconic.container.grids.row_index import spread_rows
from laconic.container.header import Entry
from laconic.errors import FormatError

MOST_JOINED = 2**12
"""Blocks whose checksums are joined; hashing all bytes is faster beyond."""


def part(data: memoryview, offset: int, length: int, checksum: int, what: str) -> memoryview:
    """Bytes of a file, once their checksum is right.

    Raises:
        FormatError: it is not, or the file ends before.
    """
    found = _cut(data, offset, length, what)
    if zlib.crc32(found) != checksum:
        raise FormatError(f"{what}: the checksum is wrong, the bytes are damaged", offset)
    return found


def _cut(data: memoryview, offset: int, length: int, what: str) -> memoryview:
    found = data[offset : offset + length]
    if len(found) != length:
        raise FormatError(f"{what}: the file ends before its {length} bytes", offset)
    return found


@dataclass(frozen=True)
class Payload:
    """An opened payload: its tables are read, its codes are not decoded yet.

    Of codes in blocks only the head was looked at: a block is held against its own checksum when
    it is decoded, so that a part of a tensor costs no more than its blocks.
    """

    entry: Entry
    """Whose bytes these are."""
    head: Head
    coded: memoryview
    """The coded array."""
    offset: int
    """Of the coded array, from the start of the file."""

    @property
    def coder(self) -> str:
        """The name of the coder that holds the codes."""
        return coding.coder_of(self.coded)

    @property
    def _reader(self) -> Reader:
        return Reader(self.coded, self.offset)

    @property
    def _code_dtype(self) -> np.dtype[Any]:
        return self.head.grid.code_dtype(self.entry.dtype, self.head.tables)

    def stored(self, name: str, threads: int = 1) -> StoredTensor:
        """Codes and tables, under the name of a tensor that has them."""
        head, entry = self.head, self.entry
        codes = self._codes(threads)
        found = StoredTensor(name, entry.dtype, head.shape, head.grid.name, codes, head.tables)
        if head.index is None:
            return found
        return StoredTensor(name, entry.dtype, entry.shape, "rows", head.index, rows=found)

    def _codes(self, threads: int) -> NDArray[Any]:
        """All of them, checked."""
        head = self.head
        codes = coding.decode(self._reader, head.code_shape, self._code_dtype, threads)
        head.grid.check(self._reader, codes, head.tables, head.shape)
        return codes

    @property
    def _is_whole(self) -> bool:
        """Whether no part of the values can be made alone."""
        return self.head.index is not None or self.head.grid.whole

    def runs(self) -> Iterator[Run]:
        """The codes in runs that can be decoded alone."""
        return coding.runs(self._reader, self.head.code_shape, self._code_dtype)

    def _values(self, run: Run) -> Bits:
        """The bits of the values of a run, in its shape."""
        head, codes = self.head, run.decode()
        head.grid.check(self._reader, codes, head.tables, head.shape, run.start)
        return head.grid.values(codes, head.tables, self.entry.dtype, head.shape, run.start)

    def bits(self, threads: int = 1) -> Bits:
        """The bits of all values: one array, filled block by block."""
        if self.head.grid.whole:
            return self._bits_at_once(threads)
        runs = self.runs()
        if self.head.index is None and self.coder not in ("blocks", "raw"):
            return self._values(next(runs))
        dtype = DTYPES[self.entry.dtype].bits
        out: Bits = blank(self.entry.shape, dtype, self._reader).view(dtype)
        flat = out.reshape(-1)

        def fill(run: Run) -> None:
            flat[run.start : run.stop] = self._values(run).reshape(-1)

        coding.for_each(runs, fill, threads)
        if self.head.index is not None:
            spread_rows(out, self.head.index)
        return out

    def _bits_at_once(self, threads: int) -> Bits:
        """Of a grid that makes its values of all codes."""
        head, entry = self.head, self.entry
        values = head.grid.values(self._codes(threads), head.tables, entry.dtype, head.shape)
        if head.index is None:
            return values
        out: Bits = blank(entry.shape, values.dtype, self._reader).view(values.dtype)
        out[: len(values)] = values
        spread_rows(out, head.index)
        return out

    def pieces(self) -> Iterator[tuple[int, Bits]]:
        """Flat start and bits of each run in turn: the whole tensor in little memory.

        Where rows repeat, or a code stands for several values, it is decoded whole.
        """
        if self._is_whole:
            yield 0, self.bits()
            return
        for run in self.runs():
            yield run.start, self._values(run)

    def bits_from(self, start: int, stop: int) -> Bits:
        """The bits of places `start` to before `stop` of the flat tensor; reads their blocks alone.

        Where rows repeat, or a code stands for several values, the tensor is decoded whole.
        """
        if self._is_whole:
            return self.bits().reshape(-1)[start:stop].copy()
        out = np.empty(stop - start, DTYPES[self.entry.dtype].bits)
        for run in self.runs():
            low, high = max(start, run.start), min(stop, run.stop)
            if low < high:
                values = self._values(run).reshape(-1)
                out[low - start : high - start] = values[low - run.start : high - run.start]
        return out


def open_payload(data: memoryview, entry: Entry) -> Payload:
    """The payload of a tensor that is no `same`.

    Raises:
        FormatError: its bytes are damaged or malformed.
    """
    whole = _cut(data, entry.offset, entry.length, entry.name)
    try:
        payload = _parsed(whole, entry)
        covered = _head_checksum(whole, payload)
    except FormatError:
        part(data, entry.offset, entry.length, entry.checksum, entry.name)  # damaged, or hostile?
        raise
    if covered is None:
        covered = zlib.crc32(whole)
    if covered != entry.checksum:
        raise FormatError(
            f"{entry.name}: the checksum is wrong, the bytes are damaged", entry.offset
        )
    return payload


def _parsed(whole: memoryview, entry: Entry) -> Payload:
    reader = Reader(whole, entry.offset)
    head = read_head(reader, entry.name, entry.dtype, entry.shape)
    return Payload(entry, head, whole[reader.position :], reader.offset)


def _head_checksum(whole: memoryview, payload: Payload) -> int | None:
    """The checksum of a payload in blocks, from its head and what that says of the blocks."""
    shape = payload.head.code_shape
    if payload.coder != "blocks" or prod(shape) == 0:
        return None
    reader = Reader(payload.coded[1:], payload.offset + 1)
    _, table = read_table(reader, shape)
    if len(table) > MOST_JOINED:
        return None
    checksum = zlib.crc32(whole[: len(whole) - reader.remaining])
    for length, block in table.tolist():
        checksum = joined(checksum, block, length)
    return checksum
