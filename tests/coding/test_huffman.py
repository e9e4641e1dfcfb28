"""Huffman: the worked example bit by bit, code lengths, and tables that are refused."""

from __future__ import annotations

import heapq
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laconic.coding import CODERS, Reader
from laconic.coding.code_lengths import huffman_lengths
from laconic.errors import CodingError, FormatError

HUFFMAN = CODERS["huffman"]
CODES = np.array([7, 7, 8, 9, 7, 7, 7, 12, 7, 8, 7, 7, 7], np.uint8)
# By hand. 7 occurs 9 times, 8 twice, 9 and 12 once: lengths 1, 2, 3, 3; codes 0, 10, 110, 111.
#   04          four symbols
#   0e          from 7, as zigzag 14
#   02 20       steps 1, 1, 3 less 1 in 2 bits, low bits first: 00 00 10
#   41 a4       shortest length 1, two bits each (1 + 32·2): 0, 1, 2, 2
#   2c 3a 00    0 0 10 110 0 | 0 0 111 0 10 0 0 0 and five spare bits
WORKED = bytes.fromhex("04 0e 02 20 41 a4 2c 3a 00")


def test_writes_the_example_that_was_worked_by_hand() -> None:
    assert HUFFMAN.encode(CODES) == WORKED
    assert HUFFMAN.decode(Reader(WORKED), CODES.shape, np.uint8).tolist() == CODES.tolist()


def test_ties_go_to_the_smaller_symbol() -> None:
    assert huffman_lengths([1, 1, 1]) == [2, 2, 1]
    assert huffman_lengths([2, 1, 1, 2]) == [2, 2, 2, 2]


def total_by_heap(counts: list[int]) -> int:
    """Bits of Huffman's code: the sum of all joined weights, whatever the order of ties."""
    heap, total = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        total += joined
        heapq.heappush(heap, joined)
    return total


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200))
def test_lengths_are_optimal(counts: list[int]) -> None:
    lengths = huffman_lengths(counts)
    spent = sum(count * length for count, length in zip(counts, lengths, strict=True))
    assert spent == total_by_heap(counts)


@pytest.mark.parametrize("size", [25, 40, 90])
def test_no_code_is_longer_than_twenty_bits_with_counts_that_double(size: int) -> None:
    lengths = huffman_lengths([2**i for i in range(size)])
    assert max(lengths) == 20
    assert sum(2 ** (20 - length) for length in lengths) == 2**20


def test_counts_are_halved_rounding_up_where_a_code_would_be_too_long() -> None:
    """Fibonacci's numbers would take 24 bits; halved once they take 13 (spec/coders.md)."""
    counts = [
        1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765,
        10946, 17711, 28657, 46368, 75025,
    ]  # fmt: skip
    assert huffman_lengths(counts) == [
        13, 13, 12, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2,
    ]  # fmt: skip


def test_65536_symbols_are_held_and_one_more_is_not() -> None:
    codes = np.arange(65536, dtype=np.int32)
    data = HUFFMAN.encode(codes)
    assert np.array_equal(HUFFMAN.decode(Reader(data), codes.shape, np.int32), codes)
    with pytest.raises(CodingError, match="more than 65536 distinct values; use raw"):
        HUFFMAN.encode(np.arange(65537))


def test_one_symbol_takes_no_payload_and_the_shape_says_how_many() -> None:
    data = HUFFMAN.encode(np.full(1_000_000, -2))
    assert data == b"\x01\x03"
    assert HUFFMAN.decode(Reader(data), (2, 3), np.int64).tolist() == [[-2] * 3] * 2


def test_scattered_symbols_are_marked_in_a_bitmap_when_that_is_shorter() -> None:
    codes = np.concatenate((np.arange(100), [130])).astype(np.uint8)
    data = HUFFMAN.encode(codes)
    assert data[2] == 65
    assert data[3:5] == b"\x82\x01"  # 130, from the smallest symbol to the largest
    assert np.array_equal(HUFFMAN.decode(Reader(data), codes.shape, np.uint8), codes)


def patched(place: int, byte: int) -> bytes:
    data = bytearray(WORKED)
    data[place] = byte
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (patched(5, 0x24), r"offset 6: .*over-subscribed: Kraft's sum is 1441792 / 1048576"),
        (patched(5, 0xE4), r"offset 6: .*incomplete: Kraft's sum is 983040 / 1048576"),
        (patched(0, 0), "offset 1: a table of no symbols"),
        (b"\x81\x80\x04" + WORKED[1:], "a number is 65537; at most 65536 is possible"),
        (patched(1, 0xFF), "offset 3: values from -192 to -192 do not fit uint8"),
        (b"\x04\xfc\x03" + WORKED[2:], "values from 254 to 259 do not fit uint8"),
        (patched(2, 66), "steps between symbols have 66 bits; at most 64"),
        (patched(4, 0x40), "code lengths must lie from 1 to 20 bits"),
        (patched(4, 0x54), "code lengths must lie from 1 to 20 bits"),
        (patched(8, 0x01), "offset 8: the Huffman payload .* spare bits are not 0"),
        (WORKED[:-1], "offset 8: the Huffman payload ends early"),
        (WORKED[:-2], "offset 6: 13 codes do not fit the 1 bytes left"),
        (WORKED + b"\0", "offset 9: the Huffman payload .*has bytes left over"),
        (b"\x03\x0e\x41\x03\x01\x21\x06\x2c", "offset 5: the bitmap of symbols does not mark 2"),
        (b"\x03\x0e\x41\xff\x01\x00", "a number is 255; at most 24 is possible here"),
    ],
)
def test_refuses_a_table_or_payload_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        HUFFMAN.decode(Reader(data), CODES.shape, np.uint8)


@pytest.mark.parametrize("symbols", [2, 16, 200, 256, 257, 3000])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_long_arrays_decode_through_the_tables(symbols: int, dtype: type) -> None:
    if symbols > np.iinfo(dtype).max + 1:
        return
    # Geometric counts, so that codes longer than the table's twelve bits occur too.
    pattern = itertools.accumulate(range(20_000), lambda a, b: (a * 75 + 74 + b) % 65537)
    codes = np.fromiter((min(symbols - 1, 65536 // (1 + x) - 1) for x in pattern), np.int64)
    codes = codes.astype(dtype)
    data = HUFFMAN.encode(codes)
    assert np.array_equal(HUFFMAN.decode(Reader(data), codes.shape, dtype), codes)
