"""Adaptive arithmetic coding with mixed contexts: the fewest bytes, and the slowest to decode."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding import kernels
from laconic.coding.coder import Coder, IntArray, Speed
from laconic.coding.forms import LARGEST_KERNEL
from laconic.coding.integers import (
    blank,
    check_status,
    flat,
    octets,
    patterns,
    read_wide,
    wide,
)
from laconic.coding.reader import Reader

_SAMPLE = 1 << 14


class Context(Coder):
    """Each item as binary decisions whose probabilities are learnt from the items before it.

    Zero or not, the magnitude as exponent and mantissa, the sign: each decision mixes seven
    predictions, made in contexts of neighbours (spec/coders.md, `context`). The binarization is
    DeepCABAC's (arXiv:1907.11900, section III) with a mantissa that learns; the mixing is that of
    PAQ (Mahoney 2005, "Adaptive weighing of context models"). Starts from a stated prior, so that
    tiny arrays need no table.

    Examples:
        >>> codes = np.zeros((100, 100), np.int8)
        >>> codes[::7, 3] = 1
        >>> len(Context().encode(codes)) < 40
        True
    """

    name: ClassVar[str] = "context"
    number: ClassVar[int] = 6
    decode_speed: ClassVar[Speed] = Speed.SLOW

    def encode(self, codes: IntArray) -> bytes:
        if codes.size == 0:
            return b""
        items, origin = patterns(codes), _origin(codes)
        start = origin % (1 << 8 * items.dtype.itemsize)
        away = (items - items.dtype.type(start)).view(f"i{items.dtype.itemsize}")
        most = max(int(away.max()), -int(away.min()))
        head = wide(origin) + bytes([most.bit_length()])
        if most == 0:
            return head
        geometry, room = _geometry(codes.shape), 64 + codes.nbytes
        while True:
            out = np.empty(room, np.uint8)
            used = kernels.active.context_encode(
                items, *geometry, start, most.bit_length() - 1, out
            )
            if used >= 0:
                return head + out[:used].tobytes()
            room *= 2

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        count = math.prod(shape)
        if count == 0:
            reader.end()
            return blank(shape, dtype, reader)
        origin, bits = read_wide(reader, dtype), reader.u8()
        item_bits = 8 * np.dtype(dtype).itemsize
        if bits > item_bits:
            raise reader.error(f"magnitudes of {bits} bits do not fit {np.dtype(dtype)}")
        out = blank(shape, dtype, reader)
        if bits == 0:
            reader.end()
            out[...] = origin
            return out
        start = reader.position
        data = octets(reader.rest())
        status = kernels.active.context_decode(
            data, *_geometry(shape), origin % (1 << item_bits), bits - 1, flat(out)
        )
        check_status(status, reader, start, "the arithmetic code")
        return out


def _geometry(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Items of a row, of a kernel, and of a kernel's row.

    The rows are the first axis; the axes from the third on are a kernel, if it has at most 49
    items. Larger ones are matrices: their rows are those of the last axis.
    """
    if len(shape) < 2:
        return math.prod(shape), 1, 1
    kernel = math.prod(shape[2:])
    if kernel > LARGEST_KERNEL:
        return shape[-1], 1, 1
    return math.prod(shape[1:]), kernel, shape[-1] if kernel > 1 else 1


def _origin(codes: IntArray) -> int:
    """The item that counts as zero: 0 where it may be one, else the most frequent of a sample."""
    sample = codes.reshape(-1)[:: max(1, codes.size // _SAMPLE)]
    values, counts = np.unique(sample, return_counts=True)
    if int(values[0]) < 0 < int(values[-1]):
        return 0
    return int(values[counts.argmax()])
