"""Reading the header of a `.lac` file: which parts there are, and where (spec/format.md)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from math import prod

from laconic.coding.reader import Reader
from laconic.container.dtypes import BY_NUMBER, DTYPES
from laconic.container.layout import (
    MAGIC,
    MANY_DIMENSIONS,
    MAX_HEADER_BYTES,
    MAX_NAME_BYTES,
    MAX_NAMES_BYTES,
    MAX_SECTION_BYTES,
    MAX_TENSORS,
    SECTION_NAMES,
    VERSION,
    name_cost,
)
from laconic.container.shapes import MAX_DIMENSIONS, is_possible
from laconic.errors import FormatError

FOREIGN_STARTS = {b"PK": "a zip archive, such as .npz or .pt", b"\x80": "a pickle"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the header says of one tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    """Of the payload, from the start of the file."""
    length: int
    checksum: int
    place: int
    """Among the tensors of the file."""

    @property
    def count(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of the values when unpacked."""
        return self.count * DTYPES[self.dtype].size_bytes


@dataclass(frozen=True)
class Header:
    """Where everything is."""

    entries: dict[str, Entry] = field(default_factory=dict)
    sections: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Name → offset, length and checksum."""


def read_header(data: memoryview) -> Header:
    """The header, checked against its checksum and the length of the file.

    Raises:
        FormatError: these bytes are no `.lac` file, or a damaged one.
    """
    reader = Reader(data)
    _check_magic(reader)
    checksum = reader.u32()
    start = reader.position
    version = reader.u8()
    if version != VERSION:
        raise FormatError(
            f"version {version}; this reader knows version {VERSION} (is laconic up to date?)",
            start,
        )
    length = reader.varint()
    if length > MAX_HEADER_BYTES:
        raise FormatError(
            f"a header of {length:,} bytes; at most {MAX_HEADER_BYTES:,} can be", start + 1
        )
    begin = reader.position
    reader.take(length)
    end = reader.position
    if zlib.crc32(data[start:end]) != checksum:
        raise FormatError("the header's checksum is wrong: the file is damaged", 3)
    lines = Reader(data[begin:end], begin)
    header = Header()
    position = _read_entries(lines, end, header.entries)
    position = _read_sections(lines, position, header.sections)
    lines.end()
    if position != len(data):
        raise FormatError(f"the parts end at byte {position}, the file has {len(data)}", end)
    return header


def _check_magic(reader: Reader) -> None:
    magic = bytes(reader.data[: len(MAGIC)])
    if magic != MAGIC:
        known = [what for start, what in FOREIGN_STARTS.items() if magic.startswith(start)]
        found = f" (it may be {known[0]})" if known else ""
        raise FormatError(
            f"this is no .lac file: it starts with {magic!r}, not {MAGIC!r}{found}", 0
        )
    reader.take(len(MAGIC))


def _read_entries(lines: Reader, position: int, entries: dict[str, Entry]) -> int:
    """Fill `entries`; returns where the last payload ends."""
    previous, names_bytes = b"", 0
    for _ in range(lines.varint(min(lines.remaining, MAX_TENSORS))):
        shared = lines.varint(len(previous))
        raw = previous[:shared] + bytes(lines.take(lines.varint(MAX_NAME_BYTES - shared)))
        names_bytes += name_cost(raw)
        if names_bytes > MAX_NAMES_BYTES:
            raise lines.error(f"the names count more than {MAX_NAMES_BYTES:,} bytes")
        try:
            name = raw.decode()
        except UnicodeDecodeError as error:
            raise lines.error(f"the name {raw!r} is not UTF-8") from error
        dtype, shape = _read_kind(lines, name)
        length = lines.varint()
        if name in entries:
            raise lines.error(f"two tensors are named {name!r}")
        entries[name] = Entry(name, dtype, shape, position, length, lines.u32(), len(entries))
        position += length
        previous = raw
    return position


def _read_kind(lines: Reader, name: str) -> tuple[str, tuple[int, ...]]:
    """Dtype and shape."""
    head = lines.u8()
    if head & 31 not in BY_NUMBER:
        raise lines.error(f"{name}: no dtype has number {head & 31}")
    dimensions = head >> 5
    if dimensions == MANY_DIMENSIONS:
        dimensions = lines.varint(MAX_DIMENSIONS)
        if dimensions < MANY_DIMENSIONS:
            raise lines.error(f"{name}: {dimensions} dimensions have a shorter form")
    shape = tuple(lines.varint() for _ in range(dimensions))
    if not is_possible(shape):
        raise lines.error(f"{name}: a shape of {shape} is beyond any memory")
    return BY_NUMBER[head & 31].name, shape


def _read_sections(lines: Reader, position: int, sections: dict[str, tuple[int, int, int]]) -> int:
    """Fill `sections`; returns where the last one ends."""
    last = 0
    for _ in range(lines.varint(lines.remaining)):
        number = lines.u8()
        if number not in SECTION_NAMES or number <= last:
            raise lines.error(f"section {number} is unknown, repeated or out of order")
        name, length = SECTION_NAMES[number], lines.varint()
        if length > MAX_SECTION_BYTES.get(name, length):
            most = MAX_SECTION_BYTES[name]
            raise lines.error(f"the section {name} has {length:,} bytes; at most {most:,} can be")
        sections[name] = (position, length, lines.u32())
        position += length
        last = number
    return position
