"""How integers in a file stand for values: the NumPy side of every Grid (spec/format.md)."""

from laconic.container.grids.forms import codebook, codebooks, plain, products, rows, uniform
from laconic.container.grids.grid import FileGrid, Tables
from laconic.container.grids.stored import (
    GRID_NUMBERS,
    GRIDS,
    Head,
    StoredTensor,
    head,
    read_head,
)

__all__ = [
    "GRIDS",
    "GRID_NUMBERS",
    "FileGrid",
    "Head",
    "StoredTensor",
    "Tables",
    "codebook",
    "codebooks",
    "head",
    "plain",
    "products",
    "read_head",
    "rows",
    "uniform",
]
