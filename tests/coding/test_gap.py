"""Relative indices: the figure of the paper, fillers, the choice of the width, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from laconic import _native
from laconic.coding import CODERS, Reader, reference
from laconic.coding.gap import best_width
from laconic.coding.inner import encode_inner
from laconic.errors import FormatError

GAP = CODERS["gap"]


def split(dense: np.ndarray, width: int, entries: int) -> tuple[list[int], list[int]]:
    gaps, values = np.empty(entries, np.uint16), np.empty(entries, dense.dtype)
    reference.gap_split(dense, width, gaps, values)
    same_gaps, same_values = np.empty_like(gaps), np.empty_like(values)
    _native.gap_split(dense, width, same_gaps, same_values)
    assert np.array_equal(gaps, same_gaps)
    assert np.array_equal(values, same_values)
    return gaps.tolist(), values.tolist()


def test_figure_2_of_deep_compression_with_spans_of_eight() -> None:
    # The paper's differences 1, 3, 8 (a filler), 3, from index 0 and with 3 bits. Ours count the
    # zeros between, from before the first item: 1, 2, 7, 2.
    dense = np.zeros(16, np.uint8)
    dense[[1, 4, 15]] = 34, 9, 17
    assert split(dense, 3, 4) == ([1, 2, 7, 2], [34, 9, 0, 17])


@pytest.mark.parametrize(
    ("zeros", "entries"),
    [
        (7, ([7], [5])),
        (8, ([7, 0], [0, 5])),
        (15, ([7, 7], [0, 5])),
        (16, ([7, 7, 0], [0, 0, 5])),
        (24, ([7, 7, 7, 0], [0, 0, 0, 5])),
    ],
    ids=lambda value: f"{value} zeros" if isinstance(value, int) else "",
)
def test_a_filler_bridges_eight_zeros_when_gaps_have_3_bits(
    zeros: int, entries: tuple[list[int], list[int]]
) -> None:
    assert split(np.array([0] * zeros + [5, 0, 0], np.uint8), 3, len(entries[0])) == entries


def test_a_run_that_needs_many_fillers_decodes() -> None:
    dense = np.zeros(70_000, np.int8)
    dense[[0, 1, 2, 3, -1]] = 1, -1, 1, -1, 1
    data = GAP.encode(dense)
    assert np.array_equal(GAP.decode(Reader(data), dense.shape, np.int8), dense)


def size_with(dense: np.ndarray, width: int) -> int:
    runs = np.diff(np.flatnonzero(dense), prepend=-1) - 1
    entries = int(np.sum((runs >> width) + 1))
    gaps, values = np.empty(entries, np.uint16), np.empty(entries, dense.dtype)
    reference.gap_split(dense, width, gaps, values)
    return len(encode_inner(gaps)) + len(encode_inner(values))


@pytest.mark.parametrize("keep", [3, 10, 40, 300])
def test_the_width_is_within_two_percent_of_the_best(keep: int) -> None:
    generator = np.random.default_rng(keep)
    dense = generator.integers(1, 16, 60_000) * (generator.integers(0, keep, 60_000) == 0)
    dense = dense.astype(np.uint8)
    runs, times = np.unique(np.diff(np.flatnonzero(dense), prepend=-1) - 1, return_counts=True)
    width = best_width(runs, times, dense[dense != 0])
    assert size_with(dense, width) <= 1.02 * min(size_with(dense, w) for w in range(1, 17))


def test_all_zeros_take_one_byte_whatever_the_shape() -> None:
    assert GAP.encode(np.zeros((1000, 1000), np.int32)) == b"\0"


# 02 entries, 01 bit, 04 bytes of gaps (fixed: 1, 0), values (fixed: 3, 4); see spec/coders.md.
WORKED = bytes.fromhex("02 01 04 01010001 01010602")


@pytest.mark.parametrize(
    ("place", "byte", "message"),
    [
        (0, 6, "offset 1: a number is 6; at most 5 is possible here"),
        (1, 0, "offset 2: a gap of 0 bits; from 1 to 16"),
        (1, 17, "offset 2: a gap of 17 bits; from 1 to 16"),
        (2, 90, "offset 3: a number is 90; at most 9 is possible here"),
        (3, 3, "offset 4: a part is coded by coder 3; possible are 1, 2, 5"),
        (5, 2, "offset 7: a gap of 2 is wider than 1 bits"),
        (0, 0, "offset 1: 10 bytes are left over"),
        (7, 9, "offset 8: a part is coded by coder 9"),
    ],
)
def test_refuses_with_the_place(place: int, byte: int, message: str) -> None:
    data = bytearray(WORKED)
    data[place] = byte
    with pytest.raises(FormatError, match=message):
        GAP.decode(Reader(bytes(data)), (5,), np.uint8)


def test_refuses_an_entry_behind_the_end() -> None:
    with pytest.raises(FormatError, match="offset 7: entry 1 lies behind the last of 2 items"):
        GAP.decode(Reader(WORKED), (2,), np.uint8)
