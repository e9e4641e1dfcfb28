"""Files are packed tensor by tensor from a mapping, and checked and unpacked block by block."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from laconic.coding import PRESETS
from laconic.container import LacFile, plain
from laconic.container.foreign import unpack_file
from laconic.container.tensor_files import safetensors_bytes
from laconic.errors import UsageError
from laconic.pack import pack_file

LARGE = np.random.default_rng(0).standard_normal((6000, 1000), np.float32)
WORK = 16 * 2**20
"""What the coders need for a block, whatever the size of the tensor."""


def peak_bytes(action):
    """The most memory that Python and NumPy take; mapped files are not among it."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def written(path, arrays):
    """A safetensors file of float32 arrays."""
    path.write_bytes(safetensors_bytes({name: ("F32", a.view("u4")) for name, a in arrays.items()}))
    return path


def test_packing_and_unpacking_take_little_more_than_the_largest_payload(tmp_path):
    source = written(tmp_path / "x.safetensors", {"w": LARGE})
    packed, again = tmp_path / "x.lac", tmp_path / "y.safetensors"
    assert peak_bytes(lambda: pack_file(source, packed, coding="fastest")) < LARGE.nbytes + WORK
    assert peak_bytes(lambda: unpack_file(packed, again)) < WORK
    assert again.read_bytes() == source.read_bytes()


def test_many_tensors_take_no_more_than_one(tmp_path, monkeypatch):
    # Looking for structure takes long under tracemalloc, and its memory is the test's above.
    monkeypatch.setattr(
        "laconic.pack.foreign.structured",
        lambda name, bits, dtype, coding: replace(plain(name, bits, dtype), coding=coding),
    )
    arrays = {f"w{i}": LARGE[200 * i : 200 * (i + 1)] for i in range(30)}
    source = written(tmp_path / "x.safetensors", arrays)
    packed, again = tmp_path / "x.lac", tmp_path / "y.safetensors"
    assert peak_bytes(lambda: pack_file(source, packed, coding="fastest")) < WORK / 2
    assert peak_bytes(lambda: unpack_file(packed, again)) < WORK / 2
    assert again.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("compressed", [False, True])
def test_members_of_an_npz_are_unpacked_to_disk(tmp_path, compressed):
    source, packed, again = (tmp_path / name for name in ("x.npz", "x.lac", "y.npz"))
    save = np.savez_compressed if compressed else np.savez
    half = LARGE[:3000]
    save(source, w=half, half=half[:50].astype(np.float16))
    assert peak_bytes(lambda: pack_file(source, packed, coding="fastest")) < half.nbytes + WORK
    assert peak_bytes(lambda: unpack_file(packed, again)) < WORK
    with np.load(again) as found, np.load(source) as given:
        assert found.files == given.files
        for name in given.files:
            np.testing.assert_array_equal(found[name], given[name])
    assert len(list(tmp_path.iterdir())) == 3


def test_the_source_is_never_read_whole(tmp_path, monkeypatch):
    source = written(tmp_path / "x.safetensors", {"w": LARGE[:3]})

    def refuse(path):
        raise AssertionError(f"{path} is read")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    pack_file(source, tmp_path / "x.lac")


@pytest.mark.parametrize("shift", range(4))
def test_tensors_may_begin_at_any_byte(tmp_path, shift):
    data = bytearray(safetensors_bytes({"w": ("F32", LARGE[:20].view("u4"))}))
    length = int.from_bytes(data[:8], "little")
    data[8 + length : 8 + length] = b" " * shift
    data[:8] = (length + shift).to_bytes(8, "little")
    source, packed, again = (
        tmp_path / name for name in ("x.safetensors", "x.lac", "y.safetensors")
    )
    source.write_bytes(data)
    pack_file(source, packed)
    unpack_file(packed, again)
    assert again.read_bytes() == data
    with LacFile(packed) as file:
        np.testing.assert_array_equal(file.array("w"), LARGE[:20])


@pytest.mark.parametrize("order", ["<f4", ">f4"])
def test_arrays_in_fortran_order_come_back_in_large(tmp_path, order):
    source, packed, again = (tmp_path / name for name in ("x.npz", "x.lac", "y.npz"))
    np.savez(source, w=np.asfortranarray(LARGE[:1200].astype(order)))
    pack_file(source, packed, coding="fastest")
    with LacFile(packed) as file:
        assert file.coder("w") == "blocks"
        np.testing.assert_array_equal(file.rows("w", 500, 503), LARGE[500:503])
    unpack_file(packed, again)
    assert again.read_bytes()[:200] != b""
    with np.load(again) as found:
        assert found["w"].dtype == np.dtype(order)
        assert found["w"].flags.f_contiguous
        np.testing.assert_array_equal(found["w"], LARGE[:1200])


def test_presets_trade_bytes_for_speed(tmp_path):
    wave = np.rint(20 * np.sin(np.arange(40_000) / 300)).astype(np.float32)
    source = written(tmp_path / "x.safetensors", {"wave": wave})
    sizes = [pack_file(source, tmp_path / f"{name}.lac", coding=name) for name in PRESETS]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    for name in PRESETS:
        unpack_file(tmp_path / f"{name}.lac", tmp_path / "y.safetensors")
        assert (tmp_path / "y.safetensors").read_bytes() == source.read_bytes()


def test_an_unknown_preset_is_wrong_use_before_anything_is_written(tmp_path):
    source = written(tmp_path / "x.safetensors", {"w": LARGE[:3]})
    with pytest.raises(UsageError, match="no coding is called 'tiny'; there are: smallest, bal"):
        pack_file(source, tmp_path / "x.lac", coding="tiny")
    assert list(tmp_path.iterdir()) == [source]
