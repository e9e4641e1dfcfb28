"""Uniform grids are found in values: any tiling, dtype and zero; what is almost one is not."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from laconic.container import to_bits
from laconic.container.grids.uniform_grid import products
from laconic.pack import scales as scales_module
from laconic.pack import uniform_search
from laconic.pack.scales import ANY, ROUNDINGS, roundest, scales_of
from laconic.pack.tilings import as_rows, boxes, tilings
from laconic.pack.uniform_search import find_uniform

DTYPES = {"F32": "u4", "F16": "u2", "BF16": "u2"}


def quantized(codes, scale, tile, dtype="F32", rounding=None):
    """Bits of codes times a scale for each tile."""
    each = scale
    for axis, size in enumerate(tile):
        each = np.repeat(each, size, axis)
    each = each[tuple(slice(size) for size in codes.shape)]
    return products(codes.astype("f4"), each.astype("f4"), dtype, rounding or dtype)


def scales(shape, rng):
    return rng.uniform(0.01, 0.05, shape).astype("f4")


@settings(deadline=None)
@given(
    st.floats(2.0**-20, 2.0**20, width=32),
    st.integers(2, 12),
    st.integers(0, 2**32 - 1),
)
def test_one_scale_is_found(scale, width, seed):
    """Bits of the codes from 2 to 12, and any scale."""
    rng = np.random.default_rng(seed)
    limit = 2 ** (width - 1) - 1
    codes = rng.integers(-limit, limit + 1, (50, 40))
    codes[0, :3] = 0, 1, -limit
    bits = quantized(codes, np.float32([[scale]]), codes.shape)
    found = find_uniform("w", bits, "F32")
    np.testing.assert_array_equal(found.codes, codes)
    assert found.tables["scale"].tolist() == [[scale]]


TILINGS = [
    ((60, 48), (60, 48)),
    ((60, 48), (1, 48)),
    ((60, 48), (60, 1)),
    ((6, 50, 7), (1, 50, 7)),
    ((6, 50, 7), (6, 1, 7)),
    ((6, 50, 7), (6, 50, 1)),
    ((8, 9, 4, 4), (1, 1, 4, 4)),
    ((40, 128), (1, 32)),
    ((40, 256), (1, 64)),
    ((40, 384), (1, 128)),
    ((40, 100), (1, 32)),
    ((128, 40), (32, 1)),
    ((300, 200), (128, 128)),
    ((5, 7, 96), (1, 1, 32)),
    ((1000,), (128,)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "tile"), TILINGS, ids=str)
@pytest.mark.parametrize("width", [2, 4, 8])
def test_a_scale_for_each_tile_is_found(dtype, shape, tile, width):
    rng = np.random.default_rng(width)
    limit = 2 ** (width - 1) - 1
    codes = (
        np.rint(rng.standard_normal(shape) * max(0.8, limit / 3)).clip(-limit, limit).astype(int)
    )
    codes.reshape(-1)[:2] = 1, -limit
    counts = [-(-size // step) for size, step in zip(shape, tile, strict=True)]
    # As toolkits keep them: in the weights' own precision.
    kept = {"F32": 0xFFFFFFFF, "F16": 0xFFFFE000, "BF16": 0xFFFF0000}[dtype]
    scale = (scales(counts, rng).view("u4") & np.uint32(kept)).view("f4")
    bits = quantized(codes, scale, tile, dtype)
    found = find_uniform("w", bits, dtype)
    assert found is not None
    assert found.tables["tile"].tolist() == list(tile)
    assert found.codes.dtype == np.int8
    np.testing.assert_array_equal(found.bits, bits)
    # The same integers, where a tile's have no common divisor.
    assert (found.codes == codes).mean() > 0.8


@pytest.mark.parametrize("rounding", ["F16", "BF16"])
def test_products_in_half_precision_are_found_in_a_float32_tensor(rounding):
    rng = np.random.default_rng(0)
    codes = rng.integers(-100, 101, (30, 64))
    bits = quantized(codes, scales((30, 1), rng), (1, 64), "F32", rounding)
    found = find_uniform("w", bits, "F32")
    assert int(found.tables["rounding"]) == ["F32", "F16", "BF16"].index(rounding)
    np.testing.assert_array_equal(found.bits, bits)


def test_a_scale_that_float32_rounding_pushed_out_of_its_interval_is_found():
    """Rounded twice, a product may be on the other side of a half: about one tile in 10,000."""
    rng = np.random.default_rng(5)
    codes = rng.integers(-128, 128, (6144, 128))
    scale = np.exp(rng.normal(-4, 0.5, (6144, 1))).astype("f4")
    values = (codes.astype("f4") * scale).astype("f2").astype("f4")
    assert scales_of(np.abs(values), ROUNDINGS["F16"]).all()


def test_an_affine_grid_is_uniform_from_its_zero_point():
    codes = np.random.default_rng(0).integers(0, 256, (40, 60)) - 117
    bits = quantized(codes, np.float32([[0.0371]]), codes.shape)
    np.testing.assert_array_equal(find_uniform("w", bits, "F32").codes, codes)


def test_a_negative_scale_gives_its_tile_minus_zeros():
    """As NNCF's symmetric modes have it."""
    rng = np.random.default_rng(0)
    codes = rng.integers(-8, 8, (20, 64))
    scale = scales((20, 1), rng) * np.where(np.arange(20) % 2, -1, 1)[:, None].astype("f4")
    bits = quantized(codes, scale, (1, 64))
    found = find_uniform("w", bits, "F32")
    np.testing.assert_array_equal(found.tables["scale"], scale)
    np.testing.assert_array_equal(found.codes, codes)
    assert not found.tables["minus_zero"]
    np.testing.assert_array_equal(found.bits, bits)


