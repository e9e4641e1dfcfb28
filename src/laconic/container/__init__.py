"""The `.lac` file: named tensors as coded integers, a program, a probe; NumPy alone reads it."""

from laconic.container.dtypes import DTYPES, DType, dtype_of, from_bits, to_bits
from laconic.container.file import MAX_BYTES, LacFile
from laconic.container.grids import (
    GRIDS,
    FileGrid,
    StoredTensor,
    codebook,
    codebooks,
    plain,
    products,
    rows,
    uniform,
)
from laconic.container.header import Entry
from laconic.container.layout import SECTIONS, VERSION
from laconic.container.probe import Probe
from laconic.container.program import Node, Program, Value
from laconic.container.writing import pack_bytes, write

__all__ = [
    "DTYPES",
    "GRIDS",
    "MAX_BYTES",
    "SECTIONS",
    "VERSION",
    "DType",
    "Entry",
    "FileGrid",
    "LacFile",
    "Node",
    "Probe",
    "Program",
    "StoredTensor",
    "Value",
    "codebook",
    "codebooks",
    "dtype_of",
    "from_bits",
    "pack_bytes",
    "plain",
    "products",
    "rows",
    "to_bits",
    "uniform",
    "write",
]
