"""Byte planes: floats whose exponents repeat while their low bits are noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding import kernels
from laconic.coding.coder import Coder, IntArray, Parted, Speed
from laconic.coding.context import Context
from laconic.coding.forms import Bits, Bytes
from laconic.coding.huffman import Huffman
from laconic.coding.integers import blank, flat, octets, patterns
from laconic.coding.rans import Rans
from laconic.coding.reader import Reader, varint
from laconic.coding.symbols import distinct

PLANE_CODERS: tuple[Coder, ...] = (Huffman(), Context(), Rans())
"""They code planes, and have no parts."""
_NOISY = 7  # bits an item above which neighbours tell next to nothing
_SAMPLE = 1 << 15
_WORTH_WAITING = 0.98  # of the entropy: what a coder must come down to that is many times slower


class Planes(Parted):
    """The lowest bytes of all items, the second bytes, …, each by a coder or as they are.

    First, where that makes the planes smaller, every item is turned left by one bit: the sign of a
    float goes to the bottom, and the eight bits of the exponent (float32, bfloat16) make a plane of
    their own. spec/coders.md, `planes`. At most two bytes longer than `raw`.

    Examples:
        >>> len(Planes().encode(np.ones(1000, np.float32).view(np.uint32)))
        18
    """

    name: ClassVar[str] = "planes"
    number: ClassVar[int] = 5
    decode_speed: ClassVar[Speed] = Speed.FAST

    def encode(self, codes: IntArray) -> bytes:
        items = patterns(codes)
        if items.size == 0:
            return b""
        width = items.dtype.itemsize
        sizes = [[_entropy_bytes(_plane(items, i, turn)) for i in range(width)] for turn in (0, 1)]
        turn = int(sum(sizes[1]) < sum(sizes[0]))
        coded, bodies = 0, []
        for index, least in enumerate(sizes[turn]):
            plane = _plane(items, index, turn)
            body = b""
            if least < plane.size:
                body = self._coded(plane.reshape(codes.shape), 8 * least > _NOISY * plane.size)
            if body:
                coded |= 1 << index
            bodies.append(body or plane.tobytes())
        return b"".join([varint(turn | coded << 1), *bodies])

    def _coded(self, plane: IntArray, noisy: bool) -> bytes:
        """Size, coder and bytes of a plane; nothing where that is no gain."""
        coders = [coder for coder in PLANE_CODERS if coder.decode_speed >= self.slowest]
        if noisy or not _slow_ones_win(plane, coders):
            coders = [coder for coder in coders if coder.decode_speed > Speed.SLOW]
        bodies = [bytes([coder.number]) + coder.encode(plane) for coder in coders]
        best = min(bodies, key=len)
        best = varint(len(best)) + best
        return best if len(best) < plane.size else b""

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        count, width = math.prod(shape), np.dtype(dtype).itemsize
        if count == 0:
            reader.end()
            return blank(shape, dtype, reader)
        head = reader.varint((2 << width) - 1)
        turn, coded = head & 1, head >> 1
        bodies = [_take(reader, count, bool(coded >> index & 1)) for index in range(width)]
        reader.end()
        out = blank(shape, dtype, reader)
        items = flat(out)
        for index, body in enumerate(bodies):
            plane = _decoded(body, shape) if coded >> index & 1 else octets(body.rest())
            kernels.active.plane_join(plane, index, turn, items)
        return out


def _slow_ones_win(plane: IntArray, coders: Sequence[Coder]) -> bool:
    """Whether to try slow coders: always on small planes, on others if they win on a sample."""
    slow = [coder for coder in coders if coder.decode_speed == Speed.SLOW]
    if plane.size <= 2 * _SAMPLE or not slow:
        return True
    sample = plane[: max(1, _SAMPLE * len(plane) // plane.size)]
    least = _entropy_bytes(flat(sample))
    return min(len(coder.encode(sample)) for coder in slow) < _WORTH_WAITING * least


def _plane(items: Bits, index: int, turn: int) -> Bytes:
    plane = np.empty(items.size, np.uint8)
    kernels.active.plane_split(items, index, turn, plane)
    return plane


def _entropy_bytes(plane: Bytes) -> int:
    """What a coder that treats every item alike cannot beat; at most the plane's size."""
    _, counts = distinct(plane, 256)
    bits = float(counts @ np.log2(plane.size / counts))
    # Rounded far above the error of a logarithm, so that every machine gets the same.
    return min(plane.size, math.ceil(round(bits, 3) / 8))


def _take(reader: Reader, count: int, coded: bool) -> Reader:
    """The bytes of one plane, with their own offset."""
    size = reader.varint(reader.remaining) if coded else count
    return Reader(reader.take(size), reader.offset - size)


def _decoded(reader: Reader, shape: tuple[int, ...]) -> Bytes:
    number = reader.u8()
    for coder in PLANE_CODERS:
        if coder.number == number:
            return flat(coder.decode(reader, shape, np.uint8)).view(np.uint8)
    reader.position -= 1
    numbers = ", ".join(str(coder.number) for coder in PLANE_CODERS)
    raise reader.error(f"a plane is coded by coder {number}; possible are {numbers}")
