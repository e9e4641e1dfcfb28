"""A good file that was damaged: at every byte and bit, with checksums that tell and that do not."""

from pathlib import Path

import numpy as np
import pytest
from liar import crc
from mutations import Parts, apart
from torch import nn

from laconic import runtime
from laconic.cli.files import inspect
from laconic.container import LacFile
from laconic.container.foreign import unpack_file
from laconic.errors import FormatError
from laconic.pack import export_onnx, load

SMALL = (Path(__file__).parents[1] / "golden" / "version-2.lac").read_bytes()
PRODUCTS = (Path(__file__).parents[1] / "golden" / "version-2-products.lac").read_bytes()


def open_and_verify(data):
    with LacFile(data) as file:
        file.verify()


def outcome(data):
    """What reading all of it says, or nothing; any other exception than FormatError is a fault."""
    try:
        open_and_verify(data)
    except FormatError as error:
        place, said = error.offset, str(error)
    else:
        return ""
    assert 0 <= place <= len(data)
    return said


def flipped(data, bit):
    changed = bytes([data[bit // 8] ^ 1 << bit % 8])
    return data[: bit // 8] + changed + data[bit // 8 + 1 :]


def test_the_small_file_itself_is_good():
    open_and_verify(SMALL)
    assert runtime.load(SMALL).check_probe() == 0
    assert len(SMALL) < 900


def test_a_file_cut_short_is_refused():
    for length in range(len(SMALL)):
        assert outcome(SMALL[:length]), f"cut to {length} bytes it is read"


def test_a_flipped_bit_is_refused():
    for bit in range(8 * len(SMALL)):
        assert outcome(flipped(SMALL, bit)), f"with bit {bit} flipped it is read"


READERS = {
    "unpack": lambda path, folder: unpack_file(path, folder / "o.safetensors"),
    "inspect": lambda path, folder: inspect(path, json=True),
    "run": lambda path, folder: runtime.load(path),
    "export": lambda path, folder: export_onnx(path, folder / "o.onnx"),
    # This module has no tensor of the file's, so that the checksums alone can notice anything.
    "load": lambda path, folder: load(path, into=nn.Linear(1, 1), strict=False),
}


@pytest.mark.parametrize("reader", READERS)
def test_the_small_file_is_good_for_every_reader(reader, tmp_path):
    (tmp_path / "x.lac").write_bytes(SMALL)
    READERS[reader](tmp_path / "x.lac", tmp_path)


@pytest.mark.parametrize("reader", READERS)
def test_a_flipped_byte_anywhere_is_refused_and_leaves_no_output(reader, tmp_path):
    path = tmp_path / "x.lac"
    for place in range(len(SMALL)):
        path.write_bytes(SMALL[:place] + bytes([SMALL[place] ^ 0xFF]) + SMALL[place + 1 :])
        with pytest.raises(FormatError):
            READERS[reader](path, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["x.lac"]


def test_opening_a_file_reads_no_more_than_what_is_asked_for():
    with LacFile(SMALL) as file:
        place = file.entry("wave").offset
    damaged = SMALL[:place] + bytes([SMALL[place] ^ 0xFF]) + SMALL[place + 1 :]
    with LacFile(damaged) as file:
        file.bits("few")
        with pytest.raises(FormatError, match="wave: the checksum is wrong"):
            file.check_parts()


def test_two_parts_that_changed_places_are_refused():
    with LacFile(SMALL) as file:
        first, second = file.entry("wave"), file.entry("few")
    data = bytearray(SMALL)
    size = min(first.length, second.length)
    data[first.offset : first.offset + size], data[second.offset : second.offset + size] = (
        data[second.offset : second.offset + size],
        data[first.offset : first.offset + size],
    )
    with pytest.raises(FormatError, match="checksum is wrong"):
        open_and_verify(bytes(data))


PARTS = apart(SMALL)
PLACES = [*range(len(PARTS.tensors)), *(-number for number in PARTS.sections)]


def with_part(place, change):
    """The small file with one payload or section changed, and its checksum made right."""
    tensors, sections = list(PARTS.tensors), dict(PARTS.sections)
    if place < 0:
        sections[-place] = change(sections[-place])
    else:
        *what, payload = tensors[place]
        tensors[place] = *what, change(payload)
    return Parts(tensors, sections).joined()


def part(place):
    return PARTS.sections[-place] if place < 0 else PARTS.tensors[place][-1]


def test_the_parts_make_a_good_file_again():
    assert outcome(PARTS.joined()) == ""


@pytest.mark.parametrize("place", PLACES)
def test_a_part_cut_short_behind_a_right_checksum_is_refused(place):
    with LacFile(SMALL) as file:
        coder = file.coder(file.names[place]) if place >= 0 else ""
    for length in range(len(part(place))):
        said = outcome(with_part(place, lambda data, length=length: data[:length]))
        # Fewer bytes of an arithmetic code may be that of other items.
        assert said or coder == "context", f"cut to {length} bytes it is read"


@pytest.mark.parametrize("place", PLACES)
def test_bytes_behind_a_part_and_a_right_checksum_are_refused(place):
    assert outcome(with_part(place, lambda data: data + b"\0"))


@pytest.mark.parametrize("place", PLACES)
def test_a_flipped_bit_behind_a_right_checksum_raises_nothing_else(place):
    refused = 0
    for bit in range(8 * len(part(place))):
        refused += outcome(with_part(place, lambda data, bit=bit: flipped(data, bit))) != ""
    assert refused or part(place) == b"\0\0"


def test_a_flipped_bit_of_the_header_behind_a_right_checksum_raises_nothing_else():
    with LacFile(SMALL) as file:
        end = min(entry.offset for entry in file.entries.values())
    accepted = 0
    for bit in range(8 * 7, 8 * end):
        data = flipped(SMALL, bit)
        accepted += outcome(data[:3] + crc(data[7:end]) + data[7:]) == ""
    # Letters of names may change; numbers are held against the parts.
    assert 0 < accepted < 4 * end


def test_random_headers_behind_a_right_checksum_raise_nothing_else():
    rng = np.random.default_rng(0)
    with LacFile(SMALL) as file:
        end = min(entry.offset for entry in file.entries.values())
    for _ in range(2_000):
        data = bytearray(SMALL)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(9, end)] = rng.integers(256)
        data[3:7] = crc(data[7:end])
        outcome(bytes(data))


def test_a_flipped_bit_of_product_codes_behind_a_right_checksum_raises_nothing_else():
    parts = apart(PRODUCTS)
    assert outcome(parts.joined()) == ""
    refused = read = 0
    for place, (*what, payload) in enumerate(parts.tensors):
        for bit in range(8 * len(payload)):
            tensors = list(parts.tensors)
            tensors[place] = *what, flipped(payload, bit)
            said = outcome(Parts(tensors, dict(parts.sections)).joined())
            refused, read = refused + bool(said), read + (not said)
        for length in range(len(payload)):
            tensors[place] = *what, payload[:length]
            assert outcome(Parts(tensors, dict(parts.sections)).joined())
    # Bits of the codebooks' numbers may change; those of counts and codes mostly not.
    assert refused
    assert read
