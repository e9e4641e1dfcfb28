"""Text and programs deflated: raw deflate (RFC 1951) behind the length that it inflates to."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from laconic.coding.reader import Reader, varint
from laconic.errors import FormatError

MOST_A_BYTE = 1032
"""No deflate stream gives more bytes for one."""
SPARE_BYTES = 64
"""A stream takes no more than so many and 9/8 of what it gives, be it written by whomever."""
PIECE = 2**12
"""Deflated bytes at a time, so that what they give is not in memory twice."""


def deflate(data: bytes) -> bytes:
    """The length as a varint, then raw deflate.

    Examples:
        >>> deflate(b"a" * 1000)[:2].hex()
        'e807'
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return varint(len(data)) + packer.compress(data) + packer.flush()


def inflate(reader: Reader, limit: int, what: str) -> memoryview:
    """The bytes again; reads all of `reader`.

    Args:
        reader: stands at the length.
        limit: refuse more bytes than this.
        what: for messages: ``"the program"``.

    Raises:
        FormatError: more bytes than `limit` are promised, or the stream gives another number.
    """
    start = reader.offset
    length = reader.varint(limit)
    deflated = reader.rest()
    if length > MOST_A_BYTE * len(deflated) or len(deflated) > SPARE_BYTES + length // 8 * 9:
        raise FormatError(
            f"{what}: no deflate stream of {length} bytes takes {len(deflated)} bytes", start
        )
    unpacker, data, done = zlib.decompressobj(-15), bytearray(), 0
    try:
        while done < len(deflated) and len(data) <= length and not unpacker.eof:
            # One byte more than promised shows a stream that goes on; no more is made.
            room = length + 1 - len(data)
            data += unpacker.decompress(deflated[done : done + PIECE], room)
            done += PIECE
    except zlib.error as error:
        raise FormatError(f"{what} does not inflate: {error}", start) from error
    ends = unpacker.eof and not unpacker.unused_data and done >= len(deflated)
    if len(data) != length or not ends:
        raise FormatError(f"{what} does not inflate to its {length} bytes", start)
    return memoryview(data).toreadonly()


@contextmanager
def inside_inflated(what: str, offset: int) -> Iterator[None]:
    """Errors in inflated bytes name the place of the deflated ones in the file."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{what}, inflated: {error}", offset) from error
