"""Relative indices and bitmaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from laconic.coding.forms import Bits, Bytes
from laconic.coding.reference.common import GOOD, require


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
    require(1 <= width <= 16, "a gap takes from 1 to 16 bits")
    require(gaps.size == values.size, "gaps and values differ in size")
    places = np.flatnonzero(dense)
    runs = np.diff(places, prepend=-1) - 1
    entry = np.cumsum((runs >> width) + 1) - 1
    needed = int(entry[-1]) + 1 if entry.size else 0
    require(needed <= gaps.size, "there are more entries than room")
    require(needed >= gaps.size, "there is more room than entries")
    largest = (1 << width) - 1
    gaps[...] = largest
    values[...] = 0
    gaps[entry] = runs & largest
    values[entry] = dense[places]


def gap_join(gaps: NDArray[np.uint16], values: Bits, dense: Bits) -> int:
    """The dense array again, or the first entry that lies behind its end."""
    require(gaps.size == values.size, "gaps and values differ in size")
    places = np.cumsum(gaps.astype(np.int64) + 1) - 1
    if places.size and places[-1] >= dense.size:
        return int(np.searchsorted(places, dense.size))
    dense[...] = 0
    dense[places] = values
    return GOOD


def bitmap_split(dense: Bits, bits: Bytes, values: Bits) -> None:
    """Write one bit for each item (is it a non-zero? low bits first) and the non-zeros."""
    require(bits.size == (dense.size + 7) // 8, "the bitmap has not one bit for each item")
    chosen = dense != 0
    found = dense[chosen]
    require(found.size <= values.size, "there are more non-zeros than room")
    require(found.size >= values.size, "there is more room than non-zeros")
    bits[...] = np.packbits(chosen, bitorder="little")
    values[...] = found


def bitmap_join(bits: Bytes, values: Bits, dense: Bits) -> int:
    """The dense array again.

    Wrong is the first byte that asks for more values than there are, the last one when its spare
    bits are not zero, `bits.size` when values are left over.
    """
    require(bits.size == (dense.size + 7) // 8, "the bitmap has not one bit for each item")
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
