"""The table of symbols that Huffman and rANS share: which distinct codes there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding import kernels
from laconic.coding.fixed import packed_size
from laconic.coding.forms import Bits
from laconic.coding.integers import (
    Counts,
    check_status,
    check_within,
    octets,
    read_wide,
    turn_sign,
    unsigned,
    wide,
)
from laconic.coding.reader import Reader, varint
from laconic.errors import CodingError

_BITMAP = 65  # in place of a width of steps: the symbols are marked in a bitmap


def distinct(items: Bits, most: int) -> tuple[Bits, Counts]:
    """The distinct items, ascending, and how often each occurs; for `integers.ordered` items.

    Raises:
        CodingError: there are more than `most`.
    """
    room = min(items.size, most)
    symbols, counts = np.empty(room, items.dtype), np.empty(room, np.int64)
    found = kernels.active.histogram(items, symbols, counts)
    if found < 0:
        raise CodingError(f"there are more than {most} distinct values; use raw, fixed or planes")
    return symbols[:found].copy(), counts[:found].copy()


def write_symbols(symbols: Bits, dtype: DTypeLike) -> bytes:
    """How many symbols, the first, the steps between them; `symbols` as `ordered` gives them.

    Examples:
        Three symbols from 7 (zigzag 14), with no bits a step.

        >>> write_symbols(np.array([7, 8, 9], np.uint8), np.uint8).hex()
        '030e00'
    """
    native = np.dtype(dtype).newbyteorder("=")
    first = int(turn_sign(symbols[:1], native).view(native)[0])
    head = varint(symbols.size) + wide(first)
    return head if symbols.size == 1 else head + _steps(symbols)


def read_symbols(reader: Reader, dtype: DTypeLike, most: int) -> Bits:
    """What `write_symbols` wrote, as `integers.patterns`, ascending by value."""
    count = reader.varint(most)
    if count == 0:
        raise reader.error("a table of no symbols cannot describe codes")
    first = read_wide(reader, dtype)
    above = np.zeros(1, np.uint64) if count == 1 else _read_steps(reader, count, first, dtype)
    return (above + np.uint64(first % (1 << 64))).astype(unsigned(8 * np.dtype(dtype).itemsize))


def pack(values: Bits, width: int) -> bytes:
    """Numbers of `width` bits without gaps."""
    packed = np.empty(packed_size(values.size, width), np.uint8)
    kernels.active.pack_bits(values, width, packed)
    return packed.tobytes()


def unpack(reader: Reader, count: int, width: int, what: str) -> Bits:
    """`count` numbers that `pack` wrote; an error calls them `what`."""
    data = octets(reader.take(packed_size(count, width)))  # refuses what is not there
    values = np.empty(count, unsigned(width))
    start = reader.position - data.size
    check_status(kernels.active.unpack_bits(data, width, values), reader, start, what)
    return values


def _steps(symbols: Bits) -> bytes:
    """Symbols after the first: steps less 1 in equal widths, or a bitmap, whichever is shorter."""
    steps = np.diff(symbols) - symbols.dtype.type(1)
    width = int(steps.max()).bit_length()
    span = int(symbols[-1]) - int(symbols[0])
    as_bitmap = varint(span)
    if len(as_bitmap) + (span + 7) // 8 < packed_size(steps.size, width):
        marked = np.zeros(span, np.uint8)
        marked[(symbols[1:] - symbols[0]).astype(np.int64) - 1] = 1
        return bytes([_BITMAP]) + as_bitmap + np.packbits(marked, bitorder="little").tobytes()
    return bytes([width]) + pack(steps, width)


def _read_steps(reader: Reader, count: int, first: int, dtype: DTypeLike) -> Bits:
    """How far each symbol lies above the first; the last one fits `dtype`."""
    width = reader.u8()
    if width > _BITMAP:
        raise reader.error(f"steps between symbols have {width} bits; at most 64 are possible")
    if width == _BITMAP:
        # A longer bitmap than steps of the largest width would be is no gain.
        span = reader.varint(8 * min(reader.remaining, packed_size(count - 1, 64)))
        flags = np.unpackbits(octets(reader.take((span + 7) // 8)), bitorder="little")
        marked = np.flatnonzero(flags) if np.count_nonzero(flags) == count - 1 else flags[:0]
        if marked.size != count - 1 or int(marked[-1]) != span - 1:
            raise reader.error(f"the bitmap of symbols does not mark {count - 1} up to the last")
        above = (marked + 1).astype(np.uint64)
    else:
        steps = unpack(reader, count - 1, width, "the steps between symbols")
        span = sum(steps.tolist()) + count - 1  # exact: Python's integers do not overflow
        above = np.cumsum(steps.astype(np.uint64) + np.uint64(1))
    check_within(first, first + span, dtype, reader)
    return np.concatenate([np.zeros(1, np.uint64), above])
