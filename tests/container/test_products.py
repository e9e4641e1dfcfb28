"""Product codes in a file: values against a loop, every way of reading, room and its limits."""

import numpy as np
import pytest

from laconic.container import LacFile, from_bits, pack_bytes, products, rows, to_bits
from laconic.container.grids.products_grid import MAX_CODES, MAX_ENTRIES
from laconic.errors import UsageError

RNG = np.random.default_rng(0)
BITS = {"F32": "u4", "F16": "u2", "BF16": "u2", "F64": "u8"}


def books(dtype, *shape):
    """Bits of numbers near 1."""
    values = RNG.standard_normal(shape)
    if dtype == "BF16":
        return (values.astype("f4").view("u4") >> 16).astype("u2")
    return to_bits(values.astype({"F32": "f4", "F16": "f2", "F64": "f8"}[dtype]))


def by_a_loop(codes, bits, dtype, shape):
    """Each segment looked up and added alone, in float32 or float64."""
    wide = np.float64 if dtype == "F64" else np.float32
    entries = from_bits(bits, dtype)
    stages, lines, segments = codes.shape
    out = np.zeros((lines, segments, bits.shape[3]), wide)
    for line, segment in np.ndindex(lines, segments):
        for stage in range(stages):
            code = codes[stage, line, segment]
            if code:
                out[line, segment] += entries[stage, segment, code - 1].astype(wide)
    return out.reshape(shape)


@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("stages", [1, 2, 5])
def test_values_are_the_sums_of_the_entries_rounded_once(dtype, stages):
    codes, bits = RNG.integers(0, 8, (stages, 20, 3)), books(dtype, stages, 3, 7, 4)
    tensor = products("w", codes, bits, (20, 2, 6), dtype)
    wide = by_a_loop(codes, bits, dtype, (20, 2, 6))
    if dtype == "BF16":
        torch = pytest.importorskip("torch")
        rounded = torch.from_numpy(wide).bfloat16().view(torch.int16).numpy().view("u2")
        np.testing.assert_array_equal(tensor.bits, rounded)
    else:
        np.testing.assert_array_equal(tensor.values, wide.astype(tensor.values.dtype))
    with LacFile(pack_bytes([tensor], {})) as file:
        np.testing.assert_array_equal(file.bits("w"), tensor.bits)
        np.testing.assert_array_equal(file.stored("w").codes, codes)
        np.testing.assert_array_equal(file.rows("w", 3, 7), tensor.values[3:7])
        ((start, piece),) = file.payload("w").pieces()
        assert start == 0
        np.testing.assert_array_equal(piece, tensor.bits)
        file.verify()


def test_one_stage_keeps_every_bit_of_its_entries():
    bits = np.array([0x7FC00001, 0x80000000, 0xFF800000, 1], "u4").reshape(1, 1, 2, 2)
    tensor = products("w", np.array([[[1], [2], [0]]]), bits, (3, 2), "F32")
    assert tensor.bits.tolist() == [[0x7FC00001, 0x80000000], [0xFF800000, 1], [0, 0]]


@pytest.mark.filterwarnings("error")
def test_sums_of_infinities_give_no_warning():
    bits = np.array([0x7F800000, 0xFF800000], "u4").reshape(2, 1, 1, 1)
    assert np.isnan(products("w", np.ones((2, 1, 1), int), bits, (1, 1), "F32").values).all()


def test_rows_of_product_codes_repeat():
    codes, bits = RNG.integers(0, 4, (1, 3, 2)), books("F32", 1, 2, 3, 2)
    tensor = rows(products("w", codes, bits, (3, 4), "F32"), np.array([0, 1, 0, 2, 2, 1]))
    with LacFile(pack_bytes([tensor], {})) as file:
        np.testing.assert_array_equal(file.bits("w"), tensor.bits)
        assert file.stored("w").rows.grid == "products"


def test_codes_in_blocks_are_read_in_threads():
    codes = RNG.integers(0, 3, (1, 2**21 + 5, 1)).astype("i1")
    tensor = products("w", codes, books("F16", 1, 1, 2, 2), (2**21 + 5, 2), "F16")
    with LacFile(pack_bytes([tensor], {}), threads=2) as file:
        assert file.coder("w") == "blocks"
        np.testing.assert_array_equal(file.bits("w"), tensor.bits)


@pytest.mark.parametrize(
    ("codes", "bits", "shape", "message"),
    [
        ((1, 2, 2), (1, 2, 3, 2), (2, 5), "do not make the shape [2, 5]"),
        ((1, 2, 2), (1, 3, 3, 2), (2, 6), "codes [1, 2, 2] and codebooks [1, 3, 3, 2] do not"),
        ((1, 0, 2), (1, 2, 3, 2), (0, 4), "0 codes in 1 stages"),
        ((17, 1, 1), (17, 1, 1, 1), (1, 1), "17 codes in 17 stages"),
        ((1, 1, 1), (1, 1, 2**15, 1), (1, 1), "in codebooks of 32,768"),
        ((1, 1, 1), (1, 1, 2**10, 2**10), (1, 2**10), f"{MAX_ENTRIES + 2**10:,} numbers in codeb"),
        ((1, MAX_CODES + 1, 1), (1, 1, 1, 1), (MAX_CODES + 1, 1), f"{MAX_CODES + 1:,} codes in 1"),
    ],
)
def test_what_a_file_has_no_room_for_is_wrong_use(codes, bits, shape, message):
    with pytest.raises(UsageError) as caught:
        products("w", np.zeros(codes, "i2"), np.zeros(bits, "u4"), shape, "F32")
    assert str(caught.value).startswith("w: ")
    assert message in str(caught.value)
