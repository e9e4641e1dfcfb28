"""Canonical Huffman coding: few distinct codes, some of them likely."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding import kernels
from laconic.coding.code_lengths import LONGEST, huffman_lengths
from laconic.coding.coder import Coder, IntArray, Speed
from laconic.coding.forms import Bits, Bytes
from laconic.coding.integers import blank, check_status, flat, octets, ordered
from laconic.coding.reader import Reader
from laconic.coding.symbols import distinct, pack, read_symbols, unpack, write_symbols

MOST_SYMBOLS = 65536


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
    decode_speed: ClassVar[Speed] = Speed.FAST

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
    symbols, counts = distinct(items, MOST_SYMBOLS)
    lengths = np.array(huffman_lengths(counts.tolist()), np.uint8)
    bits = int(np.dot(counts, lengths.astype(np.int64)))
    table = write_symbols(symbols, codes.dtype) + (_lengths(lengths) if symbols.size > 1 else b"")
    return Plan(items, symbols, lengths, table, (bits + 7) // 8)


def _lengths(lengths: Bytes) -> bytes:
    """One byte (shortest length, bits each) and how much longer each is."""
    shortest, longest = int(lengths.min()), int(lengths.max())
    width = (longest - shortest).bit_length()
    return bytes([shortest | width << 5]) + pack(lengths - np.uint8(shortest), width)


def _read_table(reader: Reader, dtype: DTypeLike) -> tuple[Bits, Bytes]:
    """Symbols as `patterns`, ascending by value, and the lengths of a complete code."""
    symbols = read_symbols(reader, dtype, MOST_SYMBOLS)
    alone = symbols.size == 1
    return symbols, np.zeros(1, np.uint8) if alone else _read_lengths(reader, symbols.size)


def _read_lengths(reader: Reader, count: int) -> Bytes:
    head = reader.u8()
    shortest, width = head & 31, head >> 5
    lengths = unpack(reader, count, width, "the code lengths") + np.uint8(shortest)
    if not 1 <= shortest <= int(lengths.max()) <= LONGEST:
        raise reader.error(f"code lengths must lie from 1 to {LONGEST} bits")
    filled = int(np.sum(1 << (LONGEST - lengths.astype(np.int64))))
    if filled != 1 << LONGEST:
        what = "over-subscribed" if filled > 1 << LONGEST else "incomplete"
        raise reader.error(f"the Huffman code is {what}: Kraft's sum is {filled} / {1 << LONGEST}")
    return lengths
