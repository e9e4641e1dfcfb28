"""Integers to bytes and back, without loss; NumPy alone, faster with `laconic._native`.

`smallest` keeps the fewest bytes of all coders, by trying; `chosen` can leave out those that decode
slowly. Both cut large arrays into blocks. The first byte of a coded array names its coder. `CODERS`
lists ours; other packages add theirs, with numbers from 128 to 255, through the entry-point group
`laconic.coders` (spec/coders.md).

Examples:
    >>> import numpy as np
    >>> codes = np.array([[0, 0, 3], [0, 0, -1]], np.int8)
    >>> data = smallest(codes)
    >>> len(data) < codes.nbytes, decode(data, (2, 3), np.int8).tolist()
    (True, [[0, 0, 3], [0, 0, -1]])
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache, partial

from numpy.typing import DTypeLike

from laconic.coding import presets
from laconic.coding.bitmap import Bitmap
from laconic.coding.blocks import BLOCK_BITS, Blocks, Run, for_each, gathered
from laconic.coding.coder import Coder, IntArray, Speed
from laconic.coding.context import Context
from laconic.coding.entropy import entropy_bits
from laconic.coding.fixed import Fixed
from laconic.coding.gap import Gap
from laconic.coding.huffman import Huffman
from laconic.coding.integers import blank
from laconic.coding.planes import Planes
from laconic.coding.presets import PRESETS
from laconic.coding.rans import Rans
from laconic.coding.raw import Raw
from laconic.coding.reader import Reader
from laconic.errors import CodingError, UsageError

__all__ = [
    "CODERS",
    "PRESETS",
    "Blocks",
    "Coder",
    "IntArray",
    "Reader",
    "Run",
    "Speed",
    "chosen",
    "coder_of",
    "decode",
    "encode",
    "entropy_bits",
    "for_each",
    "registered",
    "runs",
    "smallest",
]

MOST_IN_ONE_PIECE = 2**21
"""Items of an array without blocks, so that reading a hostile file takes little memory."""
_FOREIGN = range(128, 256)


def _encode_one(codes: IntArray, preset: str = "smallest") -> bytes:
    """A coded array without blocks."""
    whole = (coder for coder in registered().values() if not isinstance(coder, Blocks))
    return presets.one_piece(whole, codes, preset)


def _decode_one(reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
    coder = _coder_at(reader)
    if isinstance(coder, Blocks):
        reader.position -= 1
        raise reader.error("a block is cut into blocks again")
    return _in_one_piece(coder, reader, shape, dtype)


def _in_one_piece(
    coder: Coder, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike
) -> IntArray:
    count = math.prod(shape)
    if count > MOST_IN_ONE_PIECE and not isinstance(coder, Raw):
        raise reader.error(
            f"{count} items by {coder.name} without blocks; at most {MOST_IN_ONE_PIECE} can be"
        )
    return coder.decode(reader, shape, dtype)


CODERS: dict[str, Coder] = {
    "raw": Raw(),
    "fixed": Fixed(),
    "huffman": Huffman(),
    "gap": Gap(),
    "bitmap": Bitmap(),
    "planes": Planes(),
    "context": Context(),
    "rans": Rans(),
    "blocks": Blocks(_encode_one, _decode_one),
}


@cache
def registered() -> dict[str, Coder]:
    """`CODERS` and those of the entry-point group `laconic.coders`, by name, in number order.

    Raises:
        UsageError: a foreign coder takes a name or number that is not free.
    """
    from importlib.metadata import entry_points  # slow to import, and seldom needed

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
    if codes.size > MOST_IN_ONE_PIECE and not isinstance(coder, Raw | Blocks):
        raise CodingError(
            f"{codes.size:,} codes are too many for {coder_name}, which holds "
            f"{MOST_IN_ONE_PIECE:,} in one piece; give blocks"
        )
    return bytes([coder.number]) + coder.encode(codes)


def chosen(codes: IntArray, preset: str = "smallest") -> list[bytes]:
    """The coded array, in pieces to be put one after the other.

    Arrays of more than 2^20 items are cut into blocks of their own coders, and stay as they are
    (`raw`) where no block gains.

    Args:
        codes: any integers.
        preset: ``"smallest"`` takes the fewest bytes of all coders, ``"balanced"`` and
            ``"fastest"`` those of the coders that decode at 100 and at 300 million codes a second
            (`Speed`).

    Raises:
        UsageError: there is no such preset, or `codes` are no integers.

    Examples:
        >>> import numpy as np
        >>> codes = np.zeros(3_000_000, np.int8)
        >>> data = b"".join(chosen(codes, "fastest"))
        >>> coder_of(data), len(data)
        ('blocks', 32)
    """
    if codes.size <= 1 << BLOCK_BITS:
        return [_encode_one(codes, preset)]
    blocks = Blocks(partial(_encode_one, preset=preset), _decode_one)
    found = [bytes([blocks.number]), *blocks.chunks(codes)]
    if sum(map(len, found)) > codes.nbytes:
        return [encode(codes, "raw")]
    return found


def smallest(codes: IntArray) -> bytes:
    """The fewest bytes that any registered coder makes of `codes`; the lowest number of equals.

    Examples:
        >>> import numpy as np
        >>> coder_of(smallest(np.zeros((100, 100), np.int32)))
        'gap'
    """
    return b"".join(chosen(codes))


def decode(
    data: bytes | memoryview | Reader, shape: tuple[int, ...], dtype: DTypeLike, threads: int = 1
) -> IntArray:
    """The codes that `encode` or `smallest` was given; `shape` and `dtype` must be theirs.

    Args:
        data: the coded array.
        shape: of the codes.
        dtype: of the codes.
        threads: how many blocks are decoded at once.

    Raises:
        FormatError: the bytes are not what a coder writes for that shape and dtype.
    """
    reader = data if isinstance(data, Reader) else Reader(data)
    coder = _coder_at(reader)
    if isinstance(coder, Blocks):
        return gathered(coder.runs(reader, shape, dtype), blank(shape, dtype, reader), threads)
    return _in_one_piece(coder, reader, shape, dtype)


def runs(reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[Run]:
    """The parts of a coded array that can be decoded alone, in order: its blocks, or all of it.

    `raw` items are cut as blocks are.

    Raises:
        FormatError: at once, when the bytes cannot be those of so many items.
    """
    coder = _coder_at(reader)
    if isinstance(coder, Blocks | Raw):
        return coder.runs(reader, shape, dtype)
    return iter([Run(0, shape, partial(_in_one_piece, coder, reader, shape, dtype))])


def coder_of(data: bytes | memoryview) -> str:
    """The name of the coder that made `data`.

    Raises:
        FormatError: no registered coder has that number.
    """
    return _coder_at(Reader(data[:1])).name


def _coder_at(reader: Reader) -> Coder:
    number = reader.u8()
    # Other packages are asked for their coders when a file has one.
    known = registered() if number in _FOREIGN else CODERS
    for coder in known.values():
        if coder.number == number:
            return coder
    reader.position -= 1
    raise reader.error(f"no coder has number {number}; a newer laconic may know it")
