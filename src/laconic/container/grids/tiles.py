"""Tiles: equal boxes that cover a tensor, each with an entry of a table for its codes.

A tile shape has a size for each axis; the last tiles of an axis may be cut short. One tile for the
whole tensor, one for each index of an axis (channels), or groups along an axis are all tile shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader, varint

Shape = tuple[int, ...]


def along(shape: Shape, axis: int | None) -> Shape:
    """The tile shape with one tile for each index of `axis`; None: one for the whole tensor.

    Examples:
        >>> along((64, 3, 3), 0), along((64, 3, 3), None)
        ((1, 3, 3), (64, 3, 3))
    """
    return tuple(1 if i == axis else max(1, size) for i, size in enumerate(shape))


def tile_counts(shape: Shape, tile: Shape) -> Shape:
    """How many tiles stand along each axis: the shape of a table.

    Examples:
        >>> tile_counts((10, 100), (1, 32))
        (10, 4)
    """
    return tuple(-(-size // step) for size, step in zip(shape, tile, strict=True))


def write_tile(shape: Shape, tile: Shape) -> bytes:
    """0 for one tile, axis + 1 for one an index of that axis, else ndim + 1 and the sizes."""
    for number, axis in enumerate([None, *range(len(shape))]):
        if tile == along(shape, axis):
            return varint(number)
    return varint(len(shape) + 1) + b"".join(varint(size) for size in tile)


def read_tile(reader: Reader, shape: Shape) -> Shape:
    """What `write_tile` wrote; FormatError for a tile of size 0 or larger than its axis."""
    number = reader.varint(len(shape) + 1)
    if number <= len(shape):
        return along(shape, number - 1 if number else None)
    tile = tuple(reader.varint(max(1, size)) for size in shape)
    if 0 in tile:
        raise reader.error(f"a tile of shape {tile} holds nothing")
    return tile


def per_item(
    table: NDArray[Any], shape: Shape, tile: Shape, start: int, count: int
) -> NDArray[Any]:
    """The entries of `table` (one a tile) for `count` items from flat place `start`.

    Examples:
        >>> per_item(np.array([[10, 20]]), (2, 3), (2, 2), 1, 4)
        array([10, 20, 10, 10])
    """
    if table.size == 1:
        return np.broadcast_to(table.reshape(()), count)
    entries = np.empty(count, table.dtype)
    done = 0
    for leading, low, high in boxes(shape, start, start + count):
        axis = len(leading)
        fixed = tuple(place // step for place, step in zip(leading, tile, strict=False))
        part = table[fixed][low // tile[axis] : -(-high // tile[axis])]
        box = (high - low, *shape[axis + 1 :])
        ahead = low % tile[axis]  # of the box, in its first tile
        for i in reversed(range(len(box))):
            skip = ahead if i == 0 else 0
            part = np.repeat(part, min(tile[axis + i], skip + box[i]), axis=i)
            part = part[(slice(None),) * i + (slice(skip, skip + box[i]),)]
        entries[done : done + prod(box)] = part.reshape(-1)
        done += prod(box)
    return entries


def boxes(shape: Shape, start: int, stop: int) -> Iterator[tuple[Shape, int, int]]:
    """A run of flat places as few boxes: indices of leading axes, then a range of the next axis.

    The axes behind are whole in each box.

    Examples:
        >>> list(boxes((4, 10), 5, 32))
        [((0,), 5, 10), ((), 1, 3), ((3,), 0, 2)]
    """
    inner = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    while start < stop:
        axis = next(i for i, size in enumerate(inner) if not start % size and start + size <= stop)
        low = start // inner[axis] % shape[axis]
        high = min(shape[axis], low + (stop - start) // inner[axis])
        leading = tuple(start // inner[i] % shape[i] for i in range(axis))
        yield leading, low, high
        start += (high - low) * inner[axis]
