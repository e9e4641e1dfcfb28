"""Tables of numbers inside a payload: coded when that is smaller (spec/format.md, `numbers`)."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from laconic.coding.inner import decode_inner, encode_inner
from laconic.coding.reader import Reader, varint

MAX_NUMBERS = 2**22
"""Of one table: a few bytes may promise so many."""


def write_numbers(numbers: NDArray[Any]) -> bytes:
    """Unsigned numbers of any shape, which the reader must know.

    Examples:
        >>> write_numbers(np.zeros(1000, np.uint32)).hex()
        '03010000'
    """
    plain = numbers.astype(numbers.dtype.newbyteorder("<"), copy=False).tobytes()
    if numbers.size <= 1:
        return plain
    part = encode_inner(numbers)
    if len(part) < len(plain):
        return varint(len(part)) + part
    return varint(0) + plain


def read_numbers(reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """What `write_numbers` wrote, in native byte order.

    Raises:
        FormatError: too many numbers for a table, or damaged ones.
    """
    count, width = prod(shape), np.dtype(dtype)
    if count > MAX_NUMBERS:
        raise reader.error(f"a table of {count:,} numbers; at most {MAX_NUMBERS:,} can be")
    size = reader.varint() if count > 1 else 0
    if size:
        start = reader.offset
        return decode_inner(Reader(reader.take(size), start), shape, width)
    data = reader.take(count * width.itemsize)
    return np.frombuffer(data, width.newbyteorder("<")).astype(width).reshape(shape)
