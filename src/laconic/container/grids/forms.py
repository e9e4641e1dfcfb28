"""Tensors in the forms of a file, from the bits of their values or from their integers."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.container.dtypes import DTYPES, Bits
from laconic.container.grids import products_grid, tiles
from laconic.container.grids.codebook_grid import MAX_CODEBOOKS
from laconic.container.grids.entries import distances, value_order
from laconic.container.grids.grid import CHUNK, narrowest
from laconic.container.grids.stored import GRIDS, StoredTensor
from laconic.container.grids.uniform_grid import MAX_CODE, ROUNDINGS
from laconic.errors import UsageError


def plain(name: str, bits: Bits, dtype: str) -> StoredTensor:
    """A tensor whose values are kept as they are, bit for bit."""
    codes = bits.view(GRIDS["plain"].code_dtype(dtype, {}))
    return StoredTensor(name, dtype, bits.shape, "plain", codes)


def codebook(name: str, bits: Bits, dtype: str) -> StoredTensor:
    """A tensor as codes into the table of its distinct values; exact for any bits.

    Examples:
        >>> values = np.float32([0.5, 0, -2, 0.5])
        >>> stored = codebook("w", values.view("u4"), "F32")
        >>> stored.codes.tolist(), stored.values.tolist()
        ([1, 0, -1, 1], [0.5, 0.0, -2.0, 0.5])
    """
    codes, below, above = _ranked(bits, dtype)
    return StoredTensor(
        name, dtype, bits.shape, "codebook", codes, {"below": below, "above": above}
    )


def codebooks(name: str, bits: Bits, dtype: str, tile: tuple[int, ...]) -> StoredTensor:
    """As `codebook`, with a table for each tile.

    Raises:
        UsageError: more tiles than a file holds tables.

    Examples:
        >>> values = np.float32([[1, 2, 2], [5, 0, 5]])
        >>> stored = codebooks("w", values.view("u4"), "F32", (1, 3))
        >>> stored.codes.tolist(), stored.values.tolist()
        ([[1, 2, 2], [1, 0, 1]], [[1.0, 2.0, 2.0], [5.0, 0.0, 5.0]])
    """
    counts = tiles.tile_counts(bits.shape, tile)
    if np.prod(counts, dtype=object) > MAX_CODEBOOKS:
        raise UsageError(f"{name}: tiles of {tile} are too many for a codebook each; enlarge them")
    codes = np.zeros(bits.shape, np.int16)
    below, above = np.zeros(counts, np.int64), np.zeros(counts, np.int64)
    entries = [np.zeros(0, DTYPES[dtype].bits)]
    for place in np.ndindex(*counts):
        box = tuple(slice(i * t, i * t + t) for i, t in zip(place, tile, strict=True))
        codes[box], low, high = _ranked(bits[box], dtype)
        below[place], above[place] = low.size, high.size
        entries += [low, np.zeros(1, low.dtype), high]
    tables = {
        "tile": np.array(tile, np.int64),
        "below": below,
        "above": above,
        "entries": np.concatenate(entries),
    }
    width = narrowest(-int(below.max(initial=0)), int(above.max(initial=0)))
    return StoredTensor(name, dtype, bits.shape, "codebooks", codes.astype(width), tables)


def uniform(
    name: str,
    codes: NDArray[Any],
    scale: NDArray[np.float32],
    axis: int | None = None,
    *,
    tile: tuple[int, ...] | None = None,
    dtype: str = "F32",
    rounding: str | None = None,
    minus_zero: bool = False,
) -> StoredTensor:
    """A tensor as integers times a scale: float32(code) · scale, rounded to the dtype.

    Args:
        name: the tensor's.
        codes: integers of its shape.
        scale: one for the tensor, for each index of `axis`, or for each tile in C order; finite
            and not 0.
        axis: of the scales; None for one scale, or with `tile`.
        tile: the tile shape, a size for each axis; the last tiles may be cut short.
        dtype: F32, F16 or BF16.
        rounding: the dtype that products are rounded to first, for F32; its own by default.
        minus_zero: code -1 stands for minus zero, -2 for -1 · scale, and so on.

    Raises:
        UsageError: a code is too large for float32 to hold exactly, or scales that do not fit.

    Examples:
        >>> codes = np.array([[1, 2, -3, 4], [0, 1, 0, 7]])
        >>> stored = uniform("w", codes, np.float32([0.5, 0.25, 1, 3]), tile=(1, 2))
        >>> stored.values.tolist()
        [[0.5, 1.0, -0.75, 1.0], [0.0, 1.0, 0.0, 21.0]]
    """
    low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
    if max(-low, high) > MAX_CODE:
        raise UsageError(f"{name}: a code is beyond ±2^24; use fewer bits")
    shape = codes.shape
    tile = tiles.along(shape, axis) if tile is None else tile
    counts = tiles.tile_counts(shape, tile)
    if scale.size != np.prod(counts, dtype=object):
        if codes.size:
            raise UsageError(
                f"{name}: {scale.size} scales for {list(counts)} tiles of {list(tile)}"
            )
        scale = np.zeros(counts, np.float32)
    if not (np.isfinite(scale).all() and scale.all()):
        raise UsageError(f"{name}: a scale is not finite, or 0")
    width = narrowest(low, high)
    rounded = ROUNDINGS[dtype].index(rounding or dtype)
    tables: dict[str, NDArray[Any]] = {
        "tile": np.array(tile, np.int64),
        "scale": np.asarray(scale, np.float32).reshape(counts),
        "width": np.asarray(width.itemsize),
        "rounding": np.asarray(rounded),
        "minus_zero": np.asarray(int(minus_zero)),
    }
    return StoredTensor(name, dtype, shape, "uniform", codes.astype(width, copy=False), tables)


def products(
    name: str, codes: NDArray[Any], codebooks: Bits, shape: tuple[int, ...], dtype: str
) -> StoredTensor:
    """A tensor as codes of runs of values (`Products`).

    Args:
        name: the tensor's.
        codes: ``[stages, rows, segments]``; 0 stands for zeros, c for entry c - 1.
        codebooks: bits, ``[stages, segments, centroids, length]``.
        shape: the tensor's; its rows are as long as the segments together.
        dtype: F32, F16, BF16 or F64.

    Raises:
        UsageError: more codes, centroids or numbers than a file holds, or parts that do not fit.

    Examples:
        >>> book = np.float32([[[[1, 2]], [[3, 4]]]]).view("u4")
        >>> products("w", np.array([[[1, 0], [1, 1]]]), book, (2, 4), "F32").values.tolist()
        [[1.0, 2.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]]
    """
    rows, columns = products_grid.as_matrix(shape)
    stages, segments, centroids, length = codebooks.shape
    if codes.shape != (stages, rows, segments) or segments * length != columns:
        raise UsageError(
            f"{name}: codes {list(codes.shape)} and codebooks {list(codebooks.shape)} do not make "
            f"the shape {list(shape)}"
        )
    numbers = stages * columns * (centroids + 1)
    if (
        not codes.size
        or numbers > products_grid.MAX_ENTRIES
        or codes.size > products_grid.MAX_CODES
        or stages > products_grid.MAX_STAGES
        or centroids > products_grid.MAX_CENTROIDS
    ):
        raise UsageError(
            f"{name}: {codes.size:,} codes in {stages} stages and {numbers:,} numbers in codebooks "
            f"of {centroids:,}; a file holds 1 to {products_grid.MAX_CODES:,} in "
            f"{products_grid.MAX_STAGES}, and {products_grid.MAX_ENTRIES:,}"
        )
    tables = {"codebooks": codebooks}
    return StoredTensor(
        name, dtype, shape, "products", codes.astype(narrowest(0, centroids)), tables
    )


def rows(distinct: StoredTensor, index: NDArray[np.integer[Any]]) -> StoredTensor:
    """A tensor whose rows repeat: row i is row ``index[i]`` of `distinct`.

    Args:
        distinct: a tensor in any other form.
        index: places counted in the order in which they first appear, as `row_index` gives them.

    Examples:
        >>> from laconic.container.grids.row_index import row_index
        >>> bits = np.uint8([[5, 5], [1, 2], [5, 5]])
        >>> index, first = row_index(bits)
        >>> rows(plain("w", bits[first], "U8"), index).values.tolist()
        [[5, 5], [1, 2], [5, 5]]
    """
    shape = (len(index), *distinct.shape[1:])
    return StoredTensor(distinct.name, distinct.dtype, shape, "rows", index, rows=distinct)


def distinct_values(bits: Bits, most: float = inf) -> Bits | None:
    """The distinct bit patterns, ascending; None as soon as there are more than `most`.

    Examples:
        >>> distinct_values(np.uint8([3, 1, 3])), distinct_values(np.uint8([3, 1]), most=1)
        (array([1, 3], dtype=uint8), None)
    """
    known = np.zeros(0, bits.dtype)
    for run in _runs(bits):
        known = np.union1d(known, np.unique(run))
        if known.size > most:
            return None
    return known


def _ranked(bits: Bits, dtype: str) -> tuple[NDArray[Any], Bits, Bits]:
    """Codes, entries below zero and entries above it."""
    distinct = np.asarray(distinct_values(bits))
    entries = distinct[distinct != 0]
    entries = entries[value_order(entries, dtype)]
    below = int(distances(entries, dtype)[0].sum())
    low, high = entries[:below], entries[below:]
    rank = np.zeros(distinct.size, narrowest(-low.size, high.size))
    rank[np.searchsorted(distinct, low)] = np.arange(-low.size, 0)
    rank[np.searchsorted(distinct, high)] = np.arange(1, high.size + 1)
    codes = np.empty(bits.size, rank.dtype)
    done = 0
    for run in _runs(bits):
        codes[done : done + run.size] = rank[np.searchsorted(distinct, run)]
        done += run.size
    return codes.reshape(bits.shape), low, high


def _runs(bits: Bits) -> Iterator[Bits]:
    """The items in C order, flat, some at a time; no copy of all of them."""
    flat = bits.reshape(-1)  # a copy where a tile of a larger tensor is looked at
    for first in range(0, flat.size, CHUNK):
        yield np.require(flat[first : first + CHUNK], requirements="A")
