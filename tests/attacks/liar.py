"""A writer of `.lac` files that can lie: checksums are right, whatever the rest says."""

from __future__ import annotations

import zlib

import numpy as np

from laconic.coding.integers import wide
from laconic.coding.reader import varint

PLAIN, CODEBOOK, UNIFORM, CODEBOOKS, ROWS, SAME = b"\0", b"\1", b"\2", b"\3", b"\4", b"\xff"
PRODUCTS = b"\5"
RAW, FIXED, HUFFMAN, GAP, BITMAP, PLANES, CONTEXT, RANS, BLOCKS = (bytes([i]) for i in range(9))
F32, F16, BF16, F64, I8, I64, U8, U64 = 0, 1, 2, 3, 4, 7, 8, 11
FLOATS = np.float32([1, 2]).tobytes()
GOOD = PLAIN + RAW + FLOATS
"""A payload for the shape (2,) in float32."""
PROGRAM, PROBE, ABOUT, FOREIGN = 1, 2, 3, 4


def crc(data: bytes) -> bytes:
    """A checksum as the file holds it."""
    return zlib.crc32(data).to_bytes(4, "little")


def record(
    name: str | bytes,
    shape: tuple[int, ...],
    payload: bytes,
    *,
    shared: int = 0,
    dtype: int = F32,
    checksum: bytes | None = None,
    length: int | None = None,
) -> bytes:
    """A tensor's line in the header."""
    text = name.encode() if isinstance(name, str) else name
    dimensions = len(shape)
    head = bytes([dtype | min(dimensions, 7) << 5])
    more = varint(dimensions) if dimensions >= 7 else b""
    sizes = more + b"".join(map(varint, shape))
    size = varint(len(payload) if length is None else length)
    before = varint(shared) + varint(len(text)) + text
    return before + head + sizes + size + (checksum or crc(payload))


def lac(
    records: list[bytes],
    payloads: bytes = b"",
    sections: bytes = b"\0",
    *,
    count: int | None = None,
    version: int = 2,
    magic: bytes = b"LAC",
    length: int | None = None,
) -> bytes:
    """A file whose header checksum is right, whatever the header says."""
    header = varint(len(records) if count is None else count) + b"".join(records) + sections
    guarded = bytes([version]) + varint(len(header) if length is None else length) + header
    return magic + crc(guarded) + guarded + payloads


def one(shape: tuple[int, ...], payload: bytes, **keywords: int | bytes | None) -> bytes:
    """A file of one tensor called w."""
    return lac([record("w", shape, payload, **keywords)], payload)  # type: ignore[arg-type]


def with_sections(
    sections: dict[int, bytes], records: list[bytes] | None = None, payloads: bytes = b""
) -> bytes:
    """A file with these sections, by number."""
    lines = [bytes([n]) + varint(len(data)) + crc(data) for n, data in sections.items()]
    before = varint(len(lines)) + b"".join(lines)
    return lac(records or [], payloads + b"".join(sections.values()), before)


def deflated(data: bytes, length: int | None = None) -> bytes:
    """A raw deflate stream behind a length, which may be wrong."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    size = varint(len(data) if length is None else length)
    return size + packer.compress(data) + packer.flush()


def text(value: str) -> bytes:
    """A length and UTF-8."""
    data = value.encode()
    return varint(len(data)) + data


def blocks(pieces: list[bytes], *, bits: int = 20, checksum: bytes | None = None) -> bytes:
    """The coder `blocks` over these coded arrays."""
    table = b"".join(
        len(piece).to_bytes(4, "little") + (checksum or crc(piece)) for piece in pieces
    )
    return BLOCKS + bytes([bits]) + table + b"".join(pieces)


def constant(value: int) -> bytes:
    """By `fixed`, as many items as the reader wants, all of this value."""
    return FIXED + b"\0" + wide(value)


def numbers(part: bytes) -> bytes:
    """A table of numbers that is a part."""
    return varint(len(part)) + part
