"""The `.lac` file, version 1: written whole, read one tensor at a time (spec/format.md)."""

from __future__ import annotations

import contextlib
import mmap
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic import coding
from laconic.coding.reader import Reader, varint
from laconic.container.atomic import write_bytes
from laconic.container.dtypes import BY_NUMBER, DTYPES, Bits, from_bits
from laconic.container.grids import (
    GRID_NUMBERS,
    StoredTensor,
    read_payload,
)
from laconic.errors import FormatError, MismatchError, UsageError

MAGIC = b"LAC"
VERSION = 1
SAME = 255
"""Where a grid number stands: this tensor is the same as an earlier one (tied weights)."""
SECTIONS = {"program": 1, "probe": 2, "about": 3, "foreign": 4}
SECTION_NAMES = {number: name for name, number in SECTIONS.items()}
MAX_BYTES = 2**32
"""Refuse files that would unpack to more than this, unless the caller allows it."""
MAX_DIMENSIONS = 64


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
        return int(np.prod(self.shape, dtype=object))

    @property
    def size_bytes(self) -> int:
        """Bytes of the values when unpacked."""
        return self.count * DTYPES[self.dtype].size_bytes


def pack_bytes(tensors: Iterable[StoredTensor], sections: Mapping[str, bytes]) -> bytes:
    """The whole file as bytes: the same tensors and sections give the same bytes.

    A tensor whose payload is byte for byte that of an earlier one is stored once.

    Raises:
        UsageError: two tensors of one name, a name that UTF-8 cannot write, or a section that the
            format does not know.
    """
    records, payloads = bytearray(), []
    seen: dict[tuple[str, tuple[int, ...], bytes], int] = {}
    names: set[str] = set()
    previous = b""
    count = 0
    for tensor in tensors:
        if tensor.name in names:
            raise UsageError(f"two tensors are named {tensor.name!r}")
        names.add(tensor.name)
        payload = tensor.payload
        first = seen.setdefault((tensor.dtype, tensor.shape, payload), count)
        shared = bytes([SAME]) + varint(first)
        if first != count and len(shared) < len(payload):
            payload = shared
        name = _name_bytes(tensor.name)
        records += _name_record(name, previous) + _shape_record(tensor)
        records += varint(len(payload)) + zlib.crc32(payload).to_bytes(4, "little")
        payloads.append(payload)
        previous = name
        count += 1
    unknown = set(sections) - set(SECTIONS)
    if unknown:
        raise UsageError(f"no section {sorted(unknown)}; the format knows {sorted(SECTIONS)}")
    parts = sorted((SECTIONS[name], data) for name, data in sections.items())
    header = varint(count) + records + varint(len(parts))
    for number, data in parts:
        header += bytes([number]) + varint(len(data)) + zlib.crc32(data).to_bytes(4, "little")
    guarded = bytes([VERSION]) + varint(len(header)) + header
    checksum = zlib.crc32(guarded).to_bytes(4, "little")
    return b"".join([MAGIC, checksum, guarded, *payloads, *(data for _, data in parts)])


def write(
    path: str | os.PathLike[str],
    tensors: Iterable[StoredTensor],
    sections: Mapping[str, bytes] | None = None,
) -> int:
    """Write a `.lac` file; returns its length in bytes. An existing file is never half-written."""
    data = pack_bytes(tensors, sections or {})
    write_bytes(path, data)
    return len(data)


def _name_bytes(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the name {name!r} has no UTF-8 form: {error.reason}") from error


def _name_record(name: bytes, previous: bytes) -> bytes:
    """How many bytes the name shares with the one before, then the rest of it."""
    pairs = zip(name, previous, strict=False)
    shared = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(name), len(previous)))
    return varint(shared) + varint(len(name) - shared) + name[shared:]


def _shape_record(tensor: StoredTensor) -> bytes:
    """One byte for dtype (low 5 bits) and number of dimensions (7: a varint follows)."""
    dimensions = len(tensor.shape)
    head = DTYPES[tensor.dtype].number | min(dimensions, 7) << 5
    more = varint(dimensions) if dimensions >= 7 else b""
    return bytes([head]) + more + b"".join(varint(size) for size in tensor.shape)


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
            raise FormatError(f"this is no .lac file: it starts with {magic!r}, not {MAGIC!r}", 0)
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
        previous = b""
        for _ in range(header.varint(header.remaining)):
            shared = header.varint(len(previous))
            raw = previous[:shared] + bytes(header.take(header.varint()))
            try:
                name = raw.decode()
            except UnicodeDecodeError as error:
                raise header.error(f"the name {raw!r} is not UTF-8") from error
            head = header.u8()
            if head & 31 not in BY_NUMBER:
                raise header.error(f"{name}: no dtype has number {head & 31}")
            dimensions = head >> 5 if head >> 5 < 7 else header.varint(MAX_DIMENSIONS)
            shape = tuple(header.varint() for _ in range(dimensions))
            length = header.varint()
            if name in self.entries:
                raise header.error(f"two tensors are named {name!r}")
            entry = Entry(name, BY_NUMBER[head & 31].name, shape, position, length, header.u32())
            if entry.count > 2**48:
                raise header.error(f"{name}: a shape of {shape} is beyond any memory")
            self.entries[name] = entry
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
        names = list(self.entries)
        index = names.index(name)
        first = reader.varint()
        reader.end()
        if first >= index:
            raise reader.error(f"{name} claims to equal tensor {first}, which is not before it")
        origin = self.entries[names[first]]
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
        number = reader.u8()
        if number not in GRID_NUMBERS:
            raise reader.error(f"{name}: no grid has number {number}")
        tensor = read_payload(reader, GRID_NUMBERS[number], name, entry.dtype, entry.shape)
        reader.end()
        return tensor

    def same_as(self, name: str) -> str | None:
        """The earlier tensor that this one is tied to, or None."""
        origin, _ = self.payload(name)
        return None if origin.name == name else origin.name

    def coder(self, name: str) -> str:
        """The name of the coder that holds the tensor's codes."""
        entry, reader = self.payload(name)
        GRID_NUMBERS[reader.u8()].read_tables(reader, entry.dtype, entry.shape)
        return coding.coder_of(reader.rest())

    def bits(self, name: str) -> Bits:
        """The values' bits as unsigned integers."""
        return self.stored(name).bits

    def array(self, name: str) -> NDArray[Any]:
        """The values; bfloat16 widened exactly to float32."""
        return from_bits(self.bits(name), self.entry(name).dtype)

    def verify(self) -> None:
        """Decode every tensor and check every checksum; FormatError at the first fault."""
        for name in self.entries:
            self.stored(name)
        for name in self.sections:
            self.section(name)
