"""Types, results and checks that all inner loops share."""

from __future__ import annotations

import numpy as np

from laconic.coding.forms import Bits, Bytes

GOOD = -1
CHUNK = 1 << 16  # values at a time: bounds the memory of the bits spelt out as bytes


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def packed_size(count: int, width: int) -> int:
    require(0 <= width <= 64, "a width must be from 0 to 64 bits")
    return (count * width + 7) // 8


def as_bytes(values: Bits) -> Bytes:
    """Little-endian bytes, one row for each value."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return little.view(np.uint8).reshape(values.size, values.dtype.itemsize)
