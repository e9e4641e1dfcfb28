"""The bytes of items, apart; items may first be turned left by some bits."""

from __future__ import annotations

from laconic.coding.forms import Bits, Bytes
from laconic.coding.reference.common import require


def plane_split(items: Bits, index: int, turn: int, plane: Bytes) -> None:
    """Write byte `index` (0 is the lowest) of each item turned left by `turn` bits (0 to 7).

    Examples:
        Turned left by a bit, 0x80FF is 0x01FF.

        >>> import numpy as np
        >>> plane = np.empty(1, np.uint8)
        >>> plane_split(np.array([0x80FF], np.uint16), 1, 1, plane)
        >>> plane.tolist()
        [1]
    """
    require(items.size == plane.size, "items and plane differ in size")
    shift = _shift(items, index, turn)
    width = 8 * items.dtype.itemsize
    one = items.dtype.type
    turned = items >> one(shift)
    if shift + 8 > width:  # the plane goes on with the low bits
        turned |= items << one(width - shift)
    plane[...] = turned & one(0xFF)


def plane_join(plane: Bytes, index: int, turn: int, items: Bits) -> None:
    """Set what `plane_split` read of each item and leave the other bits."""
    require(items.size == plane.size, "items and plane differ in size")
    shift = _shift(items, index, turn)
    width = 8 * items.dtype.itemsize
    byte = 0xFF << shift
    others = ~(byte | byte >> width) & (1 << width) - 1
    one = items.dtype.type
    items &= one(others)
    wide = plane.astype(items.dtype)
    items |= wide << one(shift)
    if shift + 8 > width:
        items |= wide >> one(width - shift)


def _shift(items: Bits, index: int, turn: int) -> int:
    """Which bit of an item is the lowest of the plane."""
    require(0 <= index < items.dtype.itemsize, "an item has no such byte")
    require(0 <= turn <= 7, "items are turned by 0 to 7 bits")
    return (8 * index - turn) % (8 * items.dtype.itemsize)
