"""Repeated rows: which of the distinct rows each index of the first axis has (spec/format.md)."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader, varint
from laconic.container.dtypes import Bits
from laconic.container.grids.numbers import MAX_NUMBERS, read_numbers, write_numbers

NUMBER = 4
"""Where a grid number stands: the index follows, and then the payload of the distinct rows."""
CHUNK_ITEMS = 1 << 18
Index = NDArray[np.integer[Any]]


def row_index(bits: Bits) -> tuple[Index, Index]:
    """For each row the place of its value among the distinct ones, and where each first stands.

    Distinct rows are counted in the order in which they first appear.

    Examples:
        >>> row_index(np.uint8([[5, 5], [1, 2], [5, 5]]))
        (array([0, 1, 0]), array([0, 1]))
    """
    from hashlib import blake2b  # slow to import, and for writing alone

    known: dict[bytes, int] = {}
    index = np.empty(len(bits), np.int64)
    first: list[int] = []
    for i, row in enumerate(bits):
        digest = blake2b(np.ascontiguousarray(row).data, digest_size=16).digest()
        place = known.setdefault(digest, len(known))
        if place == len(first):
            first.append(i)
        index[i] = place
    return index, np.array(first, np.int64)


def write_index(index: Index) -> bytes:
    """The number of distinct rows, then each row's place."""
    count = int(index.max()) + 1
    return varint(count) + write_numbers(index.astype(_dtype(count)))


def read_index(reader: Reader, shape: tuple[int, ...]) -> Index:
    """What `write_index` wrote.

    Raises:
        FormatError: rows that are not counted in order of appearance, or not all.
    """
    rows = shape[0] if shape else 0
    if not 0 < rows <= MAX_NUMBERS:
        raise reader.error(f"no rows can repeat in a shape of {list(shape)}")
    count = reader.varint(rows)
    start = reader.offset
    index = read_numbers(reader, (rows,), _dtype(count))
    new = 0  # the first row that is not known yet
    for first in range(0, rows, CHUNK_ITEMS):
        run = index[first : first + CHUNK_ITEMS].astype(np.int64)
        before = np.maximum.accumulate(np.concatenate([[new - 1], run]))
        if (run > before[:-1] + 1).any():
            new = -1
            break
        new = int(before[-1]) + 1
    if new != count:
        raise Reader(b"", start).error(f"the {count} rows are not numbered as they appear")
    return index


def spread_rows(bits: Bits, index: Index) -> None:
    """Give each row its value, in place: the distinct rows stand first in `bits`.

    Rows are numbered as they appear, so none stands behind a row that needs it: from the end
    backwards every row is read before it is written over.
    """
    step = max(1, CHUNK_ITEMS // max(1, prod(bits.shape[1:])))
    for stop in range(len(index), 0, -step):
        first = max(0, stop - step)
        bits[first:stop] = bits[index[first:stop]]


def _dtype(count: int) -> np.dtype[np.unsignedinteger]:
    return np.dtype(np.uint8 if count <= 256 else np.uint16 if count <= 65536 else np.uint32)
