"""Text and programs deflated: raw deflate (RFC 1951) behind the length that it inflates to."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from laconic.coding.reader import Reader, varint
from laconic.errors import FormatError


def deflate(data: bytes) -> bytes:
    """The length as a varint, then raw deflate.

    Examples:
        >>> deflate(b"a" * 1000)[:2].hex()
        'e807'
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return varint(len(data)) + packer.compress(data) + packer.flush()


def inflate(reader: Reader, limit: int, what: str) -> bytes:
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
    unpacker = zlib.decompressobj(-15)
    try:
        # One byte more than promised shows a stream that goes on; it allocates no more.
        data = unpacker.decompress(bytes(reader.rest()), length + 1)
    except zlib.error as error:
        raise FormatError(f"{what} does not inflate: {error}", start) from error
    if len(data) != length or not unpacker.eof or unpacker.unused_data:
        raise FormatError(f"{what} does not inflate to its {length} bytes", start)
    return data


@contextmanager
def inside_inflated(what: str, offset: int) -> Iterator[None]:
    """Errors in inflated bytes name the place of the deflated ones in the file."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{what}, inflated: {error}", offset) from error
