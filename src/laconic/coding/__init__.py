"""Integers to bytes and back, without loss; NumPy alone, faster with `laconic._native`.

`smallest` is what packing uses: the coder whose bytes are fewest, by trying. The first byte names
the coder. `CODERS` lists ours; other packages add theirs, with numbers from 128 to 255, through the
entry-point group `laconic.coders` (spec/coders.md).

Examples:
    >>> codes = np.array([[0, 0, 3], [0, 0, -1]], np.int8)
    >>> data = smallest(codes)
    >>> coder_of(data), decode(data, (2, 3), np.int8).tolist()
    ('fixed', [[0, 0, 3], [0, 0, -1]])
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding.bitmap import Bitmap
from laconic.coding.coder import Coder, IntArray
from laconic.coding.entropy import entropy_bits
from laconic.coding.fixed import Fixed
from laconic.coding.gap import Gap
from laconic.coding.huffman import Huffman
from laconic.coding.inner import fewest
from laconic.coding.integers import patterns
from laconic.coding.planes import Planes
from laconic.coding.raw import Raw
from laconic.coding.reader import Reader
from laconic.errors import UsageError

__all__ = [
    "CODERS",
    "Coder",
    "IntArray",
    "Reader",
    "coder_of",
    "decode",
    "encode",
    "entropy_bits",
    "registered",
    "smallest",
]

CODERS: dict[str, Coder] = {
    "raw": Raw(),
    "fixed": Fixed(),
    "huffman": Huffman(),
    "gap": Gap(),
    "bitmap": Bitmap(),
    "planes": Planes(),
}

_SPARSE = ("gap", "bitmap")
_FOREIGN = range(128, 256)


@cache
def registered() -> dict[str, Coder]:
    """`CODERS` and those of the entry-point group `laconic.coders`, by name, in number order.

    Raises:
        UsageError: a foreign coder takes a name or number that is not free.
    """
    coders = dict(CODERS)
    for point in entry_points(group="laconic.coders"):
        loaded = point.load()
        coder: Coder = loaded() if isinstance(loaded, type) else loaded
        numbers = {other.number for other in coders.values()}
        if coder.name in coders or coder.number in numbers or coder.number not in _FOREIGN:
            raise UsageError(
                f"the coder {coder.name!r} (number {coder.number}) of {point.value} needs a name "
                f"of its own and a free number from {_FOREIGN[0]} to {_FOREIGN[-1]}"
            )
        coders[coder.name] = coder
    return dict(sorted(coders.items(), key=lambda item: item[1].number))


def encode(codes: IntArray, coder_name: str) -> bytes:
    """The number of the coder in one byte, then its bytes.

    Raises:
        UsageError: there is no such coder, or `codes` are no integers.
        CodingError: this coder cannot hold these codes.
    """
    coders = registered()
    if coder_name not in coders:
        raise UsageError(f"no coder is called {coder_name!r}; there are: {', '.join(coders)}")
    coder = coders[coder_name]
    return bytes([coder.number]) + coder.encode(codes)


def decode(data: bytes | memoryview | Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
    """The codes that `encode` or `smallest` was given; `shape` and `dtype` must be theirs.

    Raises:
        FormatError: the bytes are not what a coder writes for that shape and dtype.
    """
    reader = data if isinstance(data, Reader) else Reader(data)
    return _coder_at(reader).decode(reader, shape, dtype)


def coder_of(data: bytes | memoryview) -> str:
    """The name of the coder that made `data`.

    Raises:
        FormatError: no registered coder has that number.
    """
    return _coder_at(Reader(data[:1])).name


def smallest(codes: IntArray) -> bytes:
    """The fewest bytes that any registered coder makes of `codes`; the lowest number of equals.

    Examples:
        >>> coder_of(smallest(np.zeros((100, 100), np.int32)))
        'gap'
    """
    bits = 8 * patterns(codes).dtype.itemsize
    zeros = codes.size - int(np.count_nonzero(codes))
    # A bit for each item must be won back from the zeros.
    skipped = _SPARSE if zeros * bits <= codes.size else ()
    coders = (coder for name, coder in registered().items() if name not in skipped)
    return fewest(coders, codes)  # raw holds every array


def _coder_at(reader: Reader) -> Coder:
    number = reader.u8()
    for coder in registered().values():
        if coder.number == number:
            return coder
    reader.position -= 1
    raise reader.error(f"no coder has number {number}; a newer laconic may know it")
