"""The inner loops in C++ (native/bind.cc); laconic/coding/reference describes each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_Bits = NDArray[np.unsignedinteger[Any]]
_Bytes = NDArray[np.uint8]

def use_portable(wish: bool) -> None: ...
def pack_bits(values: _Bits, width: int, out: _Bytes) -> None: ...
def unpack_bits(data: _Bytes, width: int, out: _Bits) -> int: ...
def histogram(values: _Bits, symbols: _Bits, counts: NDArray[np.int64]) -> int: ...
def huffman_encode(values: _Bits, symbols: _Bits, lengths: _Bytes, out: _Bytes) -> None: ...
def huffman_decode(data: _Bytes, symbols: _Bits, lengths: _Bytes, out: _Bits) -> int: ...
def gap_split(dense: _Bits, width: int, gaps: NDArray[np.uint16], values: _Bits) -> None: ...
def gap_join(gaps: NDArray[np.uint16], values: _Bits, dense: _Bits) -> int: ...
def bitmap_split(dense: _Bits, bits: _Bytes, values: _Bits) -> None: ...
def bitmap_join(bits: _Bytes, values: _Bits, dense: _Bits) -> int: ...
def plane_split(items: _Bits, index: int, turn: int, plane: _Bytes) -> None: ...
def plane_join(plane: _Bytes, index: int, turn: int, items: _Bits) -> None: ...
def rans_encode(
    values: _Bits,
    symbols: _Bits,
    frequencies: NDArray[np.uint16],
    precision: int,
    lanes: int,
    out: _Bytes,
) -> int: ...
def rans_decode(
    data: _Bytes,
    symbols: _Bits,
    frequencies: NDArray[np.uint16],
    precision: int,
    lanes: int,
    out: _Bits,
) -> int: ...
def context_encode(
    values: _Bits,
    columns: int,
    kernel: int,
    width: int,
    origin: int,
    most_exponent: int,
    out: _Bytes,
) -> int: ...
def context_decode(
    data: _Bytes,
    columns: int,
    kernel: int,
    width: int,
    origin: int,
    most_exponent: int,
    out: _Bits,
) -> int: ...
