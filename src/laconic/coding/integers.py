"""What all coders share: arrays as unsigned bits, wide numbers, and shapes that are checked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from laconic.coding.coder import IntArray
from laconic.coding.forms import Bits, Bytes
from laconic.coding.reader import Reader
from laconic.errors import UsageError

_WIDE_BYTES = 10  # 70 bits: the zigzag of any int64 or uint64 has at most 65


def patterns(codes: IntArray) -> Bits:
    """`codes` in C order, flat, as unsigned items of the same size (two's complement).

    Examples:
        >>> patterns(np.array([[1, -1]], np.int8)).tolist()
        [1, 255]
    """
    if codes.dtype.kind not in "iu":
        raise UsageError(
            f"a coder takes integers, not {codes.dtype}; view floats and bools as unsigned "
            f"integers: array.view('u{codes.dtype.itemsize}')"
        )
    native = codes.astype(codes.dtype.newbyteorder("="), order="C", copy=False)
    return np.ascontiguousarray(native).reshape(-1).view(f"u{codes.dtype.itemsize}")


def ordered(codes: IntArray) -> Bits:
    """As `patterns`, but unsigned order is the order of the values: the sign bit is turned over.

    Examples:
        >>> ordered(np.array([-128, -1, 0, 127], np.int8)).tolist()
        [0, 127, 128, 255]
    """
    return turn_sign(patterns(codes), codes.dtype)


def turn_sign(bits: Bits, dtype: DTypeLike) -> Bits:
    """From `patterns` to `ordered` and back: a copy, or `bits` itself where `dtype` is unsigned."""
    if np.dtype(dtype).kind == "u":
        return bits
    return bits ^ bits.dtype.type(1 << (8 * bits.dtype.itemsize - 1))


def blank(shape: tuple[int, ...], dtype: DTypeLike, reader: Reader) -> IntArray:
    """An array to be filled; call it once the bytes were seen to hold that many items.

    Raises:
        FormatError: no machine, or not this one, has that much memory.
    """
    try:
        return np.empty(shape, np.dtype(dtype).newbyteorder("="))
    except (MemoryError, OverflowError, ValueError) as failure:
        items = math.prod(shape)
        raise reader.error(f"{items} items of {np.dtype(dtype)} do not fit memory") from failure


def flat(array: IntArray) -> Bits:
    """The memory of a C-contiguous array as flat unsigned items; writing to it fills the array."""
    return array.reshape(-1).view(f"u{array.dtype.itemsize}")


def octets(data: memoryview | bytes) -> Bytes:
    """Bytes as an array, without a copy."""
    return np.frombuffer(data, np.uint8)


def limits(dtype: DTypeLike) -> tuple[int, int]:
    """The smallest and the largest value of an integer dtype."""
    information = np.iinfo(np.dtype(dtype))
    return int(information.min), int(information.max)


def wide(value: int) -> bytes:
    """Any int64 or uint64 as zigzag LEB128, up to ten bytes; `read_wide` reads it.

    Examples:
        >>> [wide(value).hex() for value in (0, -1, 1, 2**64 - 1)]
        ['00', '01', '02', 'feffffffffffffffff03']
    """
    zigzag = value << 1 if value >= 0 else ~value << 1 | 1
    out = bytearray()
    while zigzag >= 0x80:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def read_wide(reader: Reader, dtype: DTypeLike) -> int:
    """A number that `wide` wrote, in its shortest form and within `dtype`."""
    zigzag = 0
    for index in range(_WIDE_BYTES):
        byte = reader.u8()
        zigzag |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise reader.error("a number is not in its shortest form")
            value = (zigzag >> 1) ^ -(zigzag & 1)
            check_within(value, value, dtype, reader)
            return value
    raise reader.error(f"a number is longer than {_WIDE_BYTES} bytes")


def check_within(lowest: int, highest: int, dtype: DTypeLike, reader: Reader) -> None:
    """Refuse values that `dtype` cannot hold."""
    least, most = limits(dtype)
    if lowest < least or highest > most:
        raise reader.error(f"values from {lowest} to {highest} do not fit {np.dtype(dtype)}")


def check_status(status: int, reader: Reader, start: int, what: str) -> None:
    """Raise the FormatError for what a kernel returned about bytes that begin at `start`."""
    if status >= 0:
        reader.position = start + status
        raise reader.error(f"{what} ends early, has bytes left over, or its spare bits are not 0")


def unsigned(bits: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest unsigned dtype that holds numbers of `bits` bits."""
    return np.dtype(next(f"u{size}" for size in (1, 2, 4, 8) if bits <= 8 * size))


Counts = NDArray[np.int64]
