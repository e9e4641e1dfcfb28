"""Writing tensor by tensor: none is kept, equal ones are stored once, files appear whole."""

import io
import weakref
from pathlib import Path

import numpy as np
import pytest

from laconic.container import plain, write, writing
from laconic.container.atomic import replacing
from laconic.container.writing import Writer, pack_bytes


def tensors():
    """Made when they are asked for; the third equals the first."""
    for number in range(5):
        yield plain(f"w{number}", np.arange(50, dtype="u4") * (number % 2 + number // 3), "U32")


def test_tensors_that_are_made_one_by_one_give_the_same_file(tmp_path):
    size = write(tmp_path / "x.lac", tensors(), {"about": b"x"})
    data = (tmp_path / "x.lac").read_bytes()
    assert size == len(data)
    assert data == pack_bytes(list(tensors()), {"about": b"x"})


def test_payloads_that_do_not_fit_memory_wait_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "IN_MEMORY", 10)
    write(tmp_path / "x.lac", tensors())
    assert (tmp_path / "x.lac").read_bytes() == pack_bytes(tensors(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["x.lac"]


def test_no_tensor_is_kept():
    writer, alive = Writer(io.BytesIO()), []
    for tensor in tensors():
        writer.add(tensor)
        alive.append(weakref.ref(tensor))
        del tensor
    assert [reference() for reference in alive] == [None] * 5


def test_equal_tensors_are_stored_once_and_no_others(monkeypatch):
    monkeypatch.setattr(writing.zlib, "crc32", lambda data, start=0: 7)  # all sums are equal
    writer, payloads = Writer(io.BytesIO()), [tensor.payload for tensor in tensors()]
    for tensor in tensors():
        writer.add(tensor)
    assert payloads[0] == payloads[2]
    assert payloads[1] == payloads[4]
    payloads[2], payloads[4] = b"\xff\0", b"\xff\1"
    assert writer.payloads.getvalue() == b"".join(payloads)


def test_a_file_that_is_replaced_can_be_read_before(tmp_path):
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with replacing(target) as file:
        file.write(b"new")
        file.flush()
        assert Path(file.name).read_bytes() == b"new"
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with pytest.raises(TypeError), replacing(target) as file:
        file.write("no bytes")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
