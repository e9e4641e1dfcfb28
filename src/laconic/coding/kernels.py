"""Which form of the inner loops runs: `laconic._native`, or `laconic.coding.reference`.

Both give the same bytes; the native one is about a hundred times faster. The environment variable
`LACONIC_NATIVE` decides: `0` takes the reference, `1` demands the native form (an ImportError tells
what is wrong with it), unset takes the native form where it was built. `FORM` says which it was.
"""

from __future__ import annotations

import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from laconic.coding.forms import Bits, Bytes
from laconic.errors import UsageError


class Kernels(Protocol):
    """The functions of `laconic.coding.reference`, which describes each."""

    def pack_bits(self, values: Bits, width: int, out: Bytes) -> None: ...
    def unpack_bits(self, data: Bytes, width: int, out: Bits) -> int: ...
    def histogram(self, values: Bits, symbols: Bits, counts: NDArray[np.int64]) -> int: ...
    def huffman_encode(self, values: Bits, symbols: Bits, lengths: Bytes, out: Bytes) -> None: ...
    def huffman_decode(self, data: Bytes, symbols: Bits, lengths: Bytes, out: Bits) -> int: ...
    def gap_split(
        self, dense: Bits, width: int, gaps: NDArray[np.uint16], values: Bits
    ) -> None: ...
    def gap_join(self, gaps: NDArray[np.uint16], values: Bits, dense: Bits) -> int: ...
    def bitmap_split(self, dense: Bits, bits: Bytes, values: Bits) -> None: ...
    def bitmap_join(self, bits: Bytes, values: Bits, dense: Bits) -> int: ...
    def plane_split(self, items: Bits, index: int, turn: int, plane: Bytes) -> None: ...
    def plane_join(self, plane: Bytes, index: int, turn: int, items: Bits) -> None: ...
    def rans_encode(
        self,
        values: Bits,
        symbols: Bits,
        frequencies: NDArray[np.uint16],
        precision: int,
        lanes: int,
        out: Bytes,
    ) -> int: ...
    def rans_decode(
        self,
        data: Bytes,
        symbols: Bits,
        frequencies: NDArray[np.uint16],
        precision: int,
        lanes: int,
        out: Bits,
    ) -> int: ...
    def context_encode(
        self,
        values: Bits,
        columns: int,
        kernel: int,
        width: int,
        origin: int,
        most_exponent: int,
        out: Bytes,
    ) -> int: ...
    def context_decode(
        self,
        data: Bytes,
        columns: int,
        kernel: int,
        width: int,
        origin: int,
        most_exponent: int,
        out: Bits,
    ) -> int: ...


def _choose() -> tuple[Kernels, str]:
    wish = os.environ.get("LACONIC_NATIVE", "")
    if wish not in ("", "0", "1"):
        raise UsageError(f"LACONIC_NATIVE is {wish!r}; it may be 0 (NumPy), 1 (native) or unset")
    if wish == "0":
        return _reference(), "reference"
    try:
        from laconic import _native
    except ImportError:
        if wish == "1":
            raise
        return _reference(), "reference"
    return _native, "native"


def _reference() -> Kernels:
    """Imported where it runs: its tables take time."""
    from laconic.coding import reference

    return reference


active, FORM = _choose()
