"""Every code in the same number of bits: small arrays, and codes without a likely value."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding import kernels
from laconic.coding.coder import Coder, IntArray, Speed
from laconic.coding.integers import (
    blank,
    check_status,
    check_within,
    flat,
    octets,
    patterns,
    read_wide,
    wide,
)
from laconic.coding.reader import Reader


def packed_size(count: int, width: int) -> int:
    """Bytes that `count` numbers of `width` bits take without gaps."""
    return (count * width + 7) // 8


class Fixed(Coder):
    """The smallest value, and how far each value lies above it (spec/coders.md, `fixed`).

    Examples:
        >>> Fixed().encode(np.array([5, 6, 8])).hex()  # 2 bits each, from 5 (zigzag 10): 0, 1, 3
        '020a34'
    """

    name: ClassVar[str] = "fixed"
    number: ClassVar[int] = 1
    decode_speed: ClassVar[Speed] = Speed.FAST

    def encode(self, codes: IntArray) -> bytes:
        items = patterns(codes)
        if items.size == 0:
            return b""
        lowest, highest = int(codes.min()), int(codes.max())
        width = (highest - lowest).bit_length()
        # Two's complement wraps around, so that this holds for signed codes too.
        above = items - items.dtype.type(lowest % (1 << 8 * items.dtype.itemsize))
        packed = np.empty(packed_size(items.size, width), np.uint8)
        kernels.active.pack_bits(above, width, packed)
        return bytes([width]) + wide(lowest) + packed.tobytes()

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        count = math.prod(shape)
        if count == 0:
            reader.end()
            return blank(shape, dtype, reader)
        width = reader.u8()
        if width > 8 * np.dtype(dtype).itemsize:
            raise reader.error(f"{width} bits a code do not fit {np.dtype(dtype)}")
        lowest = read_wide(reader, dtype)
        if reader.remaining != packed_size(count, width):
            raise reader.error(
                f"{count} codes of {width} bits take {packed_size(count, width)} bytes, "
                f"{reader.remaining} are there"
            )
        out = blank(shape, dtype, reader)
        items = flat(out)
        start = reader.position
        status = kernels.active.unpack_bits(octets(reader.rest()), width, items)
        check_status(status, reader, start, "the packed codes")
        check_within(lowest, lowest + int(items.max()), dtype, reader)
        items += items.dtype.type(lowest % (1 << 8 * items.dtype.itemsize))
        return out
