"""rANS: the worked example, frequencies and their bound, both decoders, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laconic import _native
from laconic.coding import CODERS, Reader, entropy_bits, reference
from laconic.coding.frequencies import (
    FRACTION,
    cost,
    logarithms,
    normalised,
    read_frequencies,
    write_frequencies,
    written_bytes,
)
from laconic.coding.rans import plan
from laconic.errors import CodingError, FormatError

RANS = CODERS["rans"]
CODES = np.array([7, 7, 8, 7, 7, 7, 9, 7], np.uint8)
# By hand; see spec/coders.md for each bit.
#   03 0e 00     three symbols from 7, no bits a step
#   00           frequencies of 5 bits, one state
#   c4 1e        24 and 4, which leave 4
#   b0 95 67 01  the state; no words
WORKED = bytes.fromhex("03 0e 00 00 c4 1e b0 95 67 01")


def test_writes_the_example_that_was_worked_by_hand() -> None:
    assert RANS.encode(CODES) == WORKED
    assert RANS.decode(Reader(WORKED), CODES.shape, np.uint8).tolist() == CODES.tolist()


def test_the_state_of_the_example_follows_from_the_definition() -> None:
    start, frequency = {7: 0, 8: 24, 9: 28}, {7: 24, 8: 4, 9: 4}
    state = 2**16
    for code in reversed(CODES.tolist()):
        share = frequency[code]
        state = state // share * 32 + start[code] + state % share
    assert state.to_bytes(4, "little") == WORKED[6:]


def test_logarithms_are_those_of_the_library_to_a_millionth() -> None:
    exact = np.log2(np.arange(1, 4097))
    assert np.abs(logarithms()[1:] / 2**FRACTION - exact).max() < 2e-6
    powers = 2 ** np.arange(13)
    assert (logarithms()[powers] == np.arange(13) << FRACTION).all()


def best_by_exhaustion(counts: list[int], precision: int) -> int:
    """The least cost of any frequencies."""
    total = 1 << precision
    cuts = itertools.combinations(range(1, total), len(counts) - 1)
    models = (np.diff([0, *cut, total]).astype(np.uint16) for cut in cuts)
    return min(cost(np.array(counts), model, precision) for model in models)


@pytest.mark.parametrize(
    "counts", [[1, 1], [1000, 1], [1, 1, 1], [90, 7, 3], [5, 5, 1000], [1, 10**9, 40]], ids=str
)
def test_no_other_frequencies_cost_less(counts: list[int]) -> None:
    found = normalised(np.array(counts), 5)
    assert cost(np.array(counts), found, 5) == best_by_exhaustion(counts, 5)


@given(st.lists(st.integers(1, 10**12), min_size=2, max_size=300), st.integers(5, 12))
def test_frequencies_are_at_least_one_and_add_up(counts: list[int], precision: int) -> None:
    if len(counts) > 1 << precision:
        return
    found = normalised(np.array(counts), precision)
    assert found.min() >= 1
    assert found.sum(dtype=np.int64) == 1 << precision
    written = write_frequencies(found.tolist())
    assert written_bytes(found) == len(written)
    reader = Reader(written)
    assert read_frequencies(reader, len(counts), precision).tolist() == found.tolist()
    assert reader.remaining == 0


@pytest.mark.parametrize("symbols", [2, 3, 16, 40, 200])
@pytest.mark.parametrize("ratio", [0.02, 0.1, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize(("rarest", "excess"), [(1e-3, 0.0005), (1e-6, 0.004)])
def test_twelve_bits_cost_hardly_more_than_the_entropy(
    symbols: int, ratio: float, rarest: float, excess: float
) -> None:
    shares = ratio ** np.arange(symbols)
    counts = np.rint(10**6 * shares / shares.sum()).astype(np.int64)
    counts = counts[counts >= 10**6 * rarest]
    entropy = float(counts @ np.log2(counts.sum() / counts))
    if counts.size > 1:
        spent = cost(counts, normalised(counts, 12), 12) / 2**FRACTION
        assert entropy <= spent <= (1 + excess) * entropy


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.uint64])
@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.9])
def test_a_long_array_stays_within_a_hundredth_of_the_entropy(dtype: type, zeros: float) -> None:
    generator = np.random.default_rng(1)
    codes = generator.integers(0, 16, 400_000) * (generator.random(400_000) >= zeros)
    codes = (codes - (8 if np.dtype(dtype).kind == "i" else 0)).astype(dtype)
    data = RANS.encode(codes)
    assert 8 * len(data) <= 1.01 * entropy_bits(codes) + 8 * (30 + 2 * 32)
    assert abs(plan(codes).size_bytes - len(data)) <= len(data) // 1000 + 3 * 32
    assert np.array_equal(RANS.decode(Reader(data), codes.shape, dtype), codes)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 4096, 4097, 9999])
@pytest.mark.parametrize("symbols", [2, 256, 257, 4000])
def test_both_forms_write_and_read_the_same_for_every_number_of_lanes(
    lanes: int, count: int, symbols: int
) -> None:
    dtype = np.uint8 if symbols <= 256 else np.uint16
    alphabet = np.arange(symbols, dtype=np.uint16).astype(dtype)
    values = alphabet[np.arange(count) ** 2 * 7919 % 100_003 % symbols]
    frequencies = normalised(np.arange(1, symbols + 1) ** 3, 12)
    written = []
    for form in (_native, reference):
        room = np.empty(4 * lanes + 2 * count, np.uint8)
        begin = form.rans_encode(values, alphabet, frequencies, 12, lanes, room)
        written.append(room[begin:].tobytes())
    assert written[0] == written[1]
    data = np.frombuffer(written[0], np.uint8)
    for form in (_native, reference):
        out = np.zeros_like(values)
        assert form.rans_decode(data, alphabet, frequencies, 12, lanes, out) == -1
        assert np.array_equal(out, values)


@pytest.mark.parametrize("lanes", [1, 32])
def test_both_forms_point_at_the_same_damage(lanes: int) -> None:
    alphabet, frequencies = np.arange(3, dtype=np.uint8), np.array([30, 1, 1], np.uint16)
    values = alphabet[np.arange(3000) % 7 % 3]
    room = np.empty(4 * lanes + 2 * values.size, np.uint8)
    begin = reference.rans_encode(values, alphabet, frequencies, 5, lanes, room)
    good = room[begin:].copy()
    cases = {
        "one byte less": (good[:-1], good.size - 2),
        "one word less": (good[:-2], good.size - 2),
        "one byte more": (np.append(good, np.uint8(0)), good.size),
        "one word more": (np.append(good, np.zeros(2, np.uint8)), good.size),
        "states alone": (good[: 4 * lanes], 4 * lanes),
        "half a state": (good[: 4 * lanes - 2], 4 * lanes - 2),
        "a low state": (np.concatenate((good[: 4 * lanes - 2], [0, 0], good[4 * lanes :])), 4),
    }
    for case, (data, place) in cases.items():
        where = 4 * (lanes - 1) if case == "a low state" else place
        for form in (_native, reference):
            out = np.empty_like(values)
            status = form.rans_decode(data.astype(np.uint8), alphabet, frequencies, 5, lanes, out)
            assert status == where, (case, form)


def test_4096_symbols_are_held_and_one_more_is_not() -> None:
    codes = np.arange(4096, dtype=np.int32) * 3
    data = RANS.encode(codes)
    assert np.array_equal(RANS.decode(Reader(data), codes.shape, np.int32), codes)
    with pytest.raises(CodingError, match="more than 4096 distinct values; use raw, fixed or pla"):
        RANS.encode(np.arange(4097))


def test_one_symbol_takes_no_payload_and_the_shape_says_how_many() -> None:
    data = RANS.encode(np.full(1_000_000, -2))
    assert data == b"\x01\x03"
    assert RANS.decode(Reader(data), (2, 3), np.int64).tolist() == [[-2] * 3] * 2


def patched(place: int, byte: int) -> bytes:
    data = bytearray(WORKED)
    data[place] = byte
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x00", "offset 1: a table of no symbols"),
        (b"\x81\x20" + WORKED[1:], "offset 2: a number is 4097; at most 4096 is possible"),
        (b"\x01\x0e\x00", "offset 2: 1 bytes are left over"),
        (patched(3, 0x30), r"offset 4: 2\^6 lanes; at most 32 are possible"),
        (b"\x21\x00\x00" + WORKED[3:], "offset 4: 33 symbols need more than 5 bits of frequency"),
        (patched(3, 0x08), "offset 6: 8 codes do not fit the 4 bytes left"),
        (WORKED[:4] + bytes(9), "offset 6: two frequencies differ by more than is possible"),
        (patched(4, 0xFC), "offset 5: .* at least 1 and add up to 32: one is -28, which leaves 60"),
        (patched(4, 0x08), "offset 6: .* one is 44, which leaves -12 for 2 more"),
        (patched(5, 0x3E), "offset 6: .* one is 0, which leaves 8 for 1 more"),
        (WORKED[:3] + b"\0\x01" + WORKED[6:], "offset 5: .* one is 0, which leaves 32 for 2 more"),
        (b"\x02\x0e\0\0\xa2" + WORKED[6:], "offset 5: the spare bits behind the frequencies"),
        (WORKED[:4], "offset 4: 1 bytes were promised, 0 are left"),
        (WORKED[:-1], "offset 9: the rANS payload ends early"),
        (WORKED + b"\0", "offset 10: the rANS payload .*has bytes left over"),
        (WORKED + b"\0\0", "offset 10: the rANS payload .*has bytes left over"),
        (patched(6, 0xB1), "offset 6: the rANS payload"),
        (patched(9, 0x00)[:8] + b"\0\0", "offset 6: the rANS payload"),
    ],
)
def test_refuses_with_the_place(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        RANS.decode(Reader(data), CODES.shape, np.uint8)


def test_a_likely_symbol_does_not_make_a_few_bytes_promise_many_codes() -> None:
    codes = np.zeros(4000, np.uint8)
    codes[9] = 1
    data = RANS.encode(codes)
    assert len(data) < 14
    assert np.array_equal(RANS.decode(Reader(data), codes.shape, np.uint8), codes)
    with pytest.raises(FormatError, match="200000 codes do not fit the 4 bytes left"):
        RANS.decode(Reader(data), (200_000,), np.uint8)
