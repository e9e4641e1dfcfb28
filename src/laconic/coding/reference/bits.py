"""Numbers of equal width without gaps."""

from __future__ import annotations

import numpy as np

from laconic.coding.forms import Bits, Bytes
from laconic.coding.reference.common import CHUNK, GOOD, as_bytes, packed_size, require


def pack_bits(values: Bits, width: int, out: Bytes) -> None:
    """Write the low `width` bits (0 to 64) of each value, low bits first, without gaps.

    Bits left over in the last byte are zero.

    Examples:
        >>> out = np.zeros(2, np.uint8)
        >>> pack_bits(np.array([1, 2, 7], np.uint8), 3, out)
        >>> [f"{byte:08b}" for byte in out]
        ['11010001', '00000001']
    """
    require(
        out.size == packed_size(values.size, width),
        "the output has not the size of the packed values",
    )
    bits_here = min(width, 8 * values.dtype.itemsize)
    for start in range(0, values.size if width else 0, CHUNK):
        chunk = values[start : start + CHUNK]
        bits = np.zeros((chunk.size, width), np.uint8)
        bits[:, :bits_here] = np.unpackbits(as_bytes(chunk), axis=1, bitorder="little")[:, :width]
        packed = np.packbits(bits.reshape(-1), bitorder="little")
        first = start // 8 * width
        out[first : first + packed.size] = packed


def unpack_bits(data: Bytes, width: int, out: Bits) -> int:
    """Read what `pack_bits` writes; its last byte is wrong when the spare bits are not zero."""
    expected = packed_size(out.size, width)
    item_bits = 8 * out.dtype.itemsize
    require(width <= item_bits, "the output items are too narrow")
    if data.size != expected:
        return min(data.size, expected)
    out[...] = 0
    for start in range(0, out.size if width else 0, CHUNK):
        count = min(CHUNK, out.size - start)
        first = start // 8 * width
        bits = np.zeros((count, item_bits), np.uint8)
        packed = data[first : first + packed_size(count, width)]
        spelt = np.unpackbits(packed, count=count * width, bitorder="little")
        bits[:, :width] = spelt.reshape(count, width)
        values = np.packbits(bits, axis=1, bitorder="little").reshape(-1)
        out[start : start + count] = values.view(out.dtype.newbyteorder("<"))
    spare = out.size * width % 8
    return data.size - 1 if spare and data[-1] >> spare else GOOD
