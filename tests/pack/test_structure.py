"""Structure in values: found when it is there, exact to the bit, the fewest bytes of all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from laconic.coding import entropy_bits
from laconic.container import DTYPES, codebook, plain, to_bits
from laconic.pack import structure, structured


def packed(values):
    return structured("w", to_bits(values), "F32")


@settings(deadline=None)
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


SPECIAL = {
    "infinity": np.float32(np.inf),
    "a quiet NaN": np.uint32(0x7FC00000).view("f4"),
    "a signalling NaN with a payload": np.uint32(0xFFA00123).view("f4"),
    "minus zero": np.float32(-0.0),
    "a subnormal": np.uint32(1).view("f4"),
    "the largest float": np.finfo("f4").max,
}


@pytest.mark.parametrize("value", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.parametrize("shape", [(1,), (1, 1), (40, 40)], ids=str)
def test_special_values_come_back_bit_for_bit(value, shape):
    values = np.ones(shape, "f4")
    values.reshape(-1)[-1] = value
    np.testing.assert_array_equal(packed(values).bits, to_bits(values))


def test_dense_values_stay_plain():
    values = np.random.default_rng(0).standard_normal((300, 300)).astype("f4")
    assert packed(values).grid == "plain"


def test_the_form_with_the_fewest_bytes_is_taken():
    rng = np.random.default_rng(0)
    values = rng.choice(np.float32([0, 0, 0, 0.3, -1.7, 2.9]), (64, 64))
    bits = to_bits(values)
    sizes = [form("w", bits, "F32").payload_bytes for form in (plain, codebook)]
    assert structured("w", bits, "F32").payload_bytes <= min(sizes)


@pytest.mark.parametrize(
    "values", [np.float32(3.5), np.zeros((0, 4), "f4"), np.zeros((9, 9), "f4")]
)
def test_a_scalar_nothing_and_all_zeros_are_kept(values):
    values = np.asarray(values)
    stored = packed(values)
    assert stored.shape == values.shape
    np.testing.assert_array_equal(stored.values, values)


def test_few_values_in_each_channel_get_a_table_each():
    rng = np.random.default_rng(0)
    tables = rng.standard_normal((32, 8)).astype("f4")
    codes = rng.integers(0, 8, (32, 400))
    stored = packed(np.take_along_axis(tables, codes, 1))
    assert stored.grid == "codebooks"
    assert stored.tables["tile"].tolist() == [1, 400]
    assert stored.payload_bytes < 32 * 400 * 4 / 8


def test_few_values_in_each_column_get_a_table_each():
    rng = np.random.default_rng(0)
    tables = rng.standard_normal((8, 32)).astype("f4")
    codes = rng.integers(0, 8, (400, 32))
    stored = packed(np.take_along_axis(tables, codes, 0))
    assert (stored.grid, stored.tables["tile"].tolist()) == ("codebooks", [400, 1])


@pytest.mark.parametrize("inner", ["plain", "uniform"])
def test_repeated_rows_are_stored_once(inner):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20, 64)).astype("f4")
    if inner == "uniform":
        rows = np.rint(rows * 50).astype("f4") * np.float32(0.1) + 0
    values = rows[rng.integers(0, 20, 300)]
    stored = packed(values)
    assert (stored.grid, stored.rows.grid) == ("rows", inner)
    np.testing.assert_array_equal(stored.bits, to_bits(values))
    assert stored.payload_bytes < packed(rows).payload_bytes + 300 * 5 / 8 + 40


def test_rows_of_one_value_are_no_table_of_values():
    values = np.repeat(np.random.default_rng(0).standard_normal((64, 1)).astype("f4"), 100, 1)
    stored = packed(values)
    assert stored.payload_bytes < 64 * 4 + 64
    np.testing.assert_array_equal(stored.bits, to_bits(values))


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.99])
def test_zeros_among_dense_values_cost_little(sparsity):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((200, 300)).astype("f4")
    mask = rng.random(values.shape) < sparsity
    values[mask] = 0
    nonzeros = int((~mask).sum())
    bound = entropy_bits(mask.astype("u1")) / 8 + nonzeros * 3.6
    assert packed(values).payload_bytes < 1.02 * bound + 64


def test_large_tensors_are_compared_by_a_part_of_their_codes(monkeypatch):
    monkeypatch.setattr(structure, "LARGE", 2**14)
    monkeypatch.setattr(structure, "PART", 2**12)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((300, 300)).astype("f4")
    scale = rng.uniform(0.01, 0.02, (300, 1)).astype("f4")
    assert packed(noise).grid == "plain"
    assert packed(np.rint(noise * 30) * scale + 0).grid == "uniform"
    assert packed(np.rint(noise) * scale[0] + 0).grid == "uniform"
    assert packed(np.exp(np.rint(noise))).grid == "codebook"


def test_detection_takes_little_memory():
    """Beyond the tensor: codes of a byte, and pieces of a fixed size."""
    import tracemalloc

    rng = np.random.default_rng(0)
    codes = rng.integers(-7, 8, (2048, 4096)).astype("f4")
    values = (codes.reshape(-1, 64) * rng.uniform(1, 2, (131072, 1)).astype("f4")).reshape(2048, -1)
    tracemalloc.start()
    found = structure.find_uniform("w", to_bits(values), "F32")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.tables["tile"].tolist() == [1, 64]
    assert peak < 0.25 * values.nbytes + 2**25


def test_values_that_all_differ_get_no_table_whatever_the_zeros():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((200, 200)).astype("f4")
    values[rng.random(values.shape) < 0.9] = 0
    assert [form.grid for form in structure._forms("w", to_bits(values), "F32")] == ["plain"]


def test_rows_that_a_sample_takes_for_the_same_are_compared_whole():
    values = np.zeros((2000, 64), "f4")
    values[:, 1] = np.arange(2000)  # in a column that is not in the sample
    assert structure._with_repeated_rows("w", to_bits(values), "F32") == []
    values[:, 1] //= 2
    found = structure._with_repeated_rows("w", to_bits(values), "F32")
    assert {form.grid for form in found} == {"rows"}
