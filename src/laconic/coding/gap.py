"""Relative indices: arrays with few non-zeros, as Deep Compression stores them."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding import kernels
from laconic.coding.code_lengths import huffman_lengths
from laconic.coding.coder import IntArray, Parted, Speed
from laconic.coding.inner import decode_inner, encode_inner
from laconic.coding.integers import Counts, blank, flat, ordered, patterns
from laconic.coding.reader import Reader, varint
from laconic.coding.symbols import distinct
from laconic.errors import CodingError

WIDEST = 16
_MOST_COSTED = 4096  # distinct values above which Huffman's sizes are too slow to try sixteen times


class Gap(Parted):
    """Zeros before each non-zero, in `width` bits, and the non-zeros (arXiv:1510.00149, section 3).

    Runs go through the whole array in C order, not row by row. A run that does not fit is bridged
    by fillers: the largest gap and the value 0. Gaps and values are two streams, each by an inner
    coder (spec/coders.md, `gap`). Departures from the paper: the gap counts the zeros between (the
    paper's difference less one, so that no bit pattern is wasted), and the width is chosen for each
    array from the histogram of its runs.

    Examples:
        Two entries of 1 bit; gaps 1, 0 and values 3, 4, each by `fixed`.

        >>> Gap().encode(np.array([0, 3, 4, 0, 0], np.uint8)).hex()
        '0201040101000101010602'
    """

    name: ClassVar[str] = "gap"
    number: ClassVar[int] = 3
    decode_speed: ClassVar[Speed] = Speed.FAST

    def encode(self, codes: IntArray) -> bytes:
        items = patterns(codes)
        if items.size == 0:
            return b""
        places = np.flatnonzero(items)
        if places.size == 0:
            return varint(0)
        runs, times = np.unique(np.diff(places, prepend=-1) - 1, return_counts=True)
        dtype = codes.dtype.newbyteorder("=")
        width = best_width(runs, times, items[places].view(dtype))
        entries = int(np.dot((runs >> width) + 1, times))
        gaps, values = np.empty(entries, np.uint16), np.empty(entries, items.dtype)
        kernels.active.gap_split(items, width, gaps, values)
        gap_part = encode_inner(gaps, self.slowest)
        head = varint(entries) + bytes([width]) + varint(len(gap_part))
        return head + gap_part + encode_inner(values.view(dtype), self.slowest)

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        count = math.prod(shape)
        if count == 0:
            reader.end()
            return blank(shape, dtype, reader)
        entries = reader.varint(count)
        if entries == 0:
            reader.end()
            out = blank(shape, dtype, reader)
            out[...] = 0
            return out
        width = reader.u8()
        if not 1 <= width <= WIDEST:
            raise reader.error(f"a gap of {width} bits; from 1 to {WIDEST} are possible")
        size = reader.varint(reader.remaining)
        gap_reader = Reader(reader.take(size), reader.offset - size)
        start = reader.position
        gaps = decode_inner(gap_reader, (entries,), np.uint16)
        if int(gaps.max()) >> width:
            raise gap_reader.error(f"a gap of {int(gaps.max())} is wider than {width} bits")
        values = flat(decode_inner(reader, (entries,), dtype))
        out = blank(shape, dtype, reader)
        status = kernels.active.gap_join(gaps.view(np.uint16), values, flat(out))
        if status >= 0:
            reader.position = start
            raise reader.error(f"entry {status} lies behind the last of {count} items")
        return out


def best_width(runs: Counts, times: Counts, nonzeros: IntArray) -> int:
    """The width from 1 to 16 whose two streams are smallest; the smaller one of equals.

    `runs` are the distinct lengths of the runs of zeros before a non-zero, `times` how often each
    occurs. The sizes follow from counts alone; no stream is made.
    """
    value_counts = _value_counts(nonzeros)
    span = max(int(nonzeros.max()), 0) - min(int(nonzeros.min()), 0)
    widest = min(WIDEST, max(1, int(runs[-1]).bit_length()))
    costs = []
    for width in range(1, widest + 1):
        fillers = int(np.dot(runs >> width, times))
        entries = fillers + nonzeros.size
        gap_bits = min(entries * width, _gap_bits(runs, times, width, fillers))
        value_bits = entries * span.bit_length()
        if value_counts is not None:
            with_fillers = [*value_counts, fillers] if fillers else value_counts
            value_bits = min(value_bits, _huffman_bits(with_fillers))
        costs.append(gap_bits + value_bits)
    return 1 + costs.index(min(costs))


def _gap_bits(runs: Counts, times: Counts, width: int, fillers: int) -> int:
    """Bits of the gap stream in Huffman's code, with about 4 bits a symbol for its table."""
    largest = (1 << width) - 1
    counts = np.bincount(runs & largest, weights=times).astype(np.int64)
    if fillers:
        counts = np.pad(counts, (0, max(0, largest + 1 - counts.size)))
        counts[largest] += fillers
    used = counts[counts > 0]
    return _huffman_bits(used.tolist()) + 4 * used.size


def _value_counts(nonzeros: IntArray) -> list[int] | None:
    try:
        _, counts = distinct(ordered(nonzeros), _MOST_COSTED)
    except CodingError:
        return None  # by `fixed` or `planes`: the same bits an entry for every width
    return [int(count) for count in counts]


def _huffman_bits(counts: list[int]) -> int:
    lengths = huffman_lengths(counts)
    return sum(count * length for count, length in zip(counts, lengths, strict=True))
