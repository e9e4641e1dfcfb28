"""The inner loops of the coders in NumPy: what `laconic._native` computes, byte for byte.

Arrays are flat, C-contiguous and unsigned (8, 16, 32 or 64 bits); the caller makes the outputs and
gives their exact size. A function that reads bytes from outside returns `GOOD`, or the position of
the byte (or entry) that is wrong, the input's size where it is too short; the output then holds
unspecified values. A caller's own mistake is a ValueError. No function allocates from a number
found in the bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.unsignedinteger[Any]]
Bytes = NDArray[np.uint8]

GOOD = -1
LONGEST_CODE = 20
MOST_SYMBOLS = 65536
_CHUNK = 1 << 16  # values at a time: bounds the memory of the bits spelt out as bytes


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _packed_size(count: int, width: int) -> int:
    _require(0 <= width <= 64, "a width must be from 0 to 64 bits")
    return (count * width + 7) // 8


def _as_bytes(values: Bits) -> Bytes:
    """Little-endian bytes, one row for each value."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return little.view(np.uint8).reshape(values.size, values.dtype.itemsize)


def pack_bits(values: Bits, width: int, out: Bytes) -> None:
    """Write the low `width` bits (0 to 64) of each value, low bits first, without gaps.

    Bits left over in the last byte are zero.

    Examples:
        >>> out = np.zeros(2, np.uint8)
        >>> pack_bits(np.array([1, 2, 7], np.uint8), 3, out)
        >>> [f"{byte:08b}" for byte in out]
        ['11010001', '00000001']
    """
    _require(
        out.size == _packed_size(values.size, width),
        "the output has not the size of the packed values",
    )
    bits_here = min(width, 8 * values.dtype.itemsize)
    for start in range(0, values.size if width else 0, _CHUNK):
        chunk = values[start : start + _CHUNK]
        bits = np.zeros((chunk.size, width), np.uint8)
        bits[:, :bits_here] = np.unpackbits(_as_bytes(chunk), axis=1, bitorder="little")[:, :width]
        packed = np.packbits(bits.reshape(-1), bitorder="little")
        first = start // 8 * width
        out[first : first + packed.size] = packed


def unpack_bits(data: Bytes, width: int, out: Bits) -> int:
    """Read what `pack_bits` writes; its last byte is wrong when the spare bits are not zero."""
    expected = _packed_size(out.size, width)
    item_bits = 8 * out.dtype.itemsize
    _require(width <= item_bits, "the output items are too narrow")
    if data.size != expected:
        return min(data.size, expected)
    out[...] = 0
    for start in range(0, out.size if width else 0, _CHUNK):
        count = min(_CHUNK, out.size - start)
        first = start // 8 * width
        bits = np.zeros((count, item_bits), np.uint8)
        packed = data[first : first + _packed_size(count, width)]
        spelt = np.unpackbits(packed, count=count * width, bitorder="little")
        bits[:, :width] = spelt.reshape(count, width)
        values = np.packbits(bits, axis=1, bitorder="little").reshape(-1)
        out[start : start + count] = values.view(out.dtype.newbyteorder("<"))
    spare = out.size * width % 8
    return data.size - 1 if spare and data[-1] >> spare else GOOD


def histogram(values: Bits, symbols: Bits, counts: NDArray[np.int64]) -> int:
    """Write the distinct values, ascending, and how often each occurs; return how many there are.

    Returns -1 when there are more than `symbols` can hold.
    """
    _require(symbols.size == counts.size, "symbols and counts differ in size")
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
        _require(1 <= count <= MOST_SYMBOLS, "a code has from 1 to 65536 symbols")
        _require(int(lengths.max()) <= LONGEST_CODE, "a code is longer than 20 bits")
        _require(bool(lengths.min() > 0) or count == 1, "only a symbol that is alone has length 0")
        with_length = np.bincount(lengths, minlength=LONGEST_CODE + 1)
        self.shifts = LONGEST_CODE - np.arange(LONGEST_CODE + 1)
        self.limit = np.cumsum(with_length << self.shifts)
        _require(self.limit[-1] <= 1 << LONGEST_CODE, "the code is over-subscribed")
        _require(self.limit[-1] == 1 << LONGEST_CODE, "the code is incomplete")
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
    _require(symbols.size == lengths.size, "symbols and lengths differ in size")
    code = _Canonical(lengths)
    ascending = np.argsort(symbols, kind="stable")
    codes = code.codes(lengths)
    pending = np.zeros(0, np.uint8)  # bits that do not fill a byte yet
    used = 0
    columns = np.arange(LONGEST_CODE)
    for start in range(0, values.size, _CHUNK):
        chunk = values[start : start + _CHUNK]
        near = np.minimum(np.searchsorted(symbols, chunk, sorter=ascending), symbols.size - 1)
        place = ascending[near]
        _require(bool(np.all(symbols[place] == chunk)), "a value has no code")
        spelt = (codes[place, None] >> (LONGEST_CODE - 1 - columns) & 1).astype(np.uint8)
        bits = np.concatenate((pending, spelt[columns < lengths[place, None]]))
        whole = bits.size // 8 * 8
        packed = np.packbits(bits[:whole])
        _require(packed.size <= out.size - used, "the codes take more bytes than the output has")
        out[used : used + packed.size] = packed
        used += packed.size
        pending = bits[whole:]
    last = np.packbits(pending)
    _require(
        out.size - used == last.size,
        "the codes take another number of bytes than the output has",
    )
    out[used:] = last


