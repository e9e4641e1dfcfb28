"""Items as they are, little-endian: what nothing else makes smaller, and the bits of floats."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding.coder import Coder, IntArray
from laconic.coding.integers import blank, flat, patterns
from laconic.coding.reader import Reader


class Raw(Coder):
    """Little-endian items of the array's own width (spec/coders.md, `raw`).

    Examples:
        >>> Raw().encode(np.array([1, -2], np.int16)).hex()
        '0100feff'
    """

    name: ClassVar[str] = "raw"
    number: ClassVar[int] = 0

    def encode(self, codes: IntArray) -> bytes:
        items = patterns(codes)
        return items.astype(items.dtype.newbyteorder("<"), copy=False).tobytes()

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        if reader.remaining != size_bytes:
            raise reader.error(f"raw items take {size_bytes} bytes, {reader.remaining} are there")
        out = blank(shape, dtype, reader)
        items = flat(out)
        items[...] = np.frombuffer(reader.rest(), items.dtype.newbyteorder("<"))
        return out
