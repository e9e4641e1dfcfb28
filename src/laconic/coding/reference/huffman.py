"""The distinct values and their canonical codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from laconic.coding.forms import Bits, Bytes
from laconic.coding.reference.common import CHUNK, GOOD, require

LONGEST_CODE = 20
MOST_SYMBOLS = 65536


def histogram(values: Bits, symbols: Bits, counts: NDArray[np.int64]) -> int:
    """Write the distinct values, ascending, and how often each occurs; return how many there are.

    Returns -1 when there are more than `symbols` can hold.
    """
    require(symbols.size == counts.size, "symbols and counts differ in size")
    # Most arrays with too many symbols show it early, long before all of them are sorted.
    if np.unique(values[: 2 * symbols.size]).size > symbols.size:
        return -1
    found, times = np.unique(values, return_counts=True)
    if found.size > symbols.size:
        return -1
    symbols[: found.size] = found
    counts[: found.size] = times
    return int(found.size)


class _Canonical:
    """The numbering of a canonical code: by length, then by place in the list.

    Codes of one length follow one another and longer ones follow shorter ones, so the code at the
    start of a 20-bit window has the first length whose `limit` lies above the window.
    """

    def __init__(self, lengths: Bytes) -> None:
        count = lengths.size
        require(1 <= count <= MOST_SYMBOLS, "a code has from 1 to 65536 symbols")
        require(int(lengths.max()) <= LONGEST_CODE, "a code is longer than 20 bits")
        require(bool(lengths.min() > 0) or count == 1, "only a symbol that is alone has length 0")
        with_length = np.bincount(lengths, minlength=LONGEST_CODE + 1)
        self.shifts = LONGEST_CODE - np.arange(LONGEST_CODE + 1)
        self.limit = np.cumsum(with_length << self.shifts)
        require(self.limit[-1] <= 1 << LONGEST_CODE, "the code is over-subscribed")
        require(self.limit[-1] == 1 << LONGEST_CODE, "the code is incomplete")
        self.first = np.concatenate(([0], self.limit[:-1]))
        self.rank = np.concatenate(([0], np.cumsum(with_length)[:-1]))
        self.order = np.argsort(lengths, kind="stable")

    def codes(self, lengths: Bytes) -> NDArray[np.int64]:
        """The code of each symbol, moved up to 20 bits."""
        codes = np.empty(lengths.size, np.int64)
        ranks = np.arange(lengths.size)
        ordered = lengths[self.order]
        steps = (ranks - self.rank[ordered]) << self.shifts[ordered]
        codes[self.order] = self.first[ordered] + steps
        return codes


def huffman_encode(values: Bits, symbols: Bits, lengths: Bytes, out: Bytes) -> None:
    """Write the canonical codes of `values` one after the other, high bits first.

    `symbols` are all different, `lengths` a complete code (Kraft's sum is 1; one symbol alone has
    length 0). Bits left over in the last byte are zero.
    """
    require(symbols.size == lengths.size, "symbols and lengths differ in size")
    code = _Canonical(lengths)
    ascending = np.argsort(symbols, kind="stable")
    codes = code.codes(lengths)
    pending = np.zeros(0, np.uint8)  # bits that do not fill a byte yet
    used = 0
    columns = np.arange(LONGEST_CODE)
    for start in range(0, values.size, CHUNK):
        chunk = values[start : start + CHUNK]
        near = np.minimum(np.searchsorted(symbols, chunk, sorter=ascending), symbols.size - 1)
        place = ascending[near]
        require(bool(np.all(symbols[place] == chunk)), "a value has no code")
        spelt = (codes[place, None] >> (LONGEST_CODE - 1 - columns) & 1).astype(np.uint8)
        bits = np.concatenate((pending, spelt[columns < lengths[place, None]]))
        whole = bits.size // 8 * 8
        packed = np.packbits(bits[:whole])
        require(packed.size <= out.size - used, "the codes take more bytes than the output has")
        out[used : used + packed.size] = packed
        used += packed.size
        pending = bits[whole:]
    last = np.packbits(pending)
    require(
        out.size - used == last.size,
        "the codes take another number of bytes than the output has",
    )
    out[used:] = last


def huffman_decode(data: Bytes, symbols: Bits, lengths: Bytes, out: Bits) -> int:
    """Read what `huffman_encode` writes.

    The length of the code at every bit is looked up at once; only the walk from code to code
    is a Python loop.
    """
    require(symbols.size == lengths.size, "symbols and lengths differ in size")
    code = _Canonical(lengths)
    if symbols.size == 1:
        out[...] = symbols[0]
        return GOOD if data.size == 0 else 0
    by_rank = symbols[code.order]
    bit, done, end = 0, 0, 8 * data.size
    while done < out.size:
        if bit >= end:
            return int(data.size)
        windows = _windows(data, bit // 8)
        length = np.searchsorted(code.limit, windows, side="right")
        starts, bit = _walk(length.tolist(), bit, bit // 8 * 8, out.size - done)
        taken = length[starts]
        ranks = code.rank[taken] + ((windows[starts] - code.first[taken]) >> code.shifts[taken])
        out[done : done + len(starts)] = by_rank[ranks]
        done += len(starts)
    if bit > end:
        return int(data.size)
    if (bit + 7) // 8 != data.size:
        return (bit + 7) // 8
    return data.size - 1 if bit % 8 and int(data[-1]) << bit % 8 & 0xFF else GOOD


def _windows(data: Bytes, first: int) -> NDArray[np.int64]:
    """The 20 bits from each bit of up to `CHUNK` bytes on; behind the end come zeros."""
    count = min(CHUNK, data.size - first)
    padded = np.zeros(count + 3, np.int64)
    here = data[first : first + count + 3]
    padded[: here.size] = here
    words = padded[:-3] << 24 | padded[1:-2] << 16 | padded[2:-1] << 8 | padded[3:]
    spelt = words[:, None] >> (32 - LONGEST_CODE - np.arange(8))
    return (spelt & ((1 << LONGEST_CODE) - 1)).reshape(-1)


def _walk(lengths: list[int], bit: int, origin: int, most: int) -> tuple[list[int], int]:
    """Where codes start, from `bit` to the end of `lengths`, and the bit after the last one."""
    starts: list[int] = []
    place, end = bit - origin, len(lengths)
    while place < end and len(starts) < most:
        starts.append(place)
        place += lengths[place]
    return starts, place + origin
