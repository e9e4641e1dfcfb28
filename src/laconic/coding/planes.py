"""Byte planes: floats whose exponents repeat while their low bits are noise."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding import kernels
from laconic.coding.coder import Coder, IntArray
from laconic.coding.huffman import Huffman, plan
from laconic.coding.integers import blank, flat, octets, patterns
from laconic.coding.reader import Reader, varint


class Planes(Coder):
    """The first bytes of all items, the second bytes, …, each by Huffman or as they are.

    spec/coders.md, `planes`. At most one byte longer than `raw`.

    Examples:
        >>> len(Planes().encode(np.ones(1000, np.float32).view(np.uint32)))
        14
    """

    name: ClassVar[str] = "planes"
    number: ClassVar[int] = 5

    def encode(self, codes: IntArray) -> bytes:
        items = patterns(codes)
        if items.size == 0:
            return b""
        coded, parts = 0, []
        for index in range(items.dtype.itemsize):
            plane = np.empty(items.size, np.uint8)
            kernels.active.plane_split(items, index, plane)
            huffman = plan(plane)
            length = varint(huffman.size_bytes)
            if len(length) + huffman.size_bytes < plane.size:
                coded |= 1 << index
                parts += [length, huffman.encode()]
            else:
                parts.append(plane.tobytes())
        return b"".join([bytes([coded]), *parts])

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        count, planes = math.prod(shape), np.dtype(dtype).itemsize
        if count == 0:
            reader.end()
            return blank(shape, dtype, reader)
        coded = reader.u8()
        if coded >> planes:
            raise reader.error(f"items of {planes} bytes have no plane {coded.bit_length() - 1}")
        bodies = [_take(reader, count, bool(coded >> index & 1)) for index in range(planes)]
        reader.end()
        out = blank(shape, dtype, reader)
        items = flat(out)
        for index, body in enumerate(bodies):
            if coded >> index & 1:
                plane = flat(Huffman().decode(body, (count,), np.uint8)).view(np.uint8)
            else:
                plane = octets(body.rest())
            kernels.active.plane_join(plane, index, items)
        return out


def _take(reader: Reader, count: int, coded: bool) -> Reader:
    """The bytes of one plane, with their own offset."""
    size = reader.varint(reader.remaining) if coded else count
    return Reader(reader.take(size), reader.offset - size)
