"""A `.lac` file gives back every tensor, costs few bytes, and opens one tensor at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laconic.container import (
    DTYPES,
    GRIDS,
    LacFile,
    codebook,
    pack_bytes,
    plain,
    to_bits,
    uniform,
    write,
)
from laconic.errors import FormatError, MismatchError, UnsupportedError, UsageError


def zeros(name, shape, dtype="F32"):
    return plain(name, np.zeros(shape, DTYPES[dtype].bits), dtype)


def varied(name, shape):
    """Float32 values that no coder makes small."""
    rng = np.random.default_rng(list(name.encode()))
    return plain(name, to_bits(rng.standard_normal(shape).astype("f4")), "F32")


@st.composite
def stored_tensors(draw):
    """Tensors of any name, dtype and shape, as plain values or as a codebook."""
    names = draw(st.lists(st.text(max_size=6), unique=True, max_size=5))
    tensors = []
    for name in names:
        dtype = draw(st.sampled_from(sorted(DTYPES)))
        shape = tuple(draw(st.lists(st.integers(0, 3), max_size=9)))
        width = DTYPES[dtype]
        size = int(np.prod(shape)) * width.size_bytes
        few = draw(st.booleans())
        data = draw(st.binary(min_size=size, max_size=size)) if not few else b"\x80" * size
        bits = np.frombuffer(data, width.bits).reshape(shape)
        tensors.append(draw(st.sampled_from([plain, codebook]))(name, bits, dtype))
    return tensors


@given(stored_tensors())
def test_any_tensors_come_back_bit_for_bit(tensors):
    with LacFile(pack_bytes(tensors, {})) as file:
        assert list(file.entries) == [tensor.name for tensor in tensors]
        for tensor in tensors:
            entry = file.entry(tensor.name)
            assert (entry.dtype, entry.shape) == (tensor.dtype, tensor.shape)
            np.testing.assert_array_equal(file.bits(tensor.name), tensor.bits)
        file.verify()


@given(stored_tensors())
def test_the_same_tensors_give_the_same_bytes(tensors):
    data = pack_bytes(tensors, {})
    with LacFile(data) as file:
        again = [file.stored(name) for name in file.entries]
    assert pack_bytes(again, {}) == data


@given(st.integers(1, 60), st.data())
def test_a_uniform_grid_comes_back_with_its_scales(channels, data):
    codes = np.array(data.draw(st.lists(st.integers(-127, 127), min_size=3, max_size=3)))
    codes = np.tile(codes, (channels, 1))
    scale = np.linspace(0.1, 3, channels, dtype="f4")
    tensor = uniform("w", codes, scale, 0)
    with LacFile(pack_bytes([tensor], {})) as file:
        found = file.stored("w")
        np.testing.assert_array_equal(found.codes, codes)
        np.testing.assert_array_equal(found.tables["scale"].reshape(-1), scale)
        expected = codes.astype("f4") * scale[:, None]
        np.testing.assert_array_equal(file.array("w"), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_codebook_orders_its_values_around_zero(dtype):
    width = DTYPES[dtype]
    bits = np.arange(0, 200, 7, dtype=width.bits)
    tensor = codebook("w", bits, dtype)
    assert np.array_equal(tensor.bits, bits)
    assert tensor.codes[0] == 0
    if width.numpy and dtype != "C64":
        order = np.argsort(tensor.values[np.isfinite(tensor.values.astype("f8"))])
        assert np.all(np.diff(tensor.codes[order]) > 0)


LENET = {
    "conv1.weight": (20, 1, 5, 5), "conv1.bias": (20,),
    "conv2.weight": (50, 20, 5, 5), "conv2.bias": (50,),
    "fc1.weight": (500, 800), "fc1.bias": (500,),
    "fc2.weight": (10, 500), "fc2.bias": (10,),
}  # fmt: skip


def test_the_overhead_of_lenet_5_is_at_most_200_bytes_with_its_names():
    tensors = [varied(name, shape) for name, shape in LENET.items()]
    data = pack_bytes(tensors, {"program": b"p" * 101, "probe": b"q" * 48})
    content = sum(len(tensor.payload) for tensor in tensors) + 101 + 48
    overhead = len(data) - content
    assert overhead <= 200


def test_a_prefix_that_names_share_is_stored_once():
    short = len(pack_bytes([zeros("a", (1,)), zeros("b", (2,))], {}))
    prefix = "some.very.long.prefix." * 4
    long = len(pack_bytes([zeros(prefix + "a", (1,)), zeros(prefix + "b", (2,))], {}))
    assert long - short == len(prefix)


def test_tied_tensors_are_stored_once():
    first = varied("first", (30, 30))
    second = plain("second", first.codes, "F32")
    alone = len(pack_bytes([first], {}))
    data = pack_bytes([first, second], {})
    assert len(data) - alone < 30
    with LacFile(data) as file:
        assert file.same_as("second") == "first"
        assert file.same_as("first") is None
        np.testing.assert_array_equal(file.bits("second"), first.codes)
        assert file.coder("second") == file.coder("first")


def test_equal_bytes_of_another_shape_are_not_tied():
    data = pack_bytes([zeros("a", (100, 3)), zeros("b", (3, 100))], {})
    with LacFile(data) as file:
        assert file.same_as("b") is None
        assert file.array("b").shape == (3, 100)


def test_one_tensor_opens_from_its_own_bytes_alone():
    tensors = [varied(name, (40, 40)) for name in ("a", "b", "c")]
    data = bytearray(pack_bytes(tensors, {"about": b"x"}))
    with LacFile(bytes(data)) as file:
        entry = file.entry("b")
        header_end = file.entry("a").offset
    for place in range(header_end, len(data)):
        if not entry.offset <= place < entry.offset + entry.length:
            data[place] ^= 0xFF
    with LacFile(bytes(data)) as file:
        np.testing.assert_array_equal(file.bits("b"), tensors[1].codes)
        for damaged in ("a", "c"):
            with pytest.raises(FormatError, match=f"{damaged}: the checksum is wrong"):
                file.bits(damaged)


def test_a_file_on_disk_is_read_and_its_arrays_outlive_it(tmp_path):
    tensor = codebook("w", to_bits(np.float32([1, 2, 1, 0])), "F32")
    size = write(tmp_path / "x.lac", [tensor])
    assert size == (tmp_path / "x.lac").stat().st_size
    with LacFile(tmp_path / "x.lac") as file:
        stored = file.stored("w")
    assert stored.values.tolist() == [1, 2, 1, 0]


def test_writing_replaces_a_file_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.lac"
    path.write_bytes(b"old")

    def broken(descriptor):
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="the disk is full"):
        write(path, [zeros("a", (3,))])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_bfloat16_is_widened_and_float8_is_refused_as_values():
    brain = plain("b", np.array([0x3FC0], "u2"), "BF16")
    eight = plain("e", np.array([1], "u1"), "F8_E4M3")
    with LacFile(pack_bytes([brain, eight], {})) as file:
        assert file.array("b").tolist() == [1.5]
        with pytest.raises(UnsupportedError, match=r"NumPy has no F8_E4M3.*LacFile.bits"):
            file.array("e")


def test_a_name_that_does_not_exist_lists_those_that_do():
    with (
        LacFile(pack_bytes([zeros("a", ()), zeros("b", ())], {})) as file,
        pytest.raises(MismatchError, match="no tensor 'c'; it has: a, b"),
    ):
        file.array("c")


@pytest.mark.parametrize(
    ("tensors", "sections", "message"),
    [
        ([zeros("a", ()), zeros("a", ())], {}, "two tensors are named 'a'"),
        ([], {"extra": b""}, "no section .*extra"),
        ([zeros("\ud800", ())], {}, "has no UTF-8 form"),
        ([zeros("n" * 4097, ())], {}, "has 4097 bytes; at most 4096 fit"),
        ([zeros("a", (1,) * 32 + (0,))], {}, "no file holds a shape"),
    ],
    ids=["a name twice", "an unknown section", "a lone surrogate", "a long name", "33 dimensions"],
)
def test_what_cannot_be_written_is_wrong_use(tensors, sections, message):
    with pytest.raises(UsageError, match=message):
        pack_bytes(tensors, sections)


def test_a_code_that_float32_cannot_hold_is_wrong_use():
    with pytest.raises(UsageError, match="beyond ±2\\^24"):
        uniform("w", np.array([2**24 + 1]), np.float32([1]), None)


def test_every_grid_has_a_number_of_its_own():
    assert len({grid.number for grid in GRIDS.values()}) == len(GRIDS)
    assert len({dtype.number for dtype in DTYPES.values()}) == len(DTYPES)
    assert max(dtype.number for dtype in DTYPES.values()) < 32
