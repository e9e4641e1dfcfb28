"""No grid: the integers are the values themselves, or their bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader
from laconic.container.dtypes import DTYPES, Bits
from laconic.container.grids.grid import FileGrid, Shape, Tables


class Plain(FileGrid):
    """No tables; every code has a value."""

    name = "plain"
    number = 0

    def write_tables(self, tables: Tables, dtype: str, shape: Shape) -> bytes:
        return b""

    def read_tables(self, reader: Reader, dtype: str, shape: Shape) -> Tables:
        return {}

    def code_dtype(self, dtype: str, tables: Tables) -> np.dtype[Any]:
        width = DTYPES[dtype].size_bytes
        return np.dtype(f"<i{width}" if dtype[0] == "I" else f"<u{width}")

    def check(
        self, reader: Reader, codes: NDArray[Any], tables: Tables, shape: Shape, start: int = 0
    ) -> None:
        pass

    def values(
        self, codes: NDArray[Any], tables: Tables, dtype: str, shape: Shape, start: int = 0
    ) -> Bits:
        return codes.view(DTYPES[dtype].bits)
