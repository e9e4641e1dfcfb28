"""Structure in values: found when it is there, exact to the bit, the fewest bytes of all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from laconic.container import DTYPES, codebook, plain, to_bits
from laconic.pack import structured
from laconic.pack.structure import find_uniform


def packed(values):
    return structured("w", to_bits(values), "F32")


@given(
    st.sampled_from(sorted(DTYPES)),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6),
    st.data(),
)
def test_any_bits_are_kept(dtype, shape, data):
    width = DTYPES[dtype].bits
    few = st.sampled_from([0, 1, 2 ** (8 * width.itemsize - 1)])
    elements = data.draw(st.sampled_from([few, st.integers(0, 2 ** (8 * width.itemsize) - 1)]))
    bits = data.draw(arrays.arrays(width, shape, elements=elements))
    stored = structured("w", bits, dtype)
    np.testing.assert_array_equal(stored.bits, bits)
    assert (stored.dtype, stored.shape) == (dtype, shape)


@given(
    st.floats(2.0**-20, 2.0**20, width=32),
    st.integers(2, 12),
    st.integers(0, 2**32 - 1),
)
def test_a_uniform_grid_is_found(scale, width, seed):
    """Bits of the codes from 2 to 12, and any scale."""
    rng = np.random.default_rng(seed)
    limit = 2 ** (width - 1) - 1
    codes = rng.integers(-limit, limit + 1, (50, 40))
    codes[0, :3] = 0, 1, -limit
    values = codes.astype("f4") * np.float32(scale)
    found = find_uniform("w", values)
    assert found is not None
    assert found.tables["axis"] == -1
    np.testing.assert_array_equal(found.bits, to_bits(values + np.float32(0)))


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("width", [2, 4, 8])
def test_a_scale_for_each_channel_is_found(axis, width):
    rng = np.random.default_rng(width)
    limit = 2 ** (width - 1) - 1
    codes = rng.integers(-limit, limit + 1, (6, 50, 7))
    scales = rng.uniform(0.01, 0.1, codes.shape[axis]).astype("f4")
    values = codes.astype("f4") * scales.reshape([-1 if i == axis else 1 for i in range(3)])
    stored = packed(values)
    assert stored.grid == "uniform"
    assert stored.tables["axis"] == axis
    np.testing.assert_array_equal(stored.values, values)


def test_an_affine_grid_is_uniform_from_its_zero_point():
    codes = np.random.default_rng(0).integers(0, 256, (40, 60))
    values = (codes - 117).astype("f4") * np.float32(0.0371)
    assert packed(values).grid == "uniform"


@pytest.mark.parametrize(
    "change",
    [
        lambda values: np.nextafter(values, np.float32(9)),
        lambda values: np.where(np.arange(values.size) == 77, np.float32(0.0123), values),
        lambda values: np.where(np.arange(values.size) == 77, np.float32(np.nan), values),
        lambda values: np.where(np.arange(values.size) == 77, np.float32(-0.0), values),
    ],
    ids=["every value one ulp off", "one value off", "a NaN", "a minus zero"],
)
def test_what_is_almost_uniform_is_not(change):
    codes = np.random.default_rng(0).integers(-7, 8, 3000)
    values = change(codes.astype("f4") * np.float32(0.1))
    assert find_uniform("w", values) is None
    np.testing.assert_array_equal(packed(values).bits, to_bits(values))


def test_dense_values_stay_plain():
    values = np.random.default_rng(0).standard_normal((300, 300)).astype("f4")
    assert packed(values).grid == "plain"


def test_the_form_with_the_fewest_bytes_is_taken():
    rng = np.random.default_rng(0)
    values = rng.choice(np.float32([0, 0, 0, 0.3, -1.7, 2.9]), (64, 64))
    bits = to_bits(values)
    sizes = [len(form("w", bits, "F32").payload) for form in (plain, codebook)]
    assert len(structured("w", bits, "F32").payload) <= min(sizes)


@pytest.mark.parametrize(
    "values", [np.float32(3.5), np.zeros((0, 4), "f4"), np.zeros((9, 9), "f4")]
)
def test_a_scalar_nothing_and_all_zeros_are_kept(values):
    values = np.asarray(values)
    stored = packed(values)
    assert stored.shape == values.shape
    np.testing.assert_array_equal(stored.values, values)
