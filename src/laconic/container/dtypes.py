"""Number types a file can hold, under the names that safetensors gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.errors import UnsupportedError

Bits = NDArray[np.unsignedinteger[Any]]
"""Values of any dtype as the unsigned integers that have the same bits."""


@dataclass(frozen=True)
class DType:
    """One number type: its byte in the file, its width, and NumPy's name if NumPy has it."""

    name: str
    number: int
    size_bytes: int
    numpy: str | None

    @property
    def bits(self) -> np.dtype[Any]:
        """The unsigned integer dtype of the same width; complex64 counts as 64 bits."""
        return np.dtype(f"<u{self.size_bytes}")


DTYPES = {
    dtype.name: dtype
    for dtype in (
        DType("F32", 0, 4, "<f4"),
        DType("F16", 1, 2, "<f2"),
        DType("BF16", 2, 2, None),
        DType("F64", 3, 8, "<f8"),
        DType("I8", 4, 1, "|i1"),
        DType("I16", 5, 2, "<i2"),
        DType("I32", 6, 4, "<i4"),
        DType("I64", 7, 8, "<i8"),
        DType("U8", 8, 1, "|u1"),
        DType("U16", 9, 2, "<u2"),
        DType("U32", 10, 4, "<u4"),
        DType("U64", 11, 8, "<u8"),
        DType("BOOL", 12, 1, "|b1"),
        DType("F8_E4M3", 13, 1, None),
        DType("F8_E5M2", 14, 1, None),
        DType("C64", 15, 8, "<c8"),
        DType("F8_E8M0", 16, 1, None),
    )
}
BY_NUMBER = {dtype.number: dtype for dtype in DTYPES.values()}
BY_NUMPY = {np.dtype(dtype.numpy): dtype for dtype in DTYPES.values() if dtype.numpy}


def dtype_of(array: NDArray[Any]) -> DType:
    """The file's dtype for a NumPy array; byte order does not matter.

    Raises:
        UnsupportedError: NumPy types that no tensor file knows (strings, dates, objects, …).
    """
    native = array.dtype.newbyteorder("<")
    if native not in BY_NUMPY:
        known = ", ".join(sorted(str(dtype) for dtype in BY_NUMPY))
        raise UnsupportedError(f"dtype {array.dtype} cannot be stored; a file holds {known}")
    return BY_NUMPY[native]


def to_bits(array: NDArray[Any]) -> Bits:
    """The bits of `array` as unsigned integers of the same shape.

    Examples:
        >>> to_bits(np.array([1.0, -0.0], np.float32))
        array([1065353216, 2147483648], dtype=uint32)
    """
    dtype = dtype_of(array)
    return np.ascontiguousarray(array, dtype.numpy).view(dtype.bits).reshape(array.shape)


def from_bits(bits: Bits, name: str) -> NDArray[Any]:
    """The values behind `bits`; bfloat16, which NumPy lacks, is widened exactly to float32.

    Raises:
        UnsupportedError: float8 types, which NumPy lacks; their bits can still be read.
    """
    dtype = DTYPES[name]
    if dtype.numpy is not None:
        contiguous = np.ascontiguousarray(bits, dtype.bits)
        return contiguous.view(dtype.numpy).reshape(bits.shape)
    if name == "BF16":
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(bits.shape)
    raise UnsupportedError(f"NumPy has no {name}; read the bits instead (LacFile.bits)")
