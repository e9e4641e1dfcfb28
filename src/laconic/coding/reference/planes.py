"""The bytes of items, apart."""

from __future__ import annotations

from laconic.coding.reference.common import Bits, Bytes, as_bytes, require


def plane_split(items: Bits, index: int, plane: Bytes) -> None:
    """Write byte `index` (0 is the lowest) of each item."""
    require(items.size == plane.size, "items and plane differ in size")
    require(0 <= index < items.dtype.itemsize, "an item has no such byte")
    plane[...] = as_bytes(items)[:, index]


def plane_join(plane: Bytes, index: int, items: Bits) -> None:
    """Set byte `index` of each item and leave the others."""
    require(items.size == plane.size, "items and plane differ in size")
    require(0 <= index < items.dtype.itemsize, "an item has no such byte")
    shift = items.dtype.type(8 * index)
    others = items.dtype.type(~(0xFF << 8 * index) & (1 << 8 * items.dtype.itemsize) - 1)
    items[...] = items & others | plane.astype(items.dtype) << shift
