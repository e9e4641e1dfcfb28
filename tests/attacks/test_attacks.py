"""Each attack of the list is refused, with its message and a place inside the file."""

from pathlib import Path

import numpy as np
import pytest
from liar import (
    ABOUT,
    FOREIGN,
    GOOD,
    PLAIN,
    PROBE,
    PROGRAM,
    ROWS,
    UNIFORM,
    blocks,
    constant,
    deflated,
    lac,
    one,
    record,
    with_sections,
)  # fmt: skip

from attacks import ATTACKS, CHAPTERS, listed
from laconic.container import LacFile
from laconic.container.foreign import unpack_file
from laconic.errors import FormatError, UnsupportedError

GOOD_FILES = {
    "a tensor": one((2,), GOOD),
    "a uniform tensor": one((2,), UNIFORM + b"\0\0\0\0\x80\x3f" + constant(1)),
    "rows": one((2,), ROWS + b"\1\0\0\0" + PLAIN + constant(1)),
    "blocks": one((2,), PLAIN + blocks([constant(1)])),
    "a tensor without bytes": lac([record("a", (0,), b"\0\0")], b"\0\0"),
    "about": with_sections({ABOUT: deflated(b"{}")}),
    "a program": with_sections({PROGRAM: b"\1" + deflated(b"\x14\0\0\0\0")}),
    "a probe": with_sections({PROBE: b"\1\1\2\1\1" + bytes(4)}),
    "a foreign file": with_sections(
        {FOREIGN: b"\2" + deflated(b"\1\0\0\1\1x\x0cabcd")}, [record("w", (2,), GOOD)], GOOD
    ),
}


@pytest.mark.parametrize("what", GOOD_FILES)
def test_the_writer_that_can_lie_can_also_write(what):
    with LacFile(GOOD_FILES[what]) as file:
        file.verify()


@pytest.mark.parametrize("attack", ATTACKS)
def test_refused_is(attack):
    data, message = ATTACKS[attack]
    with pytest.raises(FormatError) as caught, LacFile(data) as file:
        file.verify()
    assert message in str(caught.value)
    assert 0 <= caught.value.offset <= len(data)


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_other_way_of_reading_raises_nothing_else_for(attack):
    data, _ = ATTACKS[attack]
    try:
        file = LacFile(data, threads=2)
    except FormatError:
        return
    with file:
        for name in file.names[:20]:
            for read in (file.coder, file.same_as, file.stored, file.bits):
                try:
                    read(name)
                except FormatError:
                    break


def test_the_list_is_that_of_the_attacks():
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    assert readme == listed(), "python tests/attacks/attacks.py > tests/attacks/README.md"


def test_no_number_stands_there_twice_and_each_is_larger_than_the_one_before():
    numbers = [int(name.split(" ")[0]) for chapter in CHAPTERS.values() for name in chapter]
    assert numbers == sorted(set(numbers))
    assert len(ATTACKS) == len(numbers)


@pytest.mark.parametrize(
    "attack",
    [
        "1 an empty file",
        "4 a text",
        "55 bytes behind the last part",
        "376 a skeleton of more bytes than are allowed",
    ],
)
def test_unpacked_to_nothing_is(attack, tmp_path):
    (tmp_path / "x.lac").write_bytes(ATTACKS[attack][0])
    with pytest.raises(FormatError):
        unpack_file(tmp_path / "x.lac", tmp_path / "x.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["x.lac"]


def test_the_callers_limit_is_kept():
    data = one((2,), GOOD)
    with pytest.raises(FormatError, match=r"unpack to 8 bytes; 7 are allowed \(max_bytes"):
        LacFile(data, max_bytes=7)
    LacFile(data, max_bytes=8).close()


def test_the_skeleton_of_a_foreign_file_counts_for_the_callers_limit():
    data = GOOD_FILES["a foreign file"]
    with LacFile(data, max_bytes=19) as file:
        file.verify()
    with (
        pytest.raises(FormatError, match="a number is 11; at most 10 is possible"),
        LacFile(data, max_bytes=18) as file,
    ):
        file.verify()


def test_random_payloads_behind_a_right_checksum_raise_nothing_else():
    rng = np.random.default_rng(0)
    for _ in range(1_000):
        payload = rng.integers(0, 256, rng.integers(1, 40), dtype=np.uint8).tobytes()
        payload = bytes([payload[0] % 5, *payload[1:]])
        data = one(tuple(rng.integers(0, 6, rng.integers(0, 4)).tolist()), payload)
        try:
            with LacFile(data) as file:
                file.verify()
        except FormatError:
            continue


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..\\x", "C:x", "a\0b", ""])
def test_a_tensor_does_not_lead_out_of_the_folder_of_an_npz_called(name, tmp_path):
    (tmp_path / "x.lac").write_bytes(lac([record(name, (2,), GOOD)], GOOD))
    with pytest.raises(UnsupportedError, match="would lead whoever unpacks"):
        unpack_file(tmp_path / "x.lac", tmp_path / "x.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["x.lac"]
    unpack_file(tmp_path / "x.lac", tmp_path / "x.safetensors")
