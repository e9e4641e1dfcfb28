"""The `.lac` file, version 1: written whole, read one tensor at a time (spec/format.md)."""

from __future__ import annotations

import contextlib
import mmap
import os
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from laconic import coding
from laconic.coding.reader import Reader
from laconic.container.dtypes import BY_NUMBER, DTYPES, Bits, from_bits
from laconic.container.grids import (
    GRID_NUMBERS,
    FileGrid,
    StoredTensor,
    read_payload,
)
from laconic.container.layout import (
    MAGIC,
    MANY_DIMENSIONS,
    MAX_NAME_BYTES,
    SAME,
    SECTION_NAMES,
    VERSION,
)
from laconic.container.shapes import MAX_DIMENSIONS, is_possible
from laconic.errors import FormatError, MismatchError

MAX_BYTES = 2**32
"""Refuse files that would unpack to more than this, unless the caller allows it."""
MAX_NAMES_BYTES = 2**26
"""Of all names together: each takes up what it shares with the one before."""
FOREIGN_STARTS = {b"PK": "a zip archive, such as .npz or .pt", b"\x80": "a pickle"}


@dataclass(frozen=True)
class Entry:
    """What the header says of one tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    """Of the payload, from the start of the file."""
    length: int
    checksum: int

    @property
    def count(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of the values when unpacked."""
        return self.count * DTYPES[self.dtype].size_bytes