def huffman_decode(data: Bytes, symbols: Bits, lengths: Bytes, out: Bits) -> int:
    """Read what `huffman_encode` writes.

    The length of the code at every bit is looked up at once; only the walk from code to code
    is a Python loop.
    """
    _require(symbols.size == lengths.size, "symbols and lengths differ in size")
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
    """The 20 bits from each bit of up to `_CHUNK` bytes on; behind the end come zeros."""
    count = min(_CHUNK, data.size - first)
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


def gap_split(dense: Bits, width: int, gaps: NDArray[np.uint16], values: Bits) -> None:
    """Write relative indices (arXiv:1510.00149, section 3): each entry is a gap and a value.

    The gap counts the zeros before the value. A run that does not fit `width` bits (1 to 16) is
    bridged by fillers: the largest gap and the value 0. The zeros at the end have no entry.

    Examples:
        Figure 2 of the paper, 3 bits; its differences 1, 4, 8, 3 are gaps 0, 3, 7, 2 here.

        >>> dense = np.zeros(16, np.uint8)
        >>> dense[[0, 4, 15]] = 34, 9, 17
        >>> gaps, values = np.empty(4, np.uint16), np.empty(4, np.uint8)
        >>> gap_split(dense, 3, gaps, values)
        >>> gaps.tolist(), values.tolist()
        ([0, 3, 7, 2], [34, 9, 0, 17])
    """
    _require(1 <= width <= 16, "a gap takes from 1 to 16 bits")
    _require(gaps.size == values.size, "gaps and values differ in size")
    places = np.flatnonzero(dense)
    runs = np.diff(places, prepend=-1) - 1
    entry = np.cumsum((runs >> width) + 1) - 1
    needed = int(entry[-1]) + 1 if entry.size else 0
    _require(needed <= gaps.size, "there are more entries than room")
    _require(needed >= gaps.size, "there is more room than entries")
    largest = (1 << width) - 1
    gaps[...] = largest
    values[...] = 0
    gaps[entry] = runs & largest
    values[entry] = dense[places]


def gap_join(gaps: NDArray[np.uint16], values: Bits, dense: Bits) -> int:
    """The dense array again, or the first entry that lies behind its end."""
    _require(gaps.size == values.size, "gaps and values differ in size")
    places = np.cumsum(gaps.astype(np.int64) + 1) - 1
    if places.size and places[-1] >= dense.size:
        return int(np.searchsorted(places, dense.size))
    dense[...] = 0
    dense[places] = values
    return GOOD


def bitmap_split(dense: Bits, bits: Bytes, values: Bits) -> None:
    """Write one bit for each item (is it a non-zero? low bits first) and the non-zeros."""
    _require(bits.size == (dense.size + 7) // 8, "the bitmap has not one bit for each item")
    chosen = dense != 0
    found = dense[chosen]
    _require(found.size <= values.size, "there are more non-zeros than room")
    _require(found.size >= values.size, "there is more room than non-zeros")
    bits[...] = np.packbits(chosen, bitorder="little")
    values[...] = found


def bitmap_join(bits: Bytes, values: Bits, dense: Bits) -> int:
    """The dense array again.

    Wrong is the first byte that asks for more values than there are, the last one when its spare
    bits are not zero, `bits.size` when values are left over.
    """
    _require(bits.size == (dense.size + 7) // 8, "the bitmap has not one bit for each item")
    spelt = np.unpackbits(bits, bitorder="little")
    if spelt[dense.size :].any():
        return int(bits.size) - 1
    chosen = spelt[: dense.size].view(np.bool_)
    places = np.flatnonzero(chosen)
    if places.size > values.size:
        return int(places[values.size]) // 8
    if places.size < values.size:
        return int(bits.size)
    dense[...] = 0
    dense[chosen] = values
    return GOOD


def plane_split(items: Bits, index: int, plane: Bytes) -> None:
    """Write byte `index` (0 is the lowest) of each item."""
    _require(items.size == plane.size, "items and plane differ in size")
    _require(0 <= index < items.dtype.itemsize, "an item has no such byte")
    plane[...] = _as_bytes(items)[:, index]


def plane_join(plane: Bytes, index: int, items: Bits) -> None:
    """Set byte `index` of each item and leave the others."""
    _require(items.size == plane.size, "items and plane differ in size")
    _require(0 <= index < items.dtype.itemsize, "an item has no such byte")
    shift = items.dtype.type(8 * index)
    others = items.dtype.type(~(0xFF << 8 * index) & (1 << 8 * items.dtype.itemsize) - 1)
    items[...] = items & others | plane.astype(items.dtype) << shift