def test_zeros_of_both_signs_are_two_codes():
    """As `round(w / scale) * scale` leaves them."""
    values = np.random.default_rng(0).standard_normal((40, 50)).astype("f4")
    values = np.rint(values * 3) * np.float32(0.1)
    found = find_uniform("w", to_bits(values), "F32")
    assert found.tables["minus_zero"]
    np.testing.assert_array_equal(found.bits, to_bits(values))


def test_a_tile_of_zeros_takes_the_scale_before_it():
    rng = np.random.default_rng(0)
    codes = rng.integers(-7, 8, (6, 32))
    codes[2:4] = 0
    scale = scales((6, 1), rng)
    found = find_uniform("w", quantized(codes, scale, (1, 32)), "F32")
    assert found.tables["scale"][2:4].tolist() == [scale[1].tolist()] * 2


def test_a_common_divisor_goes_into_the_scale():
    factor = np.array([[3], [1], [2], [1], [5], [1]])
    codes = np.random.default_rng(0).integers(-7, 8, (6, 32))
    found = find_uniform(
        "w", quantized(codes * factor, np.full((6, 1), 0.25, "f4"), (1, 32)), "F32"
    )
    np.testing.assert_array_equal(found.codes, codes)
    assert found.tables["scale"].tolist() == (factor / 4).tolist()


def test_channels_whose_codes_are_even_by_chance_get_no_scales():
    codes = np.random.default_rng(0).integers(-7, 8, (8, 200))
    codes[:2] *= 2
    found = find_uniform("w", quantized(codes, np.float32([[0.013]]), codes.shape), "F32")
    np.testing.assert_array_equal(found.codes, codes)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(DTYPES)), st.integers(2, 120), st.integers(-14, 3), st.integers(-2, 2)
)
@example("F16", 66, -14, 0)  # the least is 2**-20: subnormal, no closer to the number below it
@example("F16", 110, -13, 0)  # the least is 19 steps: guesses from it are 3 % away
def test_products_at_and_beside_a_power_of_two_are_found(dtype, code, exponent, ulps):
    """Numbers are closer below a power of two than above it; the least are subnormal in F16."""
    nearest = np.float32(2.0**exponent / code).view("u4").astype(int) + ulps
    scale = np.uint32(nearest).view("f4")
    codes = np.array([[1, code, 3, 17, 19, 58, 59, code - 1, 101, 0]])
    bits = quantized(codes, scale.reshape(1, 1), (1, 10), dtype)
    found = find_uniform("w", bits, dtype)
    np.testing.assert_array_equal(found.bits, bits)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: np.nextafter(values, np.float32(9)),
        lambda values: np.where(np.arange(values.size) == 77, np.float32(0.0123), values),
        lambda values: np.where(np.arange(values.size) == 77, np.float32(np.nan), values),
        lambda values: np.where(np.arange(values.size) == 77, np.float32(np.inf), values),
    ],
    ids=["every value one ulp off", "one value off", "a NaN", "an infinity"],
)
def test_what_is_almost_uniform_is_not(change):
    codes = np.random.default_rng(0).integers(-7, 8, 3000)
    values = change(codes.astype("f4") * np.float32(0.1) + 0)
    assert find_uniform("w", to_bits(values), "F32") is None


