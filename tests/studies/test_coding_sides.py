"""The coders that laconic study coding compares: each must give the integers back."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from laconic.errors import CodingError, DataError
from laconic.studies import coding_deepcabac as deepcabac
from laconic.studies.coding_deepcabac import DeepCabac, Settings, fitted
from laconic.studies.coding_sides import (
    DEEP_COMPRESSION,
    DEEPCABAC,
    OURS,
    XZ,
    ZSTD,
    narrowest,
    relative,
    sides,
)

GENERATOR = np.random.default_rng(3)


def codes_of(shape, zeros=0.5, most=7):
    """Integers from -most to most; that share of zeros."""
    codes = GENERATOR.integers(-most, most + 1, shape)
    return narrowest(np.where(GENERATOR.random(shape) < zeros, 0, codes))


LAYERS = [
    codes_of((16, 3, 3, 3), zeros=0.9),
    codes_of((10, 40), most=300),
    codes_of((70, 20), zeros=0),
    np.zeros((4, 5), np.int8),
]


@pytest.mark.parametrize("name", sides())
def test_a_side_gives_shapes_dtypes_and_integers_back(name):
    side = sides()[name](LAYERS)
    again = side.decode(side.encode(LAYERS))
    assert [(one.shape, one.dtype) for one in again] == [(one.shape, one.dtype) for one in LAYERS]
    assert all(np.array_equal(*pair) for pair in zip(again, LAYERS, strict=True))


def test_every_coder_of_ours_is_a_side_and_so_are_the_others():
    assert {"huffman", "gap", "raw", OURS, DEEPCABAC, DEEP_COMPRESSION, ZSTD, XZ} <= set(sides())


@pytest.mark.parametrize("name", [ZSTD, XZ])
def test_a_compressor_of_bytes_gets_all_layers_as_one_stream(name):
    twice = [LAYERS[1], LAYERS[1]]
    (once,) = sides()[name](LAYERS[1:2]).encode(LAYERS[1:2])
    (both,) = sides()[name](twice).encode(twice)
    assert len(both) < 1.2 * len(once)


def test_deep_compression_codes_sparse_layers_by_gaps_and_dense_ones_whole():
    sparse, dense = np.zeros((100, 100), np.int8), codes_of((100, 100), zeros=0)
    sparse[::7, ::9] = 3
    side = sides()[DEEP_COMPRESSION]([sparse, dense])
    assert [width > 0 for width in side.widths] == [True, False]


@pytest.mark.parametrize("width", range(2, 9))
def test_a_gap_is_bridged_by_as_many_fillers_as_it_takes(width):
    layer = np.zeros(4 << width, np.int8)
    layer[-1] = 5
    gaps, values = relative(layer, width)
    assert gaps.tolist() == [2**width - 1] * 4
    assert values.tolist() == [0, 0, 0, 5]


def test_the_widest_gap_is_read_back():
    layer = np.zeros((1, 1000), np.int8)
    layer[0, [255, 600]] = 4
    side = sides()[DEEP_COMPRESSION]([layer])
    side.widths = [8]
    assert np.array_equal(side.decode(side.encode([layer]))[0], layer)


def test_codes_are_kept_in_as_few_bytes_as_hold_them():
    limits = {"int8": 127, "int16": 32767, "int32": 2**31 - 1, "int64": 2**63 - 1}
    for dtype, most in limits.items():
        assert narrowest(np.array([-most - 1, most])).dtype == dtype
    with pytest.raises(CodingError, match="18446744073709551615 need more than 64 bits"):
        narrowest(np.array([2**64 - 1], np.uint64))


@pytest.mark.parametrize(
    "codes",
    [
        pytest.param(codes_of((130, 33)), id="several rows of blocks"),
        pytest.param(codes_of((64, 64, 3, 3), most=3), id="one row of blocks"),
        pytest.param(codes_of((300,)), id="a vector"),
        pytest.param(codes_of((300, 1)), id="a column"),
        pytest.param(codes_of((1, 300)), id="a row"),
        pytest.param(np.array([[5]]), id="one code"),
        pytest.param(np.zeros((8, 9), np.int8), id="all zero"),
        pytest.param(codes_of((40, 40), most=20000), id="magnitudes of 15 bits"),
        pytest.param(codes_of((40, 40)) + np.int8(100), id="none is zero"),
        pytest.param(codes_of((40, 40)) - np.int8(100), id="all are negative"),
    ],
)
def test_deepcabac_gives_codes_back(codes):
    coder = fitted(codes)
    again = coder.decode(coder.encode(codes))
    assert again.shape == codes.shape
    assert np.array_equal(again, codes)


@pytest.mark.parametrize("scan", range(len(deepcabac.BLOCK_SIZES)))
@pytest.mark.parametrize("rows", [3, 8, 33, 64, 130])
def test_deepcabac_gives_codes_back_in_every_scan(rows, scan):
    codes = codes_of((rows, 70))
    coder = DeepCabac(Settings(scan=scan), codes.shape, int(codes.min()), int(codes.max()))
    assert np.array_equal(coder.decode(coder.encode(codes)), codes)


def test_the_settings_of_deepcabac_are_the_best_of_those_that_apply():
    codes = codes_of((64, 64, 3, 3), zeros=0.9)
    codes[::2] = 0
    coder = fitted(codes)
    assert coder.settings.skips_rows
    size = len(coder.encode(codes))
    for other in [Settings(), replace(coder.settings, skips_rows=False)]:
        assert size < len(replace(coder, settings=other).encode(codes))


def test_deepcabac_gets_a_zero_point_taken_off():
    codes = codes_of((64, 64), zeros=0.9)
    shifted = (codes.astype(np.int16) + 128).astype(np.uint8)
    coder = fitted(shifted)
    assert coder.centre == 128
    assert len(coder.encode(shifted)) == len(fitted(codes).encode(codes))


def test_settings_by_which_nncodec_loses_the_codes_do_not_count(monkeypatch):
    codes = codes_of((16, 16))
    best = fitted(codes)
    decode = DeepCabac.decode

    def failing(self, data):
        if self == best:
            raise CodingError("nncodec refuses its own bytes")
        return decode(self, data)

    monkeypatch.setattr(DeepCabac, "decode", failing)
    second = fitted(codes)
    assert second != best
    assert np.array_equal(second.decode(second.encode(codes)), codes)


@pytest.mark.parametrize(
    "codes",
    [
        pytest.param(np.array([[2**31]]), id="too large"),
        pytest.param(np.array([[-(2**31)]]), id="too small"),
        pytest.param(np.zeros((0, 3), np.int8), id="nothing"),
    ],
)
def test_deepcabac_refuses_what_is_no_32_bits(codes):
    with pytest.raises(CodingError, match="DeepCABAC takes integers of 32 bits, at least one"):
        fitted(codes)


def test_bytes_that_nncodec_cannot_read_are_an_error():
    codes = codes_of((130, 33))
    coder = fitted(codes)
    with pytest.raises(CodingError, match="nncodec refuses its own bytes"):
        coder.decode(b"\xff" * 40)


def test_without_nncodec_the_command_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "nncodec.extensions", None)
    with pytest.raises(DataError, match=r"run: pip install --no-deps nncodec==2\.1\.3 pybind11"):
        fitted(LAYERS[0])


def test_without_zstandard_the_command_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(DataError, match="run: pip install zstandard"):
        sides()[ZSTD](LAYERS).encode(LAYERS)
