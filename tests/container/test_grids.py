"""Grids give values to any run of codes, and their tables come back from a few bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from laconic.coding.reader import Reader, varint
from laconic.container import DTYPES, GRIDS, codebook, codebooks, plain, rows, to_bits, uniform
from laconic.container.grids import head, read_head
from laconic.container.grids import row_index as row_indices
from laconic.container.grids.entries import MAX_ENTRIES, read_entries, write_entries
from laconic.container.grids.numbers import MAX_NUMBERS, read_numbers, write_numbers
from laconic.container.grids.row_index import read_index, row_index, spread_rows, write_index
from laconic.container.grids.tiles import along, per_item, read_tile, tile_counts, write_tile
from laconic.errors import FormatError, UsageError

RNG = np.random.default_rng(0)
CODES = RNG.integers(-3, 4, (5, 6, 7))
SCALES = RNG.uniform(0.1, 1, 1000).astype("f4")


def tiled(tile, **more):
    count = int(np.prod(tile_counts(CODES.shape, tile)))
    return uniform("w", CODES, SCALES[:count], tile=tile, **more)


TENSORS = {
    "plain": plain("w", to_bits(CODES.astype("f4")), "F32"),
    "plain integers": plain("w", CODES.astype("i2").view("u2"), "I16"),
    "codebook": codebook("w", to_bits(CODES.astype("f4")), "F32"),
    "codebooks of channels": codebooks("w", to_bits(CODES.astype("f4")), "F32", (1, 6, 7)),
    "codebooks of tiles": codebooks("w", to_bits(CODES.astype("f4")), "F32", (2, 5, 3)),
    "one scale": tiled((5, 6, 7)),
    "a scale for each index of axis 0": tiled((1, 6, 7)),
    "a scale for each index of axis 1": tiled((5, 1, 7)),
    "a scale for each index of axis 2": tiled((5, 6, 1)),
    "groups along the last axis": tiled((1, 1, 3)),
    "blocks": tiled((2, 4, 3)),
    "a scale for each value": tiled((1, 1, 1)),
    "products in half precision": tiled((1, 6, 7), rounding="F16"),
    "products in bfloat16": tiled((1, 6, 7), rounding="BF16"),
    "float16": tiled((1, 6, 7), dtype="F16"),
    "bfloat16": tiled((1, 6, 7), dtype="BF16"),
    "minus zeros": tiled((1, 6, 7), minus_zero=True),
}


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
@pytest.mark.parametrize(("start", "stop"), [(0, 210), (0, 1), (41, 43), (13, 209), (210, 210)])
def test_a_run_of_codes_has_the_values_that_stand_there(tensor, start, stop):
    run = np.ascontiguousarray(tensor.codes).reshape(-1)[start:stop]
    grid = GRIDS[tensor.grid]
    found = grid.values(run, tensor.tables, tensor.dtype, tensor.shape, start)
    np.testing.assert_array_equal(found, tensor.bits.reshape(-1)[start:stop])


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_tables_come_back(tensor):
    written, _ = head(tensor)
    reader = Reader(written)
    found = read_head(reader, "w", tensor.dtype, tensor.shape)
    reader.end()
    assert found.grid.name == tensor.grid
    assert found.grid.code_dtype(tensor.dtype, found.tables) == tensor.codes.dtype
    found.grid.check(reader, tensor.codes, found.tables, tensor.shape)
    for name, table in tensor.tables.items():
        np.testing.assert_array_equal(found.tables[name], table)
    values = found.grid.values(tensor.codes, found.tables, tensor.dtype, tensor.shape)
    np.testing.assert_array_equal(values, tensor.bits)


@pytest.mark.parametrize(
    ("dtype", "rounding", "expected"),
    [
        ("F32", "F32", np.float32(3) * np.float32(0.1)),
        ("F32", "F16", np.float32(np.float16(np.float32(3) * np.float32(0.1)))),
        ("F32", "BF16", np.float32(0.30078125)),
        ("F16", None, np.float16(np.float32(3) * np.float32(0.1))),
    ],
)
def test_products_are_rounded_once_to_float32_and_then_as_the_form_says(dtype, rounding, expected):
    found = uniform("w", np.array([3]), np.float32([0.1]), dtype=dtype, rounding=rounding)
    assert found.values.dtype == expected.dtype
    assert found.values[0] == expected


def test_bfloat16_products_are_rounded_to_the_nearest_and_ties_to_even():
    torch = pytest.importorskip("torch")
    codes = np.arange(-(2**15), 2**15)
    scale = np.float32([0.0123])
    found = uniform("w", codes, scale, dtype="BF16").bits
    expected = torch.from_numpy(codes.astype("f4") * scale).bfloat16().view(torch.int16).numpy()
    np.testing.assert_array_equal(found, expected.view("u2"))


@pytest.mark.parametrize(("low", "high", "size"), [(-128, 127, 1), (-129, 0, 2), (0, 32768, 4)])
def test_codes_are_as_narrow_as_they_can_be(low, high, size):
    assert uniform("w", np.array([low, high]), np.float32([1])).codes.itemsize == size


def test_minus_zero_has_a_code_of_its_own():
    found = uniform("w", np.array([-2, -1, 0, 1]), np.float32([0.5]), minus_zero=True)
    np.testing.assert_array_equal(found.bits, to_bits(np.float32([-0.5, -0.0, 0, 0.5])))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": np.float32([1, 2])}, "2 scales for [1, 1] tiles of [2, 2]"),
        ({"scale": np.float32([0])}, "a scale is not finite, or 0"),
        ({"scale": np.float32([np.inf])}, "a scale is not finite, or 0"),
    ],
)
def test_scales_that_do_not_fit_are_wrong_use(arguments, message):
    with pytest.raises(UsageError) as caught:
        uniform("w", np.zeros((2, 2), int), **arguments)
    assert str(caught.value) == f"w: {message}"


def test_more_tiles_than_a_file_holds_codebooks_for_are_wrong_use():
    with pytest.raises(UsageError, match="too many for a codebook each"):
        codebooks("w", np.zeros((2**17, 1), "u4"), "F32", (1, 1))


@given(
    st.sampled_from(sorted(DTYPES)),
    st.lists(st.integers(0, 5), min_size=1, max_size=4),
    st.data(),
)
def test_entries_come_back(dtype, sizes, data):
    """The values that several codebooks have, whatever they are, in ascending order."""
    width = DTYPES[dtype].bits
    pattern = arrays.arrays(width, (max(sizes), len(sizes)), unique=True)
    bits = data.draw(pattern)
    tensors = [codebook("w", bits[:size, i], dtype) for i, size in enumerate(sizes)]
    below = np.array([tensor.tables["below"].size for tensor in tensors])
    above = np.array([tensor.tables["above"].size for tensor in tensors])
    sides = [tensor.tables[side] for tensor in tensors for side in ("below", "above")]
    entries = np.concatenate(sides)
    reader = Reader(write_entries(entries, below, above, dtype))
    np.testing.assert_array_equal(read_entries(reader, below, above, dtype), entries)
    reader.end()


def test_the_entries_of_a_trained_codebook_take_less_than_three_bytes_each():
    values = np.random.default_rng(0).standard_normal(256).astype("f4") * np.float32(0.02)
    tables, _ = head(codebook("w", to_bits(values), "F32"))
    assert len(tables) < 2.9 * 256


@given(arrays.arrays(np.uint32, arrays.array_shapes(max_dims=2)))
def test_numbers_come_back(numbers):
    reader = Reader(write_numbers(numbers))
    np.testing.assert_array_equal(read_numbers(reader, numbers.shape, np.uint32), numbers)
    reader.end()


@given(st.lists(st.integers(1, 6), max_size=3), st.data())
def test_every_item_has_the_entry_of_its_tile(shape, data):
    tile = tuple(data.draw(st.integers(1, size)) for size in shape)
    shape = tuple(shape)
    reader = Reader(write_tile(shape, tile))
    assert read_tile(reader, shape) == tile
    reader.end()
    table = np.arange(np.prod(tile_counts(shape, tile), dtype=int)).reshape(
        tile_counts(shape, tile)
    )
    start = data.draw(st.integers(0, np.prod(shape, dtype=int)))
    count = data.draw(st.integers(0, np.prod(shape, dtype=int) - start))
    expected = [
        table[tuple(i // t for i, t in zip(np.unravel_index(place, shape), tile, strict=True))]
        for place in range(start, start + count)
    ]
    assert per_item(table, shape, tile, start, count).tolist() == expected


def test_usual_tilings_take_a_byte():
    for axis in (None, 0, 1):
        assert len(write_tile((20, 30), along((20, 30), axis))) == 1


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_repeated_rows_come_back(which):
    distinct = np.arange(10, dtype="u2").reshape(5, 2)
    bits = distinct[which]
    index, first = row_index(bits)
    again = read_index(Reader(write_index(index)), bits.shape)
    np.testing.assert_array_equal(again, index)
    out = np.zeros_like(bits)
    out[: first.size] = bits[first]
    spread_rows(out, index)
    np.testing.assert_array_equal(out, bits)
    np.testing.assert_array_equal(rows(plain("w", bits[first], "U16"), index).bits, bits)


def test_a_row_beyond_the_distinct_ones_is_refused_in_the_last_of_many(monkeypatch):
    monkeypatch.setattr(row_indices, "CHUNK_ITEMS", 4)
    with pytest.raises(FormatError, match="not numbered as they appear"):
        read_index(Reader(varint(1) + write_numbers(np.uint8([0, 0, 0, 0, 5]))), (5, 2))


HOSTILE = {
    "a uniform grid of integers": ("I32", (4,), b"\x02\x00\x00\x00\x00\x80\x3f", "holds F32, F16"),
    "codes of eight bytes": ("F32", (4,), b"\x02\x03\x00\x00\x00\x80\x3f", "form 3"),
    "a rounding that F16 has not": ("F16", (4,), b"\x02\x04\x00\x00\x00\x80\x3f", "form 4"),
    "a form of a later version": ("F32", (4,), b"\x02\x20\x00\x00\x00\x80\x3f", "form 32"),
    "a scale of 0": ("F32", (4,), b"\x02\x00\x00\x00\x00\x00\x00", "a scale is not finite, or 0"),
    "a scale of NaN": ("F32", (4,), b"\x02\x00\x00\x00\x00\xc0\x7f", "a scale is not finite"),
    "a tile of size 0": ("F32", (4, 4), b"\x02\x00\x03\x00\x01", "holds nothing"),
    "a tile beyond its axis": ("F32", (4, 4), b"\x02\x00\x03\x05\x01", "at most 4"),
    "an axis that is not there": ("F32", (4, 4), b"\x02\x00\x04", "at most 3"),
    "millions of scales": ("F32", (2**24,), b"\x02\x00\x01\x04", f"at most {MAX_NUMBERS:,}"),
    "scales that are not there": ("F32", (1000,), b"\x02\x00\x01\x00\x00", "4000 bytes were prom"),
    "millions of entries": ("F32", (4,), b"\x01" + varint(MAX_ENTRIES) * 2, "codebook entries"),
    "an entry beyond its dtype": ("I8", (4,), b"\x01\x00\x01\x7f", "entries that I8 has not"),
    "steps that wrap round": ("U8", (4,), b"\x01\x00\x02\x05\xff", "entries that U8 has not"),
    "entries below zero of an unsigned type": ("U8", (4,), b"\x01\x01\x00\x05", "U8 has not"),
    "too many codebooks": ("F32", (2**17, 8), b"\x03\x01", "131,072 codebooks; at most 65,536"),
    "rows of a scalar": ("F32", (), b"\x04\x01", "no rows can repeat"),
    "more rows than there are": ("F32", (3, 2), b"\x04\x04", "at most 3"),
    "rows of rows": ("F32", (2, 2), b"\x04\x01\x00\x00\x00\x04", "no grid of rows has number 4"),
    "rows not in order": ("F32", (2, 2), b"\x04\x02\x00\x01\x00", "not numbered as they appear"),
    "a row that is skipped": (
        "F32",
        (3, 2),
        b"\x04\x03\x00\x00\x02\x01",
        "not numbered as they appear",
    ),
    "rows that are left out": ("F32", (2, 2), b"\x04\x02\x00\x00\x00", "not numbered as"),
    "a grid that nobody knows": ("F32", (2, 2), b"\x09", "w: no grid has number 9"),
}


@pytest.mark.parametrize(("dtype", "shape", "data", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_tables_are_refused(dtype, shape, data, message):
    with pytest.raises(FormatError) as caught:
        read_head(Reader(data, 100), "w", dtype, shape)
    assert message in str(caught.value)
    assert 100 <= caught.value.offset <= 100 + len(data)


def test_a_code_outside_its_tiles_codebook_is_refused():
    tensor = codebooks("w", to_bits(np.float32([[1, 2], [5, 5]])), "F32", (1, 2))
    codes = np.array([[1, 2], [1, 2]], np.int8)
    with pytest.raises(FormatError, match="outside the codebook of its tile"):
        GRIDS["codebooks"].check(Reader(b""), codes, tensor.tables, (2, 2))
    GRIDS["codebooks"].check(Reader(b""), codes[0], tensor.tables, (2, 2))
