"""Interleaved rANS with tabulated frequencies: near the entropy, and the fastest to decode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding import kernels
from laconic.coding.coder import Coder, IntArray, Speed
from laconic.coding.forms import Bits
from laconic.coding.frequencies import (
    FRACTION,
    LEAST_PRECISION,
    MOST_PRECISION,
    Frequencies,
    cost,
    logarithms,
    normalised,
    read_frequencies,
    write_frequencies,
    written_bytes,
)
from laconic.coding.integers import Counts, blank, check_status, flat, octets, ordered
from laconic.coding.reader import Reader
from laconic.coding.symbols import distinct, read_symbols, write_symbols

MOST_SYMBOLS = 1 << MOST_PRECISION
MOST_LANES = 32
_BYTES_A_LANE = 1024  # of payload: a lane adds about 2 bytes, which shall stay below 0.2 %


class Rans(Coder):
    """A table of the distinct codes and their frequencies, then states and words.

    Asymmetric numeral systems in the range form (Duda, arXiv:1311.2540), with 32-bit states and
    16-bit words, 1 to 32 states in turn (Giesen, arXiv:1402.3392) so that a processor works on
    many at once; spec/coders.md, `rans`. Frequencies have 5 to 12 bits, whichever makes the array
    smallest. An array with one distinct code takes no bytes beyond the table.

    Examples:
        >>> codes = np.array([7, 7, 8, 7, 7, 7, 9, 7], np.uint8)
        >>> data = Rans().encode(codes)
        >>> Rans().decode(Reader(data), (8,), np.uint8).tolist()
        [7, 7, 8, 7, 7, 7, 9, 7]
    """

    name: ClassVar[str] = "rans"
    number: ClassVar[int] = 7
    decode_speed: ClassVar[Speed] = Speed.FAST

    def encode(self, codes: IntArray) -> bytes:
        return plan(codes).encode() if codes.size else b""

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        count = math.prod(shape)
        if count == 0:
            reader.end()
            return blank(shape, dtype, reader)
        symbols = read_symbols(reader, dtype, MOST_SYMBOLS)
        if symbols.size == 1:
            reader.end()
            out = blank(shape, dtype, reader)
            flat(out)[...] = symbols[0]
            return out
        precision, lanes = _read_head(reader, symbols.size)
        frequencies = read_frequencies(reader, symbols.size, precision)
        _check_paid(reader, count, frequencies, precision, lanes)
        out = blank(shape, dtype, reader)
        start, data = reader.position, octets(reader.rest())
        status = kernels.active.rans_decode(data, symbols, frequencies, precision, lanes, flat(out))
        check_status(status, reader, start, "the rANS payload")
        return out


@dataclass(frozen=True)
class Plan:
    """Frequencies for an array, and about how long the encoding will be, before it is made."""

    items: Bits
    """The array, see `integers.ordered`."""
    symbols: Bits
    frequencies: Frequencies
    precision: int
    lanes: int
    table: bytes
    payload_bytes: int
    """Within a thousandth and 3 bytes a lane of what `encode` makes behind the table."""

    @property
    def size_bytes(self) -> int:
        """About the length of what `encode` returns."""
        return len(self.table) + self.payload_bytes

    def encode(self) -> bytes:
        """Table and payload."""
        if self.symbols.size == 1:
            return self.table
        room = np.empty(4 * self.lanes + 2 * self.items.size, np.uint8)
        begin = kernels.active.rans_encode(
            self.items, self.symbols, self.frequencies, self.precision, self.lanes, room
        )
        return b"".join((self.table, room[begin:].data))


def plan(codes: IntArray) -> Plan:
    """The frequencies that make a non-empty array smallest, table and all.

    Raises:
        CodingError: there are more than 4096 distinct codes.
    """
    items = ordered(codes)
    symbols, counts = distinct(items, MOST_SYMBOLS)
    table = write_symbols(symbols, codes.dtype)
    if symbols.size == 1:
        return Plan(items, symbols, np.zeros(0, np.uint16), 0, 0, table, 0)
    model = _best_model(counts)
    payload = -(-model.payload >> FRACTION + 3)
    lanes = min(MOST_LANES, 1 << max(1, payload // _BYTES_A_LANE).bit_length() - 1)
    head = bytes([model.precision - LEAST_PRECISION | lanes.bit_length() - 1 << 3])
    table += head + write_frequencies(model.frequencies.tolist())
    # A state that starts at 2^16 ends about 16 bits larger than what the codes need.
    size = payload + 2 * lanes
    return Plan(items, symbols, model.frequencies, model.precision, lanes, table, size)


@dataclass(frozen=True)
class _Model:
    """Frequencies of one precision, and what they cost."""

    precision: int
    frequencies: Frequencies
    written_bytes: int
    payload: int
    """What the codes cost, in 2^-20 bits."""

    @property
    def size(self) -> int:
        """Table and codes, in 2^-20 bits."""
        return self.payload + (self.written_bytes << FRACTION + 3)


def _model(counts: Counts, precision: int) -> _Model:
    frequencies = normalised(counts, precision)
    payload = cost(counts, frequencies, precision)
    return _Model(precision, frequencies, written_bytes(frequencies), payload)


def _best_model(counts: Counts) -> _Model:
    """From 12 bits, or what the number of codes can fill, down while that makes the whole smaller.

    With each bit less the table shrinks by about a bit a symbol, while the excess of the codes
    over their entropy grows fourfold: once it is larger, it stays so.
    """
    least = max(LEAST_PRECISION, (counts.size - 1).bit_length())
    most = min(MOST_PRECISION, max(least, int(counts.sum()).bit_length() + 1))
    best = _model(counts, most)
    for precision in range(most - 1, least - 1, -1):
        model = _model(counts, precision)
        if model.size > best.size:
            break
        best = model
    return best


def _read_head(reader: Reader, symbol_count: int) -> tuple[int, int]:
    """Precision and lanes."""
    head = reader.u8()
    precision, lane_bits = LEAST_PRECISION + (head & 7), head >> 3
    if 1 << lane_bits > MOST_LANES:
        raise reader.error(f"2^{lane_bits} lanes; at most {MOST_LANES} are possible")
    if symbol_count > 1 << precision:
        raise reader.error(f"{symbol_count} symbols need more than {precision} bits of frequency")
    return precision, 1 << lane_bits


def _check_paid(
    reader: Reader, count: int, frequencies: Frequencies, precision: int, lanes: int
) -> None:
    """Refuse more codes than the bytes can hold, before they are given memory.

    A code of frequency f lowers a state by log2(2^precision / f) bits; rounding gives back less
    than an eighth of that, since states have 16 bits at least. The words and the states, which end
    at 2^16, bring 8 bits a byte less 16 bits a lane.
    """
    least = (precision << FRACTION) - int(logarithms()[int(frequencies.max())])
    if count * least // 8 * 7 > max(0, 8 * reader.remaining - 16 * lanes) << FRACTION:
        raise reader.error(f"{count} codes do not fit the {reader.remaining} bytes left")
