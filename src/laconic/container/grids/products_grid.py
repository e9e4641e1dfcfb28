"""Product codes: a code stands for a run of values in a row, codes of several stages are added."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader, varint
from laconic.container.dtypes import DTYPES, Bits, from_bits
from laconic.container.grids.grid import CHUNK, FileGrid, Shape, Tables, check_range, narrowest
from laconic.container.grids.numbers import read_numbers, write_numbers
from laconic.container.grids.uniform_grid import products as rounded_products

MAX_STAGES = 16
MAX_CENTROIDS = 2**15 - 1
"""Of a codebook."""
MAX_ENTRIES = 2**20
"""Numbers in all codebooks of a tensor, with the zeros of code 0."""
MAX_CODES = 2**22
"""Of a tensor: they are decoded as a whole."""
FLOATS = ("F32", "F16", "BF16", "F64")


class Products(FileGrid):
    """Each row is cut into segments of equal length, and each segment has codebooks of its own.

    Code 0 stands for a segment of zeros, code c for entry c - 1 of the segment's codebook. Where
    there are several stages their entries are added in order, in float32 (F64: in float64), and
    rounded once to the dtype. Codes have the shape ``[stages, rows, segments]``; rows are the
    indices of the first axis (one, for fewer than two dimensions).

    Tables: ``codebooks``, bits, ``[stages, segments, centroids, length]``.
    """

    name = "products"
    number = 5
    whole = True

    def write_tables(self, tables: Tables, dtype: str, shape: Shape) -> bytes:
        codebooks = tables["codebooks"]
        stages, _, centroids, length = codebooks.shape
        counts = varint(stages) + varint(length) + varint(centroids)
        return counts + write_numbers(codebooks)

    def read_tables(self, reader: Reader, dtype: str, shape: Shape) -> Tables:
        if dtype not in FLOATS:
            raise reader.error(f"product codes hold {', '.join(FLOATS)}, not {dtype}")
        _, columns = as_matrix(shape)
        stages, length = reader.varint(MAX_STAGES), reader.varint(max(1, columns))
        centroids = reader.varint(MAX_CENTROIDS)
        if 0 in (stages, length) or columns % length or not prod(shape):
            raise reader.error(
                f"{stages} stages of segments of {length} do not make the shape {list(shape)}"
            )
        entries = stages * columns * (centroids + 1)
        if entries > MAX_ENTRIES:
            raise reader.error(
                f"product codebooks of {entries:,} numbers; at most {MAX_ENTRIES:,} can be"
            )
        count = stages * prod(shape) // length
        if count > MAX_CODES:
            raise reader.error(f"{count:,} product codes; at most {MAX_CODES:,} can be")
        width = DTYPES[dtype].bits
        codebooks = (stages, columns // length, centroids, length)
        return {"codebooks": read_numbers(reader, codebooks, width).astype(width, copy=False)}

    def code_shape(self, tables: Tables, shape: Shape) -> Shape:
        stages, segments = tables["codebooks"].shape[:2]
        return (stages, as_matrix(shape)[0], segments)

    def code_dtype(self, dtype: str, tables: Tables) -> np.dtype[Any]:
        return narrowest(0, tables["codebooks"].shape[2])

    def check(
        self, reader: Reader, codes: NDArray[Any], tables: Tables, shape: Shape, start: int = 0
    ) -> None:
        check_range(reader, codes, 0, tables["codebooks"].shape[2])

    def values(
        self, codes: NDArray[Any], tables: Tables, dtype: str, shape: Shape, start: int = 0
    ) -> Bits:
        """All values, in `shape`; `codes` are all codes."""
        stages, segments, centroids, length = tables["codebooks"].shape
        entries = np.zeros((stages, segments, centroids + 1, length), DTYPES[dtype].bits)
        entries[:, :, 1:] = tables["codebooks"]
        flat = codes.reshape(stages, -1)
        out = np.empty((flat.shape[1], length), DTYPES[dtype].bits)
        step = max(1, CHUNK // length)
        for first in range(0, len(out), step):
            run = flat[:, first : first + step]
            segment = np.arange(first, first + run.shape[1]) % segments
            parts = (entries[stage, segment, run[stage]] for stage in range(stages))
            out[first : first + step] = next(parts) if stages == 1 else _sum(parts, dtype)
        return out.reshape(shape)


def as_matrix(shape: Shape) -> tuple[int, int]:
    """Rows and columns: the first axis, and all others together.

    Examples:
        >>> as_matrix((8, 3, 5, 5)), as_matrix((10,)), as_matrix(())
        ((8, 75), (1, 10), (1, 1))
    """
    return (shape[0], prod(shape[1:])) if len(shape) > 1 else (1, prod(shape))


def _sum(parts: Iterable[Bits], dtype: str) -> Bits:
    """The bits of the sums, in order, rounded once to the dtype."""
    with np.errstate(over="ignore", invalid="ignore"):  # hostile entries may be infinite
        total: NDArray[Any] = np.zeros((), "<f8" if dtype == "F64" else "<f4")
        for part in parts:
            total = total + from_bits(part, dtype).astype(total.dtype)
        if dtype == "F64":
            return total.view("<u8")
        return rounded_products(total, np.ones(1, np.float32), dtype, dtype)
