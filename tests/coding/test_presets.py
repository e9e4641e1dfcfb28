"""Presets: the fewest bytes of the coders that are fast enough, parts and blocks too."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from laconic import coding
from laconic.coding import (
    CODERS,
    PRESETS,
    Coder,
    IntArray,
    Reader,
    Speed,
    chosen,
    coder_of,
    decode,
    encode,
)  # fmt: skip
from laconic.coding.blocks import read_table
from laconic.errors import UsageError

sys.path.insert(0, str(Path(__file__).parents[1] / "contracts"))
from check_coder import cases

CASES = cases()
LARGE = 3000 * 400


def large(values: IntArray) -> IntArray:
    return np.resize(values.reshape(-1), (3000, 400))


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> list[Coder]:
    """The coders that decoding used, parts too."""
    used: list[Coder] = []

    def watching(coder: Coder) -> None:
        real = type(coder).decode

        def decode(self: Coder, *arguments: object) -> IntArray:
            used.append(self)
            return real(self, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(type(coder), "decode", decode)

    for coder in CODERS.values():
        watching(coder)
    return used


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("case", CASES)
def test_a_preset_uses_coders_of_its_speed_alone(
    preset: str, case: str, decoders: list[Coder]
) -> None:
    codes = CASES[case]
    data = b"".join(chosen(codes, preset))
    assert np.array_equal(decode(data, codes.shape, codes.dtype), codes)
    assert decoders
    assert min(coder.decode_speed for coder in decoders) >= PRESETS[preset]


@pytest.mark.parametrize("case", CASES)
def test_a_slower_preset_makes_no_more_bytes(case: str) -> None:
    sizes = [len(b"".join(chosen(CASES[case], preset))) for preset in PRESETS]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("case", ["all zero", "a likely symbol", "many symbols", "float32 bits"])
def test_no_coder_that_was_left_out_makes_fewer_bytes_of_a_large_array(case: str) -> None:
    codes = np.resize(CASES[case].reshape(-1), (80, 100))
    many = np.unique(codes).size > 4096  # rans refuses them
    best = min(len(encode(codes, name)) for name in CODERS if not (many and name == "rans"))
    assert len(coding.smallest(codes)) == best


@pytest.mark.parametrize("preset", PRESETS)
def test_a_large_array_is_cut_into_blocks(preset: str) -> None:
    codes = large(CASES["few non-zeros"])
    pieces = chosen(codes, preset)
    data = b"".join(pieces)
    assert coder_of(data) == "blocks"
    assert len(pieces) == 1 + 1 + 2  # number, table, blocks
    assert np.array_equal(decode(data, codes.shape, codes.dtype), codes)


def test_what_no_block_gains_on_stays_raw() -> None:
    noise = np.random.default_rng(0).integers(0, 256, LARGE).astype(np.uint8)
    assert coder_of(b"".join(chosen(noise, "fastest"))) == "raw"


def test_blocks_choose_for_themselves() -> None:
    codes = np.zeros((2, 1 << 20), np.uint8)
    codes[1] = np.random.default_rng(0).integers(0, 256, 1 << 20)
    _, table = read_table(Reader(b"".join(chosen(codes, "fastest"))[1:]), codes.shape)
    assert [int(length) for length in table["length"]] == [2, 1 + (1 << 20)]


def test_an_unknown_preset_lists_those_that_exist() -> None:
    with pytest.raises(UsageError, match="no coding is called 'tiny'; there are: smallest, bal"):
        chosen(np.zeros(3, np.int8), "tiny")
    with pytest.raises(UsageError, match="no coding is called 'tiny'"):
        chosen(np.zeros(1 << 21, np.int8), "tiny")


def test_every_preset_has_coders_for_every_array() -> None:
    for least in Speed:
        names = [name for name, coder in CODERS.items() if coder.decode_speed >= least]
        assert "raw" in names
