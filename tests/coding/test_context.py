"""The adaptive context coder: what its contexts are worth, and how it sees an array."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from laconic import _native
from laconic.coding import CODERS, IntArray, Reader, entropy_bits, reference
from laconic.coding.context import Context

sys.path.insert(0, str(Path(__file__).parents[1] / "contracts"))
from check_coder import FORMS, check_coder, noise, outcome, running

GENERATOR_SEED = 3


def laplace(shape: tuple[int, ...], scale: float, zeros: float = 0.0) -> IntArray:
    """Codes as trained weights have them: many small ones, some of them pruned."""
    generator = np.random.default_rng(GENERATOR_SEED)
    codes = np.rint(generator.laplace(0, scale, shape)).astype(np.int32)
    codes[generator.random(shape) < zeros] = 0
    return codes


SHAPES = {
    "a vector": (70,),
    "a matrix": (12, 11),
    "one row": (1, 60),
    "one column": (60, 1),
    "3×3 kernels": (6, 4, 3, 3),
    "5×5 kernels": (3, 2, 5, 5),
    "1-D kernels": (6, 5, 4),
    "one row of kernels": (1, 5, 3, 3),
    "depthwise kernels": (9, 1, 3, 3),
    "3-D kernels": (3, 2, 2, 3, 2),
    "kernels of 49 items": (2, 2, 7, 7),
    "kernels too large to be kernels": (2, 2, 8, 7),
}


@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "i8"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_holds_every_geometry(shape: tuple[int, ...], dtype: str) -> None:
    check_coder(Context(), laplace(shape, 6, 0.3).astype(dtype))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_survives_damage_in_every_geometry(shape: tuple[int, ...]) -> None:
    codes = laplace(shape, 3, 0.5).astype(np.int8)
    data = Context().encode(codes)
    for place in range(2, len(data), 3):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        outcome(Context(), bytes(damaged), codes)


def test_random_signs_and_places_cost_little_more_than_their_entropy() -> None:
    codes = laplace((300, 300), 2.0)
    bits = 8 * len(Context().encode(codes))
    assert entropy_bits(codes) < bits < 1.012 * entropy_bits(codes)


@pytest.mark.parametrize("axis", [0, 1], ids=["rows", "columns"])
def test_a_scale_of_their_own_is_seen(axis: int) -> None:
    generator = np.random.default_rng(GENERATOR_SEED)
    scale = np.exp(generator.normal(0, 1.5, 200))
    codes = np.rint(generator.laplace(0, np.expand_dims(scale, 1 - axis), (200, 200)))
    data = Context().encode(codes.astype(np.int32))
    assert 8 * len(data) < 0.88 * entropy_bits(codes.astype(np.int32))


def test_smooth_kernels_are_predicted() -> None:
    generator = np.random.default_rng(GENERATOR_SEED)
    smooth = generator.normal(0, 12, (40, 40, 1, 1)) + generator.normal(0, 3, (40, 40, 3, 3))
    codes = np.rint(smooth).astype(np.int32)
    mixed_up = generator.permutation(codes.reshape(-1)).reshape(codes.shape)
    assert len(Context().encode(codes)) < 0.8 * len(Context().encode(mixed_up))


def test_a_tiny_array_needs_no_table() -> None:
    codes = laplace((8, 8), 0.4).astype(np.int8)
    assert len(Context().encode(codes)) <= min(
        len(CODERS[name].encode(codes)) for name in ("huffman", "rans", "gap", "fixed")
    )


def test_unsigned_items_are_coded_around_the_most_frequent_one() -> None:
    exponents = (120 + laplace((400, 50), 1.2)).astype(np.uint8)
    assert 8 * len(Context().encode(exponents)) < 1.02 * entropy_bits(exponents)


def test_equal_items_take_three_bytes() -> None:
    assert Context().encode(np.full((50, 50), -200, np.int16)).hex() == "8f0300"


def test_the_quotients_of_the_learning_rate_are_exact_in_single_precision() -> None:
    divisors = 2 * np.arange(reference.MOST_SEEN + 1) + 3
    in_single = (np.float32(8192) / divisors.astype(np.float32)).astype(np.int32)
    assert np.array_equal(in_single, 8192 // divisors)  # native/coding/context_avx2.h divides so


@pytest.mark.parametrize("form", FORMS)
def test_refuses_a_geometry_that_does_not_divide(form: str) -> None:
    items, out = np.zeros(12, np.uint8), np.zeros(40, np.uint8)
    with running(form):
        kernels = {"native": _native, "portable": _native, "reference": reference}[form]
        for geometry, message in {
            (12, 50, 1): "a kernel has from 1 to 49 items",
            (12, 4, 3): "the width does not divide the kernel",
            (10, 4, 2): "the kernel does not divide a row",
            (8, 4, 2): "the rows do not fill the array",
        }.items():
            with pytest.raises(ValueError, match=message):
                kernels.context_encode(items, *geometry, 0, 3, out)
        with pytest.raises(ValueError, match="an exponent is too large"):
            kernels.context_decode(out, 12, 4, 2, 0, 8, items)


def test_asks_for_room_where_the_items_take_more_than_raw() -> None:
    codes = (noise(400, 256) - 128).astype(np.int8)
    items, out = codes.view(np.uint8), np.zeros(200, np.uint8)
    assert _native.context_encode(items, 400, 1, 1, 0, 7, out) == -1
    assert np.array_equal(
        Context().decode(Reader(Context().encode(codes)), codes.shape, codes.dtype), codes
    )
