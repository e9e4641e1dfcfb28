"""The contract of a coder: integers to bytes and back, without loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from laconic.coding.reader import Reader

IntArray = NDArray[np.integer[Any]]


class Coder(ABC):
    """Turns an array of integers into bytes and back; loses nothing.

    `encode` sees the array with its shape (the neighbours of a weight matter to some coders);
    `decode` is told the shape and the NumPy integer dtype to make. A coder writes neither: the
    container knows them. The same array gives the same bytes in the NumPy reference and in the
    native form (`coding.reference`, `laconic._native`).

    A new coder is one file with one subclass, one line in `CODERS`, one paragraph in
    `spec/format.md`; `tests/contracts/test_coders.py` runs over every entry of `CODERS`.
    """

    name: ClassVar[str]
    """What `laconic inspect` prints."""
    number: ClassVar[int]
    """The byte that names this coder in a file; never used twice (spec/format.md)."""

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