def test_noise_is_rejected_by_a_sample(monkeypatch):
    looked_at = []
    real = uniform_search.floats
    monkeypatch.setattr(
        uniform_search,
        "floats",
        lambda bits, dtype: looked_at.append(bits.size) or real(bits, dtype),
    )
    noise = np.random.default_rng(0).standard_normal((1000, 1000)).astype("f4")
    assert find_uniform("w", to_bits(noise), "F32") is None
    assert sum(looked_at) < 5000


def test_zeros_do_not_hide_that_a_row_has_no_scale(monkeypatch):
    """The screen looks at other values; among nine zeros in ten it would let any guess pass."""
    rng = np.random.default_rng(0)
    rows = np.abs(rng.standard_normal((4, 256))).astype("f4")
    rows[rng.random(rows.shape) < 0.9] = 0
    monkeypatch.setattr(scales_module, "_confined", None)
    assert not scales_of(rows, ROUNDINGS["F32"]).any()


def test_a_tile_too_large_for_one_look_is_solved_by_a_growing_sample(monkeypatch):
    monkeypatch.setattr(uniform_search, "LARGE_TILE", 1000)
    monkeypatch.setattr(uniform_search, "LARGE_SAMPLE", 16)
    monkeypatch.setattr(uniform_search, "tilings", lambda shape: [shape])
    codes = 2 * np.random.default_rng(0).integers(-50, 51, (200, 300))
    codes[77, 7:9] = 1, 3  # the only odd ones
    found = find_uniform("w", quantized(codes, np.float32([[0.3]]), codes.shape), "F32")
    np.testing.assert_array_equal(found.codes, codes)


def test_rows_without_a_scale_have_none():
    rows = np.abs(
        np.float32([[1, 2, 3, 0], [0, 0, 0, 0], [1, 2**0.5, 3**0.5, 0], [np.inf, 1, 1, 1]])
    )
    assert [scales_of(row[None], ROUNDINGS["F32"])[0] for row in rows] == [1, ANY, 0, 0]


def test_scales_of_most_trailing_zeros_are_taken():
    low, high = np.array([0.1, 0.1, 1.0]), np.array([0.2, 0.1, 0.5])
    assert roundest(low, high).tolist() == [0.125, 0.0, 0.0]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.data())
def test_boxes_cover_a_tensor_once(shape, data):
    tile = tuple(data.draw(st.integers(1, size)) for size in shape)
    piece = data.draw(st.integers(1, 100))
    seen = np.zeros(shape, int)
    counts = tuple(-(-size // step) for size, step in zip(shape, tile, strict=True))
    entries = np.zeros(counts, int)
    for box, table in boxes(tuple(shape), tile, piece):
        seen[box] += 1
        entries[table] += 1
        assert as_rows(seen[box].astype("f4"), tile).shape[0] == entries[table].size
    assert (seen == 1).all()
    assert (entries == 1).all()


def test_tilings_of_the_fewest_scales_come_first():
    found = tilings((512, 512))
    assert found[0] == (512, 512)
    assert {(1, 512), (512, 1), (128, 128), (1, 32), (32, 1)} <= set(found)
    assert tilings(()) == [()]
    assert tilings((3,)) == [(3,)]


def test_codes_that_do_not_give_every_bit_back_are_not_taken(monkeypatch):
    codes = np.random.default_rng(0).integers(-7, 8, (40, 30))
    bits = quantized(codes, np.float32([[0.3]]), codes.shape)
    right = uniform_search.codes_of
    monkeypatch.setattr(uniform_search, "codes_of", lambda *of: (right(*of)[0] * 2, right(*of)[1]))
    assert find_uniform("w", bits, "F32") is None


def test_no_more_scales_are_looked_for_than_a_file_holds(monkeypatch):
    codes = np.random.default_rng(0).integers(-7, 8, (40, 30))
    bits = quantized(codes, scales((40, 1), np.random.default_rng(1)), (1, 30))
    assert find_uniform("w", bits, "F32").tables["tile"].tolist() == [1, 30]
    monkeypatch.setattr(uniform_search, "MAX_NUMBERS", 39)
    assert find_uniform("w", bits, "F32") is None
