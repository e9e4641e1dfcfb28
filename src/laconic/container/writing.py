"""Writing a `.lac` file: header, payloads, sections (spec/format.md), one payload in memory."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from laconic.coding.reader import varint
from laconic.container.atomic import replacing
from laconic.container.dtypes import DTYPES
from laconic.container.grids import StoredTensor
from laconic.container.layout import (
    MAGIC,
    MANY_DIMENSIONS,
    MAX_HEADER_BYTES,
    MAX_NAME_BYTES,
    MAX_NAMES_BYTES,
    MAX_SECTION_BYTES,
    MAX_TENSORS,
    SAME,
    SECTIONS,
    VERSION,
    name_cost,
)
from laconic.container.shapes import is_possible
from laconic.errors import UsageError

IN_MEMORY = 2**18
"""Payloads of up to so many bytes together wait for their header in memory, others on disk."""


class Writer:
    """Takes tensors one by one and keeps none of them; `finish` writes the file.

    A tensor whose payload is byte for byte that of an earlier one is stored once.

    Args:
        payloads: an empty file to write to and read from, where they wait for their header.
    """

    def __init__(self, payloads: IO[bytes]) -> None:
        self.payloads = payloads
        self._records = bytearray()
        self._names: set[str] = set()
        self._names_bytes = 0
        self._last_name = b""
        self._seen: dict[tuple[str, tuple[int, ...], int, int], list[tuple[int, int]]] = {}

    def add(self, tensor: StoredTensor) -> None:
        """Write the payload and note its record.

        Raises:
            UsageError: a name that an earlier tensor has, a name of more than 4096 bytes or that
                UTF-8 cannot write, more names or tensors than a reader takes, or a shape that
                none takes.
        """
        name = self._checked_name(tensor)
        if not is_possible(tensor.shape):
            raise UsageError(f"{tensor.name}: no file holds a shape of {list(tensor.shape)}")
        pieces: Sequence[bytes] = tensor.pieces
        checksum, length = _sum(pieces)
        known = self._seen.setdefault((tensor.dtype, tensor.shape, length, checksum), [])
        number = next((number for number, place in known if self._stands_at(place, pieces)), None)
        if number is None:
            known.append((len(self._names) - 1, self.payloads.tell()))
        elif len(reference := bytes([SAME]) + varint(number)) < length:
            pieces = [reference]
            checksum, length = _sum(pieces)
        for piece in pieces:  # not all at once: the spool asks after each whether it is too large
            self.payloads.write(piece)
        self._records += _name_record(name, self._last_name) + _shape_record(tensor)
        self._records += varint(length) + checksum.to_bytes(4, "little")
        self._last_name = name

    def _checked_name(self, tensor: StoredTensor) -> bytes:
        if tensor.name in self._names:
            raise UsageError(f"two tensors are named {tensor.name!r}")
        name = _name_bytes(tensor.name)
        self._names.add(tensor.name)
        self._names_bytes += name_cost(name)
        if self._names_bytes > MAX_NAMES_BYTES or len(self._names) > MAX_TENSORS:
            raise UsageError(
                f"a file holds at most {MAX_TENSORS:,} tensors, whose names take at most "
                f"{MAX_NAMES_BYTES:,} bytes"
            )
        return name

    def _stands_at(self, place: int, pieces: Sequence[bytes]) -> bool:
        """Whether these bytes were written at `place`; a checksum alone proves nothing."""
        end = self.payloads.tell()
        self.payloads.seek(place)
        same = all(self.payloads.read(len(piece)) == piece for piece in pieces)
        self.payloads.seek(end)
        return same

    def finish(self, out: IO[bytes], sections: Mapping[str, bytes]) -> int:
        """Write the file to `out`; returns its length in bytes.

        Raises:
            UsageError: a section that the format does not know, or more names and shapes than a
                reader takes.
        """
        unknown = set(sections) - set(SECTIONS)
        if unknown:
            raise UsageError(f"no section {sorted(unknown)}; the format knows {sorted(SECTIONS)}")
        for name, data in sections.items():
            if len(data) > MAX_SECTION_BYTES.get(name, len(data)):
                raise UsageError(
                    f"the {name} takes {len(data):,} bytes; {MAX_SECTION_BYTES[name]:,} fit"
                )
        parts = sorted((SECTIONS[name], data) for name, data in sections.items())
        header = varint(len(self._names)) + self._records + varint(len(parts))
        for number, data in parts:
            header += bytes([number]) + varint(len(data)) + zlib.crc32(data).to_bytes(4, "little")
        if len(header) > MAX_HEADER_BYTES:
            raise UsageError(
                f"the names and shapes take {len(header):,} bytes; a file holds "
                f"{MAX_HEADER_BYTES:,}: put the tensors into several files"
            )
        guarded = bytes([VERSION]) + varint(len(header)) + header
        checksum = zlib.crc32(guarded).to_bytes(4, "little")
        before = MAGIC + checksum + guarded
        out.write(before)
        from shutil import copyfileobj  # slow to import, and for writing alone

        length = self.payloads.tell()
        self.payloads.seek(0)
        copyfileobj(self.payloads, out, 2**20)
        for _, data in parts:
            out.write(data)
        return len(before) + length + sum(len(data) for _, data in parts)


def pack_bytes(tensors: Iterable[StoredTensor], sections: Mapping[str, bytes]) -> bytes:
    """The whole file as bytes: the same tensors and sections give the same bytes.

    Raises:
        UsageError: as `Writer.add` and `Writer.finish`.
    """
    out = io.BytesIO()
    writer = Writer(io.BytesIO())
    for tensor in tensors:
        writer.add(tensor)
    writer.finish(out, sections)
    return out.getvalue()


def write(
    path: str | os.PathLike[str],
    tensors: Iterable[StoredTensor],
    sections: Mapping[str, bytes] | None = None,
) -> int:
    """Write a `.lac` file; returns its length in bytes. An existing file is never half-written.

    `tensors` may be made as they are asked for: none is kept.
    """
    with replacing(path) as out, spool(path) as payloads:
        writer = Writer(payloads)
        for tensor in tensors:
            writer.add(tensor)
        return writer.finish(out, sections or {})


def spool(path: str | os.PathLike[str]) -> IO[bytes]:
    """A file without a name beside `path`, in memory while it is small."""
    from tempfile import SpooledTemporaryFile  # slow to import, and for writing alone

    return SpooledTemporaryFile(IN_MEMORY, dir=str(Path(path).parent))


def _sum(pieces: Iterable[bytes]) -> tuple[int, int]:
    """Checksum and length."""
    checksum, length = 0, 0
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
        length += len(piece)
    return checksum, length


def _name_bytes(name: str) -> bytes:
    try:
        data = name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the name {name!r} has no UTF-8 form: {error.reason}") from error
    if len(data) > MAX_NAME_BYTES:
        raise UsageError(
            f"the name {name[:20]!r}… has {len(data)} bytes; at most {MAX_NAME_BYTES} fit"
        )
    return data


def _name_record(name: bytes, previous: bytes) -> bytes:
    """How many bytes the name shares with the one before, then the rest of it."""
    pairs = zip(name, previous, strict=False)
    shared = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(name), len(previous)))
    return varint(shared) + varint(len(name) - shared) + name[shared:]


def _shape_record(tensor: StoredTensor) -> bytes:
    """One byte for dtype (low 5 bits) and number of dimensions (7: a varint follows)."""
    dimensions = len(tensor.shape)
    head = DTYPES[tensor.dtype].number | min(dimensions, MANY_DIMENSIONS) << 5
    more = varint(dimensions) if dimensions >= MANY_DIMENSIONS else b""
    return bytes([head]) + more + b"".join(varint(size) for size in tensor.shape)
