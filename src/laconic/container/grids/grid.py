"""The contract of a grid in a file: tables ↔ bytes, codes → values, in NumPy alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader
from laconic.container.dtypes import Bits

Tables = Mapping[str, NDArray[Any]]
"""What gives codes their values; which names it has is the grid's own affair."""
Shape = tuple[int, ...]
CHUNK = 1 << 18
"""Codes whose values are made at a time: bounds the memory of what stands between."""


class FileGrid(ABC):
    """One way in which integers stand for values. Code 0 stands for zero.

    A new grid is one file with one subclass, one line in `GRIDS`, one line in the table of
    spec/format.md, and a function in `forms` that makes tensors of it.
    """

    name: ClassVar[str]
    number: ClassVar[int]
    """The byte that names this grid in a file; never used twice."""
    whole: ClassVar[bool] = False
    """Whether values are made of all codes at once: codes are not one for each value."""

    @abstractmethod
    def write_tables(self, tables: Tables, dtype: str, shape: Shape) -> bytes:
        """What stands before the coded integers."""

    @abstractmethod
    def read_tables(self, reader: Reader, dtype: str, shape: Shape) -> Tables:
        """The tables again.

        Raises:
            FormatError: they are malformed. Nothing was allocated from a number that is too large.
        """

    def code_shape(self, tables: Tables, shape: Shape) -> Shape:
        """The shape of the codes of a tensor of `shape`: the same, unless `whole`."""
        return shape

    @abstractmethod
    def code_dtype(self, dtype: str, tables: Tables) -> np.dtype[Any]:
        """The integers' dtype, in memory and for the coder."""

    @abstractmethod
    def check(
        self, reader: Reader, codes: NDArray[Any], tables: Tables, shape: Shape, start: int = 0
    ) -> None:
        """FormatError when a code has no value; the arguments are those of `values`."""

    @abstractmethod
    def values(
        self, codes: NDArray[Any], tables: Tables, dtype: str, shape: Shape, start: int = 0
    ) -> Bits:
        """The bits of the values that `codes` stand for, in the shape of `codes`.

        Of a grid that is `whole`: of all codes, in the shape of the tensor.

        Args:
            codes: a run of the codes of a tensor of `shape`, in C order; all by default.
            tables: the tensor's.
            dtype: the tensor's.
            shape: of the whole tensor.
            start: place of the first of `codes` in the flat tensor.
        """


def check_range(reader: Reader, codes: NDArray[Any], low: int, high: int) -> None:
    """Refuse codes outside [low, high]."""
    if codes.size and not low <= int(codes.min()) <= int(codes.max()) <= high:
        raise reader.error(
            f"codes from {codes.min()} to {codes.max()} are outside the grid [{low}, {high}]"
        )


def narrowest(low: int, high: int) -> np.dtype[Any]:
    """The smallest signed dtype of at most four bytes that holds `low` to `high`.

    Examples:
        >>> narrowest(-128, 3), narrowest(-129, 3)
        (dtype('int8'), dtype('int16'))
    """
    sizes = (1, 2)
    size = next((s for s in sizes if -(1 << 8 * s - 1) <= low and high < 1 << 8 * s - 1), 4)
    return np.dtype(f"i{size}")
