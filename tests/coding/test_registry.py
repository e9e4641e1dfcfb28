"""Names and numbers of coders, ours and other people's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

from laconic import coding
from laconic.coding import CODERS, Coder, IntArray, Reader
from laconic.errors import CodingError, FormatError, UsageError


class Nothing(Coder):
    """Holds what its shape says already: zeros."""

    name = "nothing"
    number = 200

    def encode(self, codes: IntArray) -> bytes:
        if codes.any():
            raise CodingError("only zeros")
        return b""

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        reader.end()
        return np.zeros(shape, dtype)


@dataclass
class Point:
    loaded: Any
    value: str = "package:Nothing"

    def load(self) -> Any:
        return self.loaded


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Point]]:
    points: list[Point] = []
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    coding.registered.cache_clear()
    yield points
    coding.registered.cache_clear()


def test_numbers_and_names_are_those_of_the_classes_and_in_order() -> None:
    numbers = [coder.number for coder in CODERS.values()]
    assert numbers == sorted(set(numbers))
    assert [coder.name for coder in CODERS.values()] == list(CODERS)


def test_a_foreign_coder_is_tried_and_found_again(foreign: list[Point]) -> None:
    foreign.append(Point(Nothing))
    zeros = np.zeros((3, 4), np.int8)
    data = coding.smallest(zeros)
    assert data == bytes([200])
    assert coding.coder_of(data) == "nothing"
    assert coding.decode(data, (3, 4), np.int8).tolist() == zeros.tolist()
    assert coding.coder_of(coding.smallest(zeros + 1)) == "fixed"


@pytest.mark.parametrize(("name", "number"), [("raw", 200), ("mine", 2), ("mine", 100)])
def test_a_foreign_coder_needs_a_free_name_and_number(
    foreign: list[Point], name: str, number: int
) -> None:
    foreign.append(Point(type("Mine", (Nothing,), {"name": name, "number": number})))
    with pytest.raises(UsageError, match="needs a name of its own and a free number from 128"):
        coding.registered()


def test_an_unknown_name_lists_the_coders() -> None:
    with pytest.raises(UsageError, match="no coder is called 'zip'; there are: raw, fixed, huff"):
        coding.encode(np.zeros(2, np.int8), "zip")


def test_an_unknown_number_is_refused_at_its_place() -> None:
    with pytest.raises(FormatError, match="offset 40: no coder has number 99"):
        coding.decode(Reader(b"\x63", 40), (1,), np.int8)
    with pytest.raises(FormatError, match="offset 0: no coder has number 99"):
        coding.coder_of(b"\x63")
    with pytest.raises(FormatError, match="offset 0: 1 bytes were promised, 0 are left"):
        coding.decode(b"", (1,), np.int8)


def test_of_equal_sizes_the_lowest_number_wins() -> None:
    codes = np.array([7, 7], np.int32)
    sizes = {name: len(coding.encode(codes, name)) for name in CODERS}
    assert sizes["fixed"] == sizes["huffman"] == min(sizes.values())
    assert coding.coder_of(coding.smallest(codes)) == "fixed"


def test_another_item_type_that_holds_the_values_may_be_asked_for() -> None:
    data = coding.encode(np.array([1, -2, 3]), "huffman")
    assert coding.decode(data, (3,), np.int8).tolist() == [1, -2, 3]
    with pytest.raises(FormatError, match="values from -2 to -2 do not fit uint8"):
        coding.decode(data, (3,), np.uint8)


def test_entropy_of_nothing_and_of_certainty_is_zero() -> None:
    assert coding.entropy_bits(np.zeros(0, np.int8)) == 0.0
    assert coding.entropy_bits(np.full((3, 3), 5)) == 0.0
    assert coding.entropy_bits(np.arange(16, dtype=np.uint8)) == 64.0
