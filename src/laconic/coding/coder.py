"""The contract of a coder: integers to bytes and back, without loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import IntEnum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from laconic.coding.reader import Reader

IntArray = NDArray[np.integer[Any]]


class Speed(IntEnum):
    """How fast a coder decodes, in codes a second on one thread, by its slowest array.

    Measured on a million uint8 codes (`benchmarks/coding.py`: 16 symbols alike, 16 of which each is
    half as likely as the one before, 90 % zeros), in millions a second on one core of 2024: raw
    39,000, fixed 440, huffman 810 to 1,950, gap 500 to 2,900, bitmap 230 to 690, planes 950 to
    1,700, rans 1,400, context 6 to 15. Parts are by coders as fast.
    """

    SLOW = 0
    """Fewer than 100 million: context."""
    MEDIUM = 1
    """From 100 million: bitmap."""
    FAST = 2
    """From 300 million: the others."""


class Coder(ABC):
    """Turns an array of integers into bytes and back; loses nothing.

    `encode` sees the array with its shape (the neighbours of a weight matter to some coders);
    `decode` is told the shape and the NumPy integer dtype to make. A coder writes neither: the
    container knows them. The same array gives the same bytes in the NumPy reference and in the
    native form (`coding.reference`, `laconic._native`).

    A new coder is one file with one subclass, one line in `CODERS`, one paragraph in
    `spec/coders.md`; `tests/contracts/test_coders.py` runs over every entry of `CODERS`.
    """

    name: ClassVar[str]
    """What `laconic inspect` prints."""
    number: ClassVar[int]
    """The byte that names this coder in a file; never used twice (spec/coders.md)."""
    decode_speed: ClassVar[Speed] = Speed.SLOW
    """With parts as fast; presets choose by it (`laconic.coding.presets`)."""

    def with_parts(self, slowest: Speed) -> Coder:
        """This coder, with no part by a coder that decodes slower; itself where it has no parts."""
        return self

    @abstractmethod
    def encode(self, codes: IntArray) -> bytes:
        """The bytes of `codes`, any shape, any NumPy integer dtype; deterministic.

        Raises:
            CodingError: these integers cannot be held by this coder.
        """

    @abstractmethod
    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        """The integers again, C-contiguous; reads all of `reader`.

        Raises:
            FormatError: the bytes are not what `encode` writes, end early, or hold a value
                outside `dtype`. Never allocates from a number that was not checked.
        """


class Parted(Coder):
    """A coder with parts by other coders (`laconic.coding.inner`).

    Args:
        slowest: the coders of its parts decode at least as fast.
    """

    def __init__(self, slowest: Speed = Speed.SLOW) -> None:
        self.slowest = slowest

    def with_parts(self, slowest: Speed) -> Coder:
        return type(self)(slowest)
