"""The checksum of bytes that nobody reads: from those of their pieces."""

from __future__ import annotations

from functools import cache

POLYNOMIAL = 0xEDB88320
"""Of CRC-32, bit 31 standing for the constant term: the order in which zip shifts its bits."""
ONE = 1 << 31


def joined(first: int, second: int, length: int) -> int:
    """The CRC-32 of two pieces from the CRC-32 of each; `length` is that of the second, in bytes.

    Appending n bytes multiplies the first piece's polynomial by x^(8n), modulo the CRC's.

    Examples:
        >>> import zlib
        >>> joined(zlib.crc32(b"weights "), zlib.crc32(b"and biases"), 10) == zlib.crc32(
        ...     b"weights and biases"
        ... )
        True
    """
    for place in range(length.bit_length()):
        if length >> place & 1:
            first = _product(_power(place), first)
    return first ^ second


@cache
def _power(exponent: int) -> int:
    """x^(8 · 2^exponent)."""
    if exponent == 0:
        return ONE >> 8
    half = _power(exponent - 1)
    return _product(half, half)


def _product(a: int, b: int) -> int:
    """a · b modulo the CRC's polynomial, over the field of two elements."""
    product = 0
    bit = ONE
    while bit:
        if a & bit:
            product ^= b
        b = b >> 1 ^ (POLYNOMIAL if b & 1 else 0)  # times x
        bit >>= 1
    return product
