"""Codebook entries ↔ numbers that code well: steps outward from zero (spec/format.md).

Entries stand in ascending order of value, those below zero and those above it. The distance of an
entry counts the values of its dtype between it and zero; the first distance of each side and the
steps from each entry to the next one farther out are what a file holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader
from laconic.container.dtypes import DTYPES, Bits
from laconic.container.grids.numbers import read_numbers, write_numbers

MAX_ENTRIES = 2**19
"""Of all codebooks of one tensor."""
Counts = NDArray[np.integer[Any]]


def is_signed(dtype: str) -> bool:
    """Whether values may lie below zero; complex numbers are ordered by their bits."""
    return dtype[0] not in "UC" and dtype != "BOOL"


def distances(bits: Bits, dtype: str) -> tuple[NDArray[np.bool_], Bits]:
    """Where values are below zero (minus zero is), and how far from zero: 0 for its neighbours.

    Zero itself must not be among them.

    Examples:
        >>> distances(np.uint8([1, 255, 128]), "I8")
        (array([False,  True,  True]), array([  0,   0, 127], dtype=uint8))
    """
    one = bits.dtype.type(1)
    if not is_signed(dtype):
        return np.zeros(bits.shape, np.bool_), bits - one
    top = _top(dtype)
    below = (bits & top) != 0
    outward = ~bits if dtype[0] == "I" else bits ^ top
    return below, np.where(below, outward, bits - one)


def from_distances(below: NDArray[np.bool_], away: Bits, dtype: str) -> Bits:
    """The bits that have these sides and distances."""
    one = away.dtype.type(1)
    if not is_signed(dtype):
        return away + one
    outward = ~away if dtype[0] == "I" else away ^ _top(dtype)
    return np.where(below, outward, away + one)


def value_order(bits: Bits, dtype: str) -> NDArray[np.intp]:
    """Indices that sort bit patterns, zero not among them, by value."""
    below, away = distances(bits, dtype)
    low, high = np.flatnonzero(below), np.flatnonzero(~below)
    descending = np.argsort(away[low], kind="stable")[::-1]
    return np.concatenate([low[descending], high[np.argsort(away[high], kind="stable")]])


def write_entries(entries: Bits, below: Counts, above: Counts, dtype: str) -> bytes:
    """The entries of one or more codebooks, one after the other, each in ascending order."""
    sides = _sides(below, above)
    away = distances(entries, dtype)[1][_outward(below, above)]
    steps = np.empty_like(away)
    steps[1:] = away[1:] - away[:-1] - away.dtype.type(1)
    first = _starts(sides)
    firsts = away[first]
    return write_numbers(firsts) + write_numbers(np.delete(steps, first))


def read_entries(reader: Reader, below: Counts, above: Counts, dtype: str) -> Bits:
    """What `write_entries` wrote.

    Raises:
        FormatError: entries beyond the dtype, or more than any codebook has.
    """
    sides = _sides(below, above)
    count = int(sides.sum())
    if count > MAX_ENTRIES:
        raise reader.error(f"{count:,} codebook entries; at most {MAX_ENTRIES:,} can be")
    width = DTYPES[dtype].bits.newbyteorder("=")
    start, first = reader.offset, _starts(sides)
    firsts = read_numbers(reader, first.shape, width)
    steps = read_numbers(reader, (count - first.size,), width)
    is_first = np.zeros(count, np.bool_)
    is_first[first] = True
    away = np.empty(count, width)
    away[is_first], away[~is_first] = firsts, steps + width.type(1)
    del steps
    _add_up(away, first)
    is_below = np.repeat(np.arange(sides.size) % 2 == 0, sides)
    entries = from_distances(is_below, away, dtype)
    grows = is_first[1:] | (away[1:] > away[:-1])
    again, back = distances(entries, dtype)
    whole = (again == is_below) & (back == away) & (entries != 0)
    if not (grows.all() and whole.all()):
        raise Reader(b"", start).error(f"a codebook has entries that {dtype} has not")
    del away, back
    ordered = np.empty_like(entries)
    ordered[_outward(below, above)] = entries
    return ordered


def _add_up(away: Bits, first: NDArray[np.int64]) -> None:
    """Sums from each of the places `first` to the next one, in place; they may wrap round."""
    total = np.cumsum(away, dtype=away.dtype)  # wraps round, and so do the differences
    before = np.concatenate([np.zeros(1, away.dtype), total])[first]
    total -= np.repeat(before, np.diff(first, append=away.size))
    away[...] = total


def _top(dtype: str) -> Any:
    """The sign bit alone."""
    width = DTYPES[dtype].bits
    return width.type(1 << (8 * width.itemsize - 1))


def _sides(below: Counts, above: Counts) -> NDArray[np.int64]:
    """Entries of each side: below and above of the first codebook, then of the second, …"""
    return np.stack([below.reshape(-1), above.reshape(-1)], 1).reshape(-1).astype(np.int64)


def _starts(sides: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the first entries of the sides that have any."""
    starts = np.cumsum(sides) - sides
    return np.asarray(starts[sides > 0])


def _outward(below: Counts, above: Counts) -> NDArray[np.int64]:
    """Where the entries stand that a file lists outward from zero: each side below turned round."""
    sides = _sides(below, above)
    starts = np.repeat(np.cumsum(sides) - sides, sides)
    place = np.arange(int(sides.sum()))
    turned = starts + np.repeat(sides, sides) - 1 - (place - starts)
    return np.where(np.repeat(np.arange(sides.size) % 2 == 0, sides), turned, place)
