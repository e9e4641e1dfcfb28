"""One bit for each code, zero or not, and the non-zeros: arrays that are about half zeros."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding import kernels
from laconic.coding.coder import IntArray, Parted, Speed
from laconic.coding.inner import decode_inner, encode_inner
from laconic.coding.integers import blank, check_status, flat, octets, patterns
from laconic.coding.reader import Reader


class Bitmap(Parted):
    """The bits, low ones first, then the non-zeros by an inner coder (spec/coders.md, `bitmap`).

    Examples:
        >>> Bitmap().encode(np.array([0, 5, 0, 5], np.uint8)).hex()
        '0a01000a'
    """

    name: ClassVar[str] = "bitmap"
    number: ClassVar[int] = 4
    decode_speed: ClassVar[Speed] = Speed.MEDIUM

    def encode(self, codes: IntArray) -> bytes:
        items = patterns(codes)
        if items.size == 0:
            return b""
        bits = np.empty((items.size + 7) // 8, np.uint8)
        values = np.empty(np.count_nonzero(items), items.dtype)
        kernels.active.bitmap_split(items, bits, values)
        nonzeros = values.view(codes.dtype.newbyteorder("="))
        return bits.tobytes() + encode_inner(nonzeros, self.slowest)

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        count = math.prod(shape)
        if count == 0:
            reader.end()
            return blank(shape, dtype, reader)
        start = reader.position
        bits = octets(reader.take((count + 7) // 8))
        nonzeros = int(np.unpackbits(bits).sum(dtype=np.int64))
        values = flat(decode_inner(reader, (nonzeros,), dtype))
        out = blank(shape, dtype, reader)
        status = kernels.active.bitmap_join(bits, values, flat(out))
        check_status(status, reader, start, "the bitmap")
        return out
