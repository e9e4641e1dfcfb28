"""Every coder of `CODERS`, in both forms of the inner loops, over every kind of array."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from laconic.coding import CODERS, IntArray, Reader, decode, encode, entropy_bits, smallest
from laconic.errors import CodingError, FormatError, UsageError

sys.path.insert(0, str(Path(__file__).parent))
from check_coder import FORMS, LONG, cases, check_coder, check_damage, running, small_cases

GOLDEN = Path(__file__).parents[1] / "golden" / "coders.txt"
every_coder = pytest.mark.parametrize("name", CODERS)
CASES, SMALL = cases(), small_cases()
REFUSED = {"rans": ["float32 bits", "float16 bits"]}
"""Coder → cases with more distinct values than it holds."""

few_values = st.sampled_from([0, 0, 0, 0, 1, 2, 100])
any_array = hnp.arrays(
    st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int64, np.uint64]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=12),
)
sparse_array = hnp.arrays(
    st.sampled_from([np.uint8, np.int32]),
    hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=40),
    elements=few_values,
)


@every_coder
@pytest.mark.parametrize("case", CASES)
def test_holds(name: str, case: str) -> None:
    if case in REFUSED.get(name, ()):
        for form in FORMS:
            with running(form), pytest.raises(CodingError, match="distinct values"):
                CODERS[name].encode(CASES[case])
    else:
        check_coder(CODERS[name], CASES[case])


@every_coder
@settings(max_examples=40, deadline=None)
@given(codes=any_array | sparse_array)
def test_holds_arrays_that_nobody_thought_of(name: str, codes: IntArray) -> None:
    check_coder(CODERS[name], codes)


@every_coder
@pytest.mark.parametrize("case", SMALL)
def test_refuses_or_survives_every_cut_and_every_flipped_bit_of(name: str, case: str) -> None:
    check_damage(CODERS[name], SMALL[case])


@every_coder
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=40), count=st.integers(0, 70))
def test_refuses_or_survives_any_bytes(name: str, data: bytes, count: int) -> None:
    for form in FORMS:
        with running(form):
            try:
                decoded = CODERS[name].decode(Reader(data), (count,), np.int16)
            except FormatError:
                continue
            assert decoded.shape == (count,)


@every_coder
def test_refuses_a_shape_that_no_bytes_pay_for(name: str) -> None:
    data = CODERS[name].encode(np.arange(5, dtype=np.uint8))
    with pytest.raises(FormatError):
        CODERS[name].decode(Reader(data), (1 << 62,), np.uint8)


@every_coder
def test_refuses_what_is_no_integer(name: str) -> None:
    with pytest.raises(UsageError, match=r"takes integers, not float32.*view\('u4'\)"):
        CODERS[name].encode(np.zeros(3, np.float32))  # type: ignore[arg-type]


@every_coder
def test_is_described_under_its_name_and_number(name: str) -> None:
    spec = (Path(__file__).parents[2] / "spec" / "coders.md").read_text(encoding="utf-8")
    assert f"## {CODERS[name].number} `{name}`" in spec


@pytest.mark.parametrize("case", CASES)
def test_smallest_keeps_the_fewest_bytes_of_all_coders(case: str) -> None:
    codes = CASES[case]
    for form in ("native", "reference") if codes.size <= LONG else ("native",):
        with running(form):
            data = smallest(codes)
            held = [name for name in CODERS if case not in REFUSED.get(name, ())]
            assert len(data) == min(len(encode(codes, name)) for name in held)
            assert np.array_equal(decode(data, codes.shape, codes.dtype), codes)


@pytest.mark.parametrize("case", CASES)
def test_huffman_stays_within_a_bit_an_item_of_the_entropy(case: str) -> None:
    codes = CASES[case]
    if codes.size == 0:
        return
    symbols = np.unique(codes)
    # spec/coders.md: at most 16 bytes, 5 bits a length, and the width of the largest step.
    step = max((int(b) - int(a) for a, b in itertools.pairwise(symbols)), default=1)
    table = 16 + symbols.size * (5 + (step - 1).bit_length()) / 8
    payload_bits = 8 * (len(CODERS["huffman"].encode(codes)) - table)
    assert payload_bits <= entropy_bits(codes) + codes.size


@pytest.mark.parametrize("case", CASES)
def test_planes_are_at_most_two_bytes_longer_than_raw(case: str) -> None:
    assert len(CODERS["planes"].encode(CASES[case])) <= len(CODERS["raw"].encode(CASES[case])) + 2


@pytest.mark.parametrize("case", CASES)
def test_rans_stays_within_its_bound_of_the_entropy(case: str) -> None:
    codes = CASES[case]
    symbols = np.unique(codes)
    if codes.size == 0 or symbols.size > 4096:
        return
    # spec/coders.md: frequencies and the rounding of states cost 1 % where no symbol is rarer than
    # a 4096th; a table as Huffman's, but for 14 bits a frequency at most; 4 bytes a state.
    step = max((int(b) - int(a) for a, b in itertools.pairwise(symbols)), default=1)
    table = 16 + symbols.size * (14 + (step - 1).bit_length()) / 8
    _, counts = np.unique(codes, return_counts=True)
    rare = np.maximum(0, np.log2(codes.size / counts) - 11) @ counts
    payload_bits = 8 * (len(CODERS["rans"].encode(codes)) - table - 4 * 32)
    assert payload_bits <= 1.01 * entropy_bits(codes) + rare


def test_golden_bytes_are_still_written_and_read() -> None:
    lines = GOLDEN.read_text(encoding="ascii").splitlines()  # scripts/golden.py writes it
    stored = {(coder, case): bytes.fromhex(data) for coder, case, data in map(str.split, lines)}
    assert set(stored) == {(coder, case.replace(" ", "_")) for coder in CODERS for case in SMALL}
    for (coder, case), data in stored.items():
        codes = SMALL[case.replace("_", " ")]
        assert CODERS[coder].encode(codes) == data, (coder, case)
        decoded = CODERS[coder].decode(Reader(data), codes.shape, codes.dtype)
        assert np.array_equal(decoded, codes), (coder, case)