class LacFile:
    """An open `.lac` file; the header is read and checked, tensors are decoded on request.

    Args:
        source: a path (memory-mapped) or the bytes themselves.
        max_bytes: refuse a file whose tensors would unpack to more bytes than this.

    Raises:
        FormatError: from the constructor and from every reading method, with the offset.
    """

    def __init__(
        self, source: str | os.PathLike[str] | bytes, *, max_bytes: int = MAX_BYTES
    ) -> None:
        self._map: mmap.mmap | None = None
        if isinstance(source, bytes):
            self.data = memoryview(source)
        else:
            self.data = self._mapped(Path(source))
        try:
            self._read_header(max_bytes)
        except FormatError:
            self.close()
            raise

    def _mapped(self, path: Path) -> memoryview:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise FormatError("the file is empty", 0)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return memoryview(self._map)

    def close(self) -> None:
        """Release the mapping; arrays read before stay valid."""
        self.data.release()
        if self._map is not None:
            # A table or an error's traceback may still look into the map; it goes with them.
            with contextlib.suppress(BufferError):
                self._map.close()

    def __enter__(self) -> LacFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read_header(self, max_bytes: int) -> None:
        reader = Reader(self.data)
        magic = bytes(self.data[:3])
        if magic != MAGIC:
            known = [what for start, what in FOREIGN_STARTS.items() if magic.startswith(start)]
            found = f" (it may be {known[0]})" if known else ""
            raise FormatError(
                f"this is no .lac file: it starts with {magic!r}, not {MAGIC!r}{found}", 0
            )
        reader.take(3)
        checksum = reader.u32()
        start = reader.position
        version = reader.u8()
        if version != VERSION:
            raise FormatError(
                f"version {version}; this reader knows version {VERSION} (is laconic up to date?)",
                start,
            )
        length = reader.varint()
        begin = reader.position
        reader.take(length)
        end = reader.position
        if zlib.crc32(self.data[start:end]) != checksum:
            raise FormatError("the header's checksum is wrong: the file is damaged", 3)
        self.entries: dict[str, Entry] = {}
        self.sections: dict[str, tuple[int, int, int]] = {}
        header = Reader(self.data[begin:end], begin)
        position = self._read_entries(header, end)
        self.names = list(self.entries)
        self.places = {name: place for place, name in enumerate(self.names)}
        position = self._read_sections(header, position)
        header.end()
        if position != len(self.data):
            raise FormatError(
                f"the parts end at byte {position}, the file has {len(self.data)}", end
            )
        total = sum(entry.size_bytes for entry in self.entries.values())
        if total > max_bytes:
            raise FormatError(
                f"the tensors unpack to {total:,} bytes; {max_bytes:,} are allowed (max_bytes)", 0
            )

    def _read_entries(self, header: Reader, position: int) -> int:
        previous, names_bytes = b"", 0
        for _ in range(header.varint(header.remaining)):
            shared = header.varint(len(previous))
            raw = previous[:shared] + bytes(header.take(header.varint(MAX_NAME_BYTES - shared)))
            names_bytes += len(raw)
            if names_bytes > MAX_NAMES_BYTES:
                raise header.error(f"the names take more than {MAX_NAMES_BYTES:,} bytes")
            try:
                name = raw.decode()
            except UnicodeDecodeError as error:
                raise header.error(f"the name {raw!r} is not UTF-8") from error
            head = header.u8()
            if head & 31 not in BY_NUMBER:
                raise header.error(f"{name}: no dtype has number {head & 31}")
            dimensions = head >> 5
            if dimensions == MANY_DIMENSIONS:
                dimensions = header.varint(MAX_DIMENSIONS)
                if dimensions < MANY_DIMENSIONS:
                    raise header.error(f"{name}: {dimensions} dimensions have a shorter form")
            shape = tuple(header.varint() for _ in range(dimensions))
            if not is_possible(shape):
                raise header.error(f"{name}: a shape of {shape} is beyond any memory")
            length = header.varint()
            if name in self.entries:
                raise header.error(f"two tensors are named {name!r}")
            dtype = BY_NUMBER[head & 31].name
            self.entries[name] = Entry(name, dtype, shape, position, length, header.u32())
            position += length
            previous = raw
        return position

    def _read_sections(self, header: Reader, position: int) -> int:
        last = 0
        for _ in range(header.varint(header.remaining)):
            number = header.u8()
            if number not in SECTION_NAMES or number <= last:
                raise header.error(f"section {number} is unknown, repeated or out of order")
            length = header.varint()
            self.sections[SECTION_NAMES[number]] = (position, length, header.u32())
            position += length
            last = number
        return position

    def _part(self, offset: int, length: int, checksum: int, what: str) -> memoryview:
        part = self.data[offset : offset + length]
        if len(part) != length:
            raise FormatError(f"{what}: the file ends before its {length} bytes", offset)
        if zlib.crc32(part) != checksum:
            raise FormatError(f"{what}: the checksum is wrong, the bytes are damaged", offset)
        return part

    def check_parts(self) -> None:
        """Hold every part against its checksum, decoding none; FormatError at the first fault.

        Reading one tensor reads its own bytes alone; who answers for the whole file calls this.
        """
        for entry in self.entries.values():
            self._payload(entry)
        for name, place in self.sections.items():
            self._part(*place, f"section {name}")

    def entry(self, name: str) -> Entry:
        """The header's line on a tensor.

        Raises:
            MismatchError: no tensor has this name; the message lists those that exist.
        """
        if name not in self.entries:
            listed = ", ".join(self.entries) or "none"
            raise MismatchError(f"the file has no tensor {name!r}; it has: {listed}")
        return self.entries[name]

    def section(self, name: str) -> bytes | None:
        """The bytes of a section (a key of `SECTIONS`), or None when the file has none."""
        if name not in self.sections:
            return None
        return bytes(self._part(*self.sections[name], f"section {name}"))

    def payload(self, name: str) -> tuple[Entry, Reader]:
        """The entry whose bytes hold this tensor (an earlier one when tied), and a reader on them.

        The reader stands behind the grid number.
        """
        entry = self.entry(name)
        reader = self._payload(entry)
        if reader.data[:1] != bytes([SAME]):
            return entry, reader
        reader.u8()
        first = reader.varint()
        reader.end()
        if first >= self.places[name]:
            raise reader.error(f"{name} claims to equal tensor {first}, which is not before it")
        origin = self.entries[self.names[first]]
        if (origin.dtype, origin.shape) != (entry.dtype, entry.shape):
            raise reader.error(f"{name} claims to equal {origin.name} of another shape or dtype")
        reader = self._payload(origin)
        if reader.data[:1] == bytes([SAME]):
            raise reader.error(f"{name} equals {origin.name}, which is itself a reference")
        return origin, reader

    def _payload(self, entry: Entry) -> Reader:
        part = self._part(entry.offset, entry.length, entry.checksum, entry.name)
        return Reader(part, entry.offset)

    def stored(self, name: str) -> StoredTensor:
        """The tensor's codes and tables, decoded from its own bytes alone."""
        entry, reader = self.payload(name)
        tensor = read_payload(reader, self._grid(reader, name), name, entry.dtype, entry.shape)
        reader.end()
        return tensor

    def _grid(self, reader: Reader, name: str) -> FileGrid:
        number = reader.u8()
        if number not in GRID_NUMBERS:
            raise reader.error(f"{name}: no grid has number {number}")
        return GRID_NUMBERS[number]

    def same_as(self, name: str) -> str | None:
        """The earlier tensor that this one is tied to, or None."""
        origin, _ = self.payload(name)
        return None if origin.name == name else origin.name

    def coder(self, name: str) -> str:
        """The name of the coder that holds the tensor's codes."""
        entry, reader = self.payload(name)
        self._grid(reader, name).read_tables(reader, entry.dtype, entry.shape)
        return coding.coder_of(reader.rest())

    def bits(self, name: str) -> Bits:
        """The values' bits as unsigned integers."""
        return self.stored(name).bits

    def array(self, name: str) -> NDArray[Any]:
        """The values; bfloat16 widened exactly to float32."""
        return from_bits(self.bits(name), self.entry(name).dtype)

    def verify(self) -> None:
        """Decode every tensor and every section; FormatError at the first fault."""
        # Not above: the sections' readers stand on this module.
        from laconic.container import about, foreign, probe, program

        for name in self.names:
            self.stored(name)
        for name, (offset, _, _) in self.sections.items():
            data = self.section(name) or b""
            match name:
                case "program":
                    program.decode(data, self.names, offset)
                case "probe":
                    probe.decode(data, offset)
                case "about":
                    about.decode(data, offset)
                case "foreign":
                    foreign.check_cuts(self, foreign.decode(data, offset))
