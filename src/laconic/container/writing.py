"""Writing a `.lac` file, version 1: header, payloads, sections (spec/format.md)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping

from laconic.coding.reader import varint
from laconic.container.atomic import write_bytes
from laconic.container.dtypes import DTYPES
from laconic.container.grids import StoredTensor
from laconic.container.layout import MAGIC, MANY_DIMENSIONS, MAX_NAME_BYTES, SAME, SECTIONS, VERSION
from laconic.container.shapes import is_possible
from laconic.errors import UsageError


def pack_bytes(tensors: Iterable[StoredTensor], sections: Mapping[str, bytes]) -> bytes:
    """The whole file as bytes: the same tensors and sections give the same bytes.

    A tensor whose payload is byte for byte that of an earlier one is stored once.

    Raises:
        UsageError: two tensors of one name, a name of more than 4096 bytes or that
            UTF-8 cannot write, a shape that no reader
            takes, or a section that the format does not know.
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
        if not is_possible(tensor.shape):
            raise UsageError(f"{tensor.name}: no file holds a shape of {list(tensor.shape)}")
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
