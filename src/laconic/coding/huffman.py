"""Canonical Huffman coding: few distinct codes, some of them likely."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding import kernels
from laconic.coding.code_lengths import LONGEST, huffman_lengths
from laconic.coding.coder import Coder, IntArray
from laconic.coding.fixed import packed_size
from laconic.coding.integers import (
    Counts,
    blank,
    check_status,
    check_within,
    flat,
    octets,
    ordered,
    read_wide,
    turn_sign,
    unsigned,
    wide,
)
from laconic.coding.reader import Reader, varint
from laconic.coding.reference import Bits, Bytes
from laconic.errors import CodingError

MOST_SYMBOLS = 65536
_BITMAP = 65  # in place of a width of deltas: the symbols are marked in a bitmap


class Huffman(Coder):
    """A table of the distinct codes, then one canonical code for each (spec/coders.md, `huffman`).

    Built from integer counts; lengths are at most 20 bits. An array with one distinct code takes
    no bits beyond the table: its shape says how many there are.

    Examples:
        Three symbols from 7 (zigzag 14), no bits a step; lengths 1, 2, 2 are 1 and one bit each;
        codes 0, 10, 11; so the payload is 0 0 10 11 0 and a spare bit.

        >>> Huffman().encode(np.array([7, 7, 8, 9, 7])).hex()
        '030e0021062c'
    """

    name: ClassVar[str] = "huffman"
    number: ClassVar[int] = 2

    def encode(self, codes: IntArray) -> bytes:
        return plan(codes).encode() if codes.size else b""

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        count = math.prod(shape)
        if count == 0:
            reader.end()
            return blank(shape, dtype, reader)
        symbols, lengths = _read_table(reader, dtype)
        # Each code has at least as many bits as the shortest one: known before allocating.
        if count * int(lengths.min()) > 8 * reader.remaining:
            raise reader.error(f"{count} codes do not fit the {reader.remaining} bytes left")
        out = blank(shape, dtype, reader)
        start = reader.position
        data = octets(reader.rest())
        status = kernels.active.huffman_decode(data, symbols, lengths, flat(out))
        check_status(status, reader, start, "the Huffman payload")
        return out


@dataclass(frozen=True)
class Plan:
    """A code for an array, and how long the encoding will be, before it is made."""

    items: Bits
    """The array, see `integers.ordered`."""
    symbols: Bits
    lengths: Bytes
    table: bytes
    payload_bytes: int

    @property
    def size_bytes(self) -> int:
        """Exactly the length of what `encode` returns."""
        return len(self.table) + self.payload_bytes

    def encode(self) -> bytes:
        """Table and payload."""
        payload = np.empty(self.payload_bytes, np.uint8)
        kernels.active.huffman_encode(self.items, self.symbols, self.lengths, payload)
        return self.table + payload.tobytes()


def plan(codes: IntArray) -> Plan:
    """Huffman's code for a non-empty array.

    Raises:
        CodingError: there are more than 65,536 distinct codes.
    """
    items = ordered(codes)
    symbols, counts = distinct(items)
    lengths = np.array(huffman_lengths(counts.tolist()), np.uint8)
    first = int(turn_sign(symbols[:1], codes.dtype).view(codes.dtype.newbyteorder("="))[0])
    bits = int(np.dot(counts, lengths.astype(np.int64)))
    return Plan(items, symbols, lengths, _table(first, symbols, lengths), (bits + 7) // 8)


def distinct(items: Bits, most: int = MOST_SYMBOLS) -> tuple[Bits, Counts]:
    """The distinct items, ascending, and how often each occurs.

    Raises:
        CodingError: there are more than `most`.
    """
    room = min(items.size, most)
    symbols, counts = np.empty(room, items.dtype), np.empty(room, np.int64)
    found = kernels.active.histogram(items, symbols, counts)
    if found < 0:
        raise CodingError(f"there are more than {most} distinct values; use raw, fixed or planes")
    return symbols[:found].copy(), counts[:found].copy()


def _table(first: int, symbols: Bits, lengths: Bytes) -> bytes:
    """How many symbols, the first, the steps between them, their lengths."""
    head = varint(symbols.size) + wide(first)
    if symbols.size == 1:
        return head
    return head + _steps(symbols) + _lengths(lengths)


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
    return bytes([width]) + _pack(steps, width)


def _lengths(lengths: Bytes) -> bytes:
    """One byte (shortest length, bits each) and how much longer each is."""
    shortest, longest = int(lengths.min()), int(lengths.max())
    width = (longest - shortest).bit_length()
    return bytes([shortest | width << 5]) + _pack(lengths - np.uint8(shortest), width)


def _pack(values: Bits, width: int) -> bytes:
    packed = np.empty(packed_size(values.size, width), np.uint8)
    kernels.active.pack_bits(values, width, packed)
    return packed.tobytes()


def _unpack(reader: Reader, count: int, width: int, what: str) -> Bits:
    data = octets(reader.take(packed_size(count, width)))  # refuses what is not there
    values = np.empty(count, unsigned(width))
    start = reader.position - data.size
    check_status(kernels.active.unpack_bits(data, width, values), reader, start, what)
    return values


def _read_table(reader: Reader, dtype: DTypeLike) -> tuple[Bits, Bytes]:
    """Symbols as `patterns`, ascending by value, and the lengths of a complete code."""
    count = reader.varint(MOST_SYMBOLS)
    if count == 0:
        raise reader.error("a table of no symbols cannot describe codes")
    first = read_wide(reader, dtype)
    item = unsigned(8 * np.dtype(dtype).itemsize)
    if count == 1:
        above, lengths = np.zeros(1, np.uint64), np.zeros(1, np.uint8)
    else:
        above = _read_steps(reader, count, first, dtype)
        lengths = _read_lengths(reader, count)
    return (above + np.uint64(first % (1 << 64))).astype(item), lengths


def _read_steps(reader: Reader, count: int, first: int, dtype: DTypeLike) -> Bits:
    """How far each symbol lies above the first; the last one fits `dtype`."""
    width = reader.u8()
    if width > _BITMAP:
        raise reader.error(f"steps between symbols have {width} bits; at most 64 are possible")
    if width == _BITMAP:
        span = reader.varint(8 * reader.remaining)
        bits = octets(reader.take((span + 7) // 8))
        marked = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
        if marked.size != count - 1 or int(marked[-1]) != span - 1:
            raise reader.error(f"the bitmap of symbols does not mark {count - 1} up to the last")
        above = (marked + 1).astype(np.uint64)
    else:
        steps = _unpack(reader, count - 1, width, "the steps between symbols")
        span = sum(steps.tolist()) + count - 1  # exact: Python's integers do not overflow
        above = np.cumsum(steps.astype(np.uint64) + np.uint64(1))
    check_within(first, first + span, dtype, reader)
    return np.insert(above, 0, np.uint64(0))


def _read_lengths(reader: Reader, count: int) -> Bytes:
    head = reader.u8()
    shortest, width = head & 31, head >> 5
    lengths = _unpack(reader, count, width, "the code lengths") + np.uint8(shortest)
    if not 1 <= shortest <= int(lengths.max()) <= LONGEST:
        raise reader.error(f"code lengths must lie from 1 to {LONGEST} bits")
    filled = int(np.sum(1 << (LONGEST - lengths.astype(np.int64))))
    if filled != 1 << LONGEST:
        what = "over-subscribed" if filled > 1 << LONGEST else "incomplete"
        raise reader.error(f"the Huffman code is {what}: Kraft's sum is {filled} / {1 << LONGEST}")
    return lengths
