"""Items as they are, little-endian: what nothing else makes smaller, and the bits of floats."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from laconic.coding.blocks import BLOCK_BITS, Run, geometry
from laconic.coding.coder import Coder, IntArray, Speed
from laconic.coding.integers import blank, flat, patterns
from laconic.coding.reader import Reader


class Raw(Coder):
    """Little-endian items of the array's own width (spec/coders.md, `raw`).

    Examples:
        >>> Raw().encode(np.array([1, -2], np.int16)).hex()
        '0100feff'
    """

    name: ClassVar[str] = "raw"
    number: ClassVar[int] = 0
    decode_speed: ClassVar[Speed] = Speed.FAST

    def encode(self, codes: IntArray) -> bytes:
        items = patterns(codes)
        return items.astype(items.dtype.newbyteorder("<"), copy=False).tobytes()

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        _check_size(reader, shape, dtype)
        out = blank(shape, dtype, reader)
        items = flat(out)
        items[...] = np.frombuffer(reader.rest(), items.dtype.newbyteorder("<"))
        return out

    def runs(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[Run]:
        """The items cut as `blocks` cuts them; `reader` stands at its end.

        Raises:
            FormatError: at once, when there are not as many bytes as `shape` takes.
        """
        _check_size(reader, shape, dtype)
        offset = reader.offset
        return self._runs(Reader(reader.rest(), offset), shape, np.dtype(dtype))

    def _runs(self, reader: Reader, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Run]:
        if math.prod(shape) == 0:
            return
        for start, part in geometry(shape, BLOCK_BITS).places():
            offset = reader.offset
            items = Reader(reader.take(math.prod(part) * dtype.itemsize), offset)
            yield Run(start, part, partial(self.decode, items, part, dtype))


def _check_size(reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> None:
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if reader.remaining != size_bytes:
        raise reader.error(f"raw items take {size_bytes} bytes, {reader.remaining} are there")
