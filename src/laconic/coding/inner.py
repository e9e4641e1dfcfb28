"""The coders that another coder uses for its parts. They use no further ones: no recursion."""

from __future__ import annotations

from collections.abc import Iterable

from numpy.typing import DTypeLike

from laconic.coding.coder import Coder, IntArray, Speed
from laconic.coding.context import Context
from laconic.coding.fixed import Fixed
from laconic.coding.huffman import MOST_SYMBOLS, Huffman
from laconic.coding.integers import ordered
from laconic.coding.planes import Planes
from laconic.coding.rans import Rans
from laconic.coding.reader import Reader
from laconic.coding.symbols import distinct
from laconic.errors import CodingError

INNER: tuple[Coder, ...] = (Fixed(), Huffman(), Planes(), Context(), Rans())

SMALL = 4096
"""Arrays of up to so many items are tried with every coder: that costs next to nothing."""


def encode_inner(codes: IntArray, slowest: Speed = Speed.SLOW) -> bytes:
    """The number of the coder and its bytes, whichever is smallest; the first of equals.

    Args:
        codes: the part.
        slowest: only coders that decode at least as fast; fixed, which holds every array, does.
    """
    tabled = not _is_noise(codes)
    coders = (
        coder.with_parts(slowest)
        for coder in INNER
        if coder.decode_speed >= slowest and (tabled or not isinstance(coder, Huffman | Rans))
    )
    return fewest(coders, codes)


def _is_noise(codes: IntArray) -> bool:
    """Whether nearly every item is another one, so that a table of them takes what `fixed` does."""
    if codes.size <= SMALL or codes.dtype.itemsize == 1:
        return False
    try:
        symbols, _ = distinct(ordered(codes), MOST_SYMBOLS)
    except CodingError:
        return True
    return symbols.size > 0.9 * codes.size


def fewest(coders: Iterable[Coder], codes: IntArray) -> bytes:
    """The number and the bytes of the coder that makes the fewest; the first of equals.

    Coders that cannot hold `codes` are passed over; one of `coders` must hold every array.
    """
    best = b""
    for coder in coders:
        try:
            body = coder.encode(codes)
        except CodingError:
            continue
        if not best or len(body) + 1 < len(best):
            best = bytes([coder.number]) + body
    return best


def decode_inner(reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
    """What `encode_inner` wrote; reads all of `reader`."""
    number = reader.u8()
    for coder in INNER:
        if coder.number == number:
            return coder.decode(reader, shape, dtype)
    numbers = ", ".join(str(coder.number) for coder in INNER)
    raise reader.error(f"a part is coded by coder {number}; possible are {numbers}")
