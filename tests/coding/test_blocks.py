"""Blocks: how an array is cut, what is refused, and that any block is read alone."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laconic import coding
from laconic.coding import Blocks, IntArray, Reader, decode, encode, for_each, runs
from laconic.coding.blocks import ENTRY, geometry
from laconic.errors import CodingError, FormatError

sys.path.insert(0, str(Path(__file__).parents[1] / "contracts"))
from check_coder import check_coder, check_damage

SHAPES = st.lists(st.integers(1, 9), max_size=5).map(tuple)


def small_blocks() -> Blocks:
    """The coder with blocks of 4,096 items, each by the quickest of coders."""
    whole = coding.CODERS["blocks"]
    assert isinstance(whole, Blocks)
    return Blocks(lambda codes: encode(codes, "fixed"), whole.decode_one, 12)


def codes_of(*shape: int) -> IntArray:
    """Some zeros, and a step in the middle."""
    numbers = np.arange(np.prod(shape), dtype=np.int64)
    return (
        (numbers % 7 * (numbers % 3 == 0) + (numbers > numbers.size // 2))
        .astype(np.int16)
        .reshape(shape)
    )


@pytest.mark.parametrize(
    ("shape", "blocks"),
    [
        ((9000,), [(4096,), (4096,), (808,)]),
        ((3, 3000), [(1, 3000)] * 3),
        ((5, 1000), [(4, 1000), (1, 1000)]),
        ((2, 3, 2000), [(2, 2000)] * 3),
        ((2, 5000), [(4096,), (4096,), (1808,)]),
        ((7, 5), [(7, 5)]),
        ((), [(1,)]),
    ],
    ids=str,
)
def test_an_array_is_cut_along_its_leading_axes(
    shape: tuple[int, ...], blocks: list[tuple[int, ...]]
) -> None:
    codes = codes_of(*shape)
    seen: list[tuple[int, ...]] = []

    def watching(block: IntArray) -> bytes:
        seen.append(block.shape)
        return encode(block, "fixed")

    coder = Blocks(watching, small_blocks().decode_one, 12)
    data = coder.encode(codes)
    assert seen == blocks
    assert np.array_equal(coder.decode(Reader(data), shape, np.int16), codes)


@settings(deadline=None)
@given(SHAPES, st.integers(4, 10))
def test_blocks_cover_an_array_without_holes_or_overlaps(shape: tuple[int, ...], bits: int) -> None:
    place = 0
    for start, block in geometry(shape, bits).places():
        assert start == place
        assert 0 < np.prod(block) <= 1 << bits
        place += int(np.prod(block))
    assert place == np.prod(shape)


def test_several_blocks_keep_the_contract() -> None:
    check_coder(small_blocks(), codes_of(3, 3000))
    check_coder(small_blocks(), codes_of(9000).astype(">i4"))
    check_coder(small_blocks(), codes_of(90, 100).T)


def test_several_blocks_refuse_or_survive_damage() -> None:
    check_damage(small_blocks(), np.full(4097, 3, np.int8))


def test_a_damaged_block_is_refused_and_the_others_are_read() -> None:
    codes = codes_of(9000)
    data = bytearray(small_blocks().encode(codes))
    data[-1] ^= 1
    found = list(small_blocks().runs(Reader(bytes(data), 40), (9000,), np.int16))
    assert np.array_equal(found[1].decode(), codes[4096:8192])
    length = int(np.frombuffer(data, ENTRY, 3, 1)["length"][2])
    place = 40 + len(data) - length
    with pytest.raises(FormatError, match=f"offset {place}: a block's checksum is wrong"):
        found[2].decode()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_give_the_same(threads: int) -> None:
    codes = codes_of(300, 11_000)
    data = b"".join(coding.chosen(codes, "fastest"))
    assert np.array_equal(decode(data, codes.shape, codes.dtype, threads), codes)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_error_of_a_thread_is_raised(threads: int) -> None:
    def broken(run: coding.Run) -> None:
        raise FormatError("a fault", run.start)

    found = small_blocks().runs(Reader(small_blocks().encode(codes_of(9000))), (9000,), np.int16)
    with pytest.raises(FormatError, match="a fault"):
        for_each(found, broken, threads)


def hostile(table: list[tuple[int, int]], body: bytes = b"", bits: int = 12) -> bytes:
    return bytes([bits]) + np.array(table, ENTRY).tobytes() + body


ZERO = b"\1\0\0"
GOOD = (3, zlib.crc32(ZERO))
NESTED = b"\x08" + hostile([GOOD], ZERO)
ATTACKS = {
    "too small blocks": (hostile([GOOD], ZERO, 11), "blocks of 2^11 items; from 2^12 to 2^20"),
    "too large blocks": (hostile([GOOD], ZERO, 21), "blocks of 2^21 items"),
    "a table that is cut": (hostile([GOOD])[:-1], "8 bytes were promised, 7 are left"),
    "blocks beyond the end": (hostile([(4, GOOD[1])], ZERO), "the blocks take 4 bytes, 3 are"),
    "bytes left over": (hostile([GOOD], ZERO + b"!"), "the blocks take 3 bytes, 4 are there"),
    "a wrong checksum": (hostile([(3, 0)], ZERO), "a block's checksum is wrong"),
    "an empty block": (hostile([(0, 0)]), "1 bytes were promised, 0 are left"),
    "blocks in a block": (
        hostile([(len(NESTED), zlib.crc32(NESTED))], NESTED),
        "a block is cut into blocks again",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_refuses(attack: str) -> None:
    data, message = ATTACKS[attack]
    with pytest.raises(FormatError, match=message.replace("^", r"\^")):
        small_blocks().decode(Reader(data), (9,), np.int8)


def test_a_table_for_more_blocks_than_bytes_allocates_nothing() -> None:
    data = b"\x08" + hostile([GOOD] * 3, ZERO * 3)
    with pytest.raises(FormatError, match="2199023255552 bytes were promised, 33 are left"):
        decode(data, (1 << 50,), np.int8)


def test_lengths_that_overflow_are_added_up_exactly() -> None:
    table = [(2**32 - 1, 0)] * 3
    with pytest.raises(FormatError, match="the blocks take 12884901885 bytes, 0 are there"):
        small_blocks().decode(Reader(hostile(table)), (9000,), np.int8)


@pytest.mark.parametrize("name", [name for name in coding.CODERS if name not in ("raw", "blocks")])
def test_too_many_items_in_one_piece_are_neither_written_nor_read(name: str) -> None:
    number = coding.CODERS[name].number
    count = coding.MOST_IN_ONE_PIECE + 1
    with pytest.raises(CodingError, match=f"2,097,153 codes are too many for {name}"):
        encode(np.zeros(count, np.int8), name)
    with pytest.raises(FormatError, match=f"2097153 items by {name} without blocks"):
        decode(bytes([number]) + bytes(9), (count,), np.int8)
    with pytest.raises(FormatError, match=f"2097153 items by {name} without blocks"):
        next(runs(Reader(bytes([number]) + bytes(9)), (count,), np.int8)).decode()


def test_raw_is_cut_as_blocks_are() -> None:
    codes = codes_of(300, 4000)
    data = encode(codes, "raw")
    found = list(runs(Reader(data, 7), codes.shape, codes.dtype))
    assert [(run.start, run.shape, run.stop) for run in found] == [
        (0, (262, 4000), 1_048_000), (1_048_000, (38, 4000), 1_200_000),
    ]  # fmt: skip
    assert np.array_equal(found[1].decode(), codes[262:])
    assert list(runs(Reader(encode(codes[:0], "raw")), (0, 4000), codes.dtype)) == []
    with pytest.raises(FormatError, match="raw items take 2400000 bytes, 2399999 are there"):
        runs(Reader(data[:-1]), codes.shape, codes.dtype)


def test_what_has_no_blocks_is_one_run() -> None:
    codes = codes_of(3, 5)
    (run,) = runs(Reader(encode(codes, "huffman")), (3, 5), np.int16)
    assert (run.start, run.shape) == (0, (3, 5))
    assert np.array_equal(run.decode(), codes)
