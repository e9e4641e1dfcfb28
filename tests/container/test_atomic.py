"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from laconic.container.atomic import write_bytes


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "x.lac"
    write_bytes(target, b"old")
    write_bytes(target, b"new and longer")
    assert target.read_bytes() == b"new and longer"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failing", ["write", "rename"])
def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, failing):
    target = tmp_path / "x.lac"
    target.write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    if failing == "write":
        monkeypatch.setattr("laconic.container.atomic.os.fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_target_is_never_opened_for_writing(tmp_path, monkeypatch):
    target = tmp_path / "x.lac"
    target.write_bytes(b"old")
    opened = []
    real = Path.open

    def watching(path, mode="r", *rest, **named):
        opened.append((path.name, mode))
        return real(path, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", watching)
    write_bytes(target, b"new")
    assert [name for name, mode in opened if mode == "wb" and name == "x.lac"] == []
    assert len(opened) == 1
