"""What every reader of a foreign file finds: bytes, and where tensors stand in them."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from math import prod
from typing import BinaryIO

from laconic.container.dtypes import DTYPES
from laconic.container.shapes import is_possible


@dataclass(frozen=True)
class Place:
    """A tensor's bytes in a stream, from `start` to before `end`."""

    name: str
    dtype: str
    """A key of `laconic.container.DTYPES`."""
    shape: tuple[int, ...]
    start: int
    end: int
    flags: int = 0
    """As in `laconic.container.foreign.Cut`."""

    @property
    def fits(self) -> bool:
        """Whether the bytes are as many as dtype and shape say."""
        return self.end - self.start == prod(self.shape) * DTYPES[self.dtype].size_bytes

    @property
    def storable(self) -> Place:
        """This place, or its bytes alone where a `.lac` file cannot hold the shape.

        Other formats allow more dimensions than NumPy, and any sizes beside one of 0; the shape
        stays in the skeleton either way.
        """
        return self if is_possible(self.shape) else raw_place(self.name, self.start, self.end)


@dataclass(frozen=True)
class Stream:
    """A file as a stream of bytes; `members` as in `laconic.container.foreign.Foreign`."""

    data: memoryview
    """Mapped: what was looked at may leave memory again."""
    places: list[Place]
    members: tuple[tuple[str, int], ...] = ()

    @property
    def ordered(self) -> list[Place]:
        """The places as they stand in the stream."""
        return sorted(self.places, key=lambda place: (place.start, place.end))


def mapped(file: BinaryIO) -> memoryview:
    """The bytes of an open file without reading them; they stay when it is closed."""
    file.flush()
    if os.fstat(file.fileno()).st_size == 0:
        return memoryview(b"")  # nothing cannot be mapped
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def raw_place(name: str, start: int, end: int) -> Place:
    """Bytes of a dtype that `.lac` files do not know, as unsigned bytes."""
    return Place(name, "U8", (end - start,), start, end)
