"""The tile shapes that toolkits use, and tensors as rows of tiles, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from numpy.typing import NDArray

from laconic.container.dtypes import Bits, from_bits
from laconic.container.grids.tiles import along, tile_counts

Shape = tuple[int, ...]
Box = tuple[slice, ...]
PIECE = 1 << 18
"""Values looked at in one go."""
GROUPS = (256, 128, 64, 32, 16)
BLOCK = 128
LEAST = 8
"""Values of a tile: fewer say nothing of a scale."""


def tilings(shape: Shape) -> list[Shape]:
    """Tile shapes worth a look, those of the fewest tiles first.

    One scale; one for each index of an axis; of the first two axes (kernels); groups along the
    last axis, along the first (weights kept as inputs × outputs), and square blocks.

    Examples:
        >>> tilings((64, 96))
        [(64, 96), (1, 96), (64, 1), (1, 64), (1, 32), (32, 1), (1, 16), (16, 1)]
    """
    axes = range(len(shape))
    found = [along(shape, None)]
    if len(shape) > 1:
        found += [along(shape, axis) for axis in axes]
    if len(shape) > 2:
        found += [(1, 1, *shape[2:])]
    if len(shape) == 2:
        found += [(BLOCK, BLOCK)]
    for group in GROUPS:
        if len(shape) and group < shape[-1]:
            found.append((*(1,) * (len(shape) - 1), group))
        if len(shape) == 2 and group < shape[0]:
            found.append((group, 1))
    found = [tuple(min(t, size) for t, size in zip(tile, shape, strict=True)) for tile in found]
    kept = [tile for tile in dict.fromkeys(found) if prod(tile) >= LEAST or tile == shape]
    return sorted(kept, key=lambda tile: prod(tile_counts(shape, tile)))


def boxes(shape: Shape, tile: Shape, piece: int = PIECE) -> Iterator[tuple[Box, Box]]:
    """Boxes of whole tiles of about `piece` values: where in the tensor, where in its table.

    A box holds at least one tile.
    """
    counts = tile_counts(shape, tile)
    room = max(1, piece // max(1, prod(tile)))
    spans = []
    for count in reversed(counts):
        spans.append(min(count, room))
        room = max(1, room // count)
    spans.reverse()
    for place in np.ndindex(*tile_counts(counts, tuple(max(1, span) for span in spans))):
        table = tuple(
            slice(i * span, min(count, i * span + span))
            for i, span, count in zip(place, spans, counts, strict=True)
        )
        tensor = tuple(
            slice(part.start * t, min(size, part.stop * t))
            for part, t, size in zip(table, tile, shape, strict=True)
        )
        yield tensor, table


def as_rows(values: NDArray[np.float32], tile: Shape) -> NDArray[np.float32]:
    """The tiles of an array as rows; those cut short are filled up with zeros.

    Examples:
        >>> as_rows(np.arange(6, dtype="f4").reshape(2, 3), (2, 2)).tolist()
        [[0.0, 1.0, 3.0, 4.0], [2.0, 0.0, 5.0, 0.0]]
    """
    counts = tile_counts(values.shape, tile)
    missing = [n * t - size for n, t, size in zip(counts, tile, values.shape, strict=True)]
    if any(missing):
        values = np.pad(values, [(0, more) for more in missing])
    split = [size for pair in zip(counts, tile, strict=True) for size in pair]
    order = [*range(0, len(split), 2), *range(1, len(split), 2)]
    tiles = values.reshape(split).transpose(order)
    return np.ascontiguousarray(tiles).reshape(prod(counts), prod(tile))


def floats(bits: Bits, dtype: str) -> NDArray[np.float32]:
    """The values as float32, exactly."""
    values = from_bits(np.require(bits, requirements="A"), dtype)
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return values.astype(np.float32, copy=False)


def spread(size: int, most: int) -> NDArray[np.int64]:
    """At most `most` places from all over `size`, the last one among them."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).astype(np.int64))
