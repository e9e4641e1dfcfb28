"""What raw, fixed, bitmap and planes refuse, and where they say it is."""

from __future__ import annotations

import lzma
from collections.abc import Callable

import numpy as np
import pytest

from laconic.coding import CODERS, Reader, Speed, encode
from laconic.coding.planes import PLANE_CODERS
from laconic.errors import FormatError


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("raw", "010203", "offset 0: raw items take 4 bytes, 3 are there"),
        ("fixed", "020a3400", "offset 2: 4 codes of 2 bits take 1 bytes, 2 are there"),
        ("fixed", "090a", "offset 1: 9 bits a code do not fit uint8"),
        ("fixed", "0209", "offset 2: values from -5 to -5 do not fit uint8"),
        ("fixed", "02fc03ff", "offset 4: values from 254 to 257 do not fit uint8"),
        ("fixed", "028a00ff", "offset 3: a number is not in its shortest form"),
        ("fixed", "02" + "ff" * 10, "offset 11: a number is longer than 10 bytes"),
        ("fixed", "0302ff1f", "offset 3: the packed codes .* spare bits are not 0"),
        ("bitmap", "1a01000a", "offset 0: the bitmap .* spare bits are not 0"),
        ("bitmap", "0a00050505", "offset 2: a part is coded by coder 0; possible"),
        ("bitmap", "0a04000a", "offset 2: a part is coded by coder 4; possible are 1, 2, 5"),
        ("planes", "04", "offset 1: a number is 4; at most 3 is possible here"),
        ("planes", "0209", "offset 2: a number is 9; at most 1 is possible here"),
        ("planes", "020101", "offset 2: a plane is coded by coder 1; possible are 2, "),
        ("planes", "0200", "offset 2: 1 bytes were promised, 0 are left"),
        ("planes", "00010203", "offset 1: 4 bytes were promised, 3 are left"),
        ("planes", "0001020304ff", "offset 5: 1 bytes are left over"),
        ("planes", "02020200", "offset 4: a table of no symbols"),
    ],
)
def test_refuses(name: str, data: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        CODERS[name].decode(Reader(bytes.fromhex(data)), (4,), np.uint8)


@pytest.mark.parametrize("name", CODERS)
def test_an_empty_array_takes_no_bytes_and_is_refused_with_some(name: str) -> None:
    assert CODERS[name].encode(np.zeros((2, 0), np.int16)) == b""
    with pytest.raises(FormatError, match=r"offset 0: .*1 (bytes )?are (left over|there)"):
        CODERS[name].decode(Reader(b"\0"), (2, 0), np.int16)


def test_what_no_memory_holds_is_refused() -> None:
    one_symbol = Reader(encode(np.full(3, 9, np.int64), "fixed")[1:])
    with pytest.raises(FormatError, match=f"{1 << 60} items of int64 do not fit memory"):
        CODERS["fixed"].decode(one_symbol, (1 << 60,), np.int64)


def test_a_plane_of_noise_stays_as_it_is_and_a_plane_of_exponents_shrinks() -> None:
    weights = np.random.default_rng(0).normal(0, 0.05, 10_000).astype(np.float32)
    data = CODERS["planes"].encode(weights.view(np.uint32))
    assert data[0] == 0b1000 << 1 | 1  # plane 3 alone, of items that were turned
    assert 0.82 < len(data) / weights.nbytes < 0.84


FLOATS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "float16": lambda weights: weights.astype(np.float16).view(np.uint16),
    "bfloat16": lambda weights: (weights.view(np.uint32) >> 16).astype(np.uint16),
    "float32": lambda weights: weights.view(np.uint32),
    "float64": lambda weights: (weights * np.float64(np.pi)).view(np.uint64),
}


@pytest.mark.parametrize("kind", FLOATS)
def test_floats_take_fewer_bytes_than_by_xz(kind: str) -> None:
    weights = np.random.default_rng(0).standard_t(4, (100, 100)).astype(np.float32) / 16
    items = FLOATS[kind](weights)
    data = CODERS["planes"].encode(items)
    if kind != "float64":  # whose exponent fills no byte either way
        assert data[0] & 1, "the sign was left at the top"
    assert len(data) < 0.96 * len(lzma.compress(items.tobytes(), preset=9))
    assert np.array_equal(CODERS["planes"].decode(Reader(data), (100, 100), items.dtype), items)


@pytest.mark.parametrize("slowest", Speed)
def test_planes_are_coded_by_coders_that_are_fast_enough(slowest: Speed) -> None:
    planes = CODERS["planes"].with_parts(slowest)
    weights = np.random.default_rng(0).normal(0, 0.05, 3000).astype(np.float32).view(np.uint32)
    data = planes.encode(weights)
    used = {coder.number: coder.decode_speed for coder in PLANE_CODERS}
    place = 1 + 3 * weights.size + 2  # the head, three planes of noise, the size of the exponents
    assert used[data[place]] >= slowest
    assert np.array_equal(planes.decode(Reader(data), weights.shape, weights.dtype), weights)


def test_a_large_plane_with_structure_is_worth_a_slow_coder() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((300, 300)) * np.exp2(rng.integers(-20, 20, (300, 1)))
    items = rows.astype(np.float32).view(np.uint32)
    fast = CODERS["planes"].with_parts(Speed.FAST).encode(items)
    assert len(CODERS["planes"].encode(items)) < 0.97 * len(fast)
