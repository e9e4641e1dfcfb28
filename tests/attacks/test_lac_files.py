"""Hostile and damaged `.lac` files, numbered: one refusal each, with its message and offset."""

import io
import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from laconic import runtime
from laconic.cli.files import inspect
from laconic.coding.reader import varint
from laconic.container import LacFile
from laconic.container.foreign import unpack_file
from laconic.errors import FormatError
from laconic.pack import export_onnx, load

PLAIN, CODEBOOK, UNIFORM, SAME = b"\0", b"\1", b"\2", b"\xff"
RAW_CODER = b"\0"


def zlib_crc(data):
    return zlib.crc32(data).to_bytes(4, "little")


def record(name, shape, payload, *, shared=0, dtype=0, checksum=None, length=None):
    """A tensor's line in the header."""
    text = name.encode() if isinstance(name, str) else name
    head = bytes([dtype | len(shape) << 5])
    sizes = b"".join(map(varint, shape))
    size = varint(len(payload) if length is None else length)
    return (
        varint(shared)
        + varint(len(text))
        + text
        + head
        + sizes
        + size
        + (checksum or zlib_crc(payload))
    )


def lac(records, payloads=b"", sections=b"\0", *, count=None, version=2, magic=b"LAC", length=None):
    """A file whose header checksum is right, whatever the header says."""
    header = varint(len(records) if count is None else count) + b"".join(records) + sections
    guarded = bytes([version]) + varint(len(header) if length is None else length) + header
    return magic + zlib_crc(guarded) + guarded + payloads


def one(shape, payload, **keywords):
    """A file of one tensor called w."""
    return lac([record("w", shape, payload, **keywords)], payload)


def zip_file():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", b"x")
    return buffer.getvalue()


FLOATS = np.float32([1, 2]).tobytes()
GOOD = PLAIN + RAW_CODER + FLOATS
LONG_NAMES = [record("n" * 4_000, (), b"")] + [
    record(f"{number:06}", (), b"", shared=4_000) for number in range(20_000)
]
ATTACKS = {
    # What is no .lac file at all.
    "01 an empty file": (b"", "it starts with b'', not b'LAC'"),
    "02 a zip archive": (zip_file(), "it may be a zip archive"),
    "03 a pickle": (pickle.dumps({"weight": 1}), "it may be a pickle"),
    "04 a text": (b"hello", "it starts with b'hel', not b'LAC'"),
    "05 the magic alone": (b"LAC", "promised"),
    "06 a newer version": (lac([], version=3), "version 3; this reader knows version 2"),
    "07 an older version": (lac([], version=1), "version 1; this reader knows version 2"),
    # Headers.
    "10 a header longer than the file": (lac([], length=99), "99 bytes were promised"),
    "11 a header of 2^62 bytes": (
        lac([], length=2**62),
        "a header of 4,611,686,018,427,387,904 bytes; at most 3,145,728",
    ),
    "12 a header length of ten bytes": (
        b"LAC\0\0\0\0\2" + b"\xff" * 10,
        "longer than 9 bytes",
    ),
    "13 a header whose checksum is wrong": (
        lac([])[:3] + b"\0\0\0\0" + lac([])[7:],
        "the header's checksum is wrong",
    ),
    "14 more tensors than the header has bytes": (lac([], count=2**40), "at most"),
    "15 fewer tensors than records": (lac([record("a", (), b"")], count=0), "left over|unknown"),
    "16 bytes after the last section": (lac([], sections=b"\0\0"), "1 bytes are left over"),
    "17 a header without sections": (lac([], sections=b""), "promised"),
    # Names.
    "20 two tensors of one name": (
        lac([record("a", (), b""), record("a", (), b"")]),
        "two tensors are named 'a'",
    ),
    "21 a name that is no UTF-8": (lac([record(b"\xff", (), b"")]), "is not UTF-8"),
    "22 a name longer than the header": (lac([b"\0" + varint(4000)]), "4000 bytes were promised"),
    "23 a name that shares more than there is": (
        lac([record("a", (), b"", shared=1)]),
        "at most 0 is possible",
    ),
    "24 names that take a hundred times the file": (
        lac(LONG_NAMES),
        "the names count more than 8,388,608 bytes",
    ),
    "25 a name of 4097 bytes": (lac([record("n" * 4097, (), b"")]), "at most 4096 is possible"),
    "26 a name that grows to 4097 bytes": (
        lac([record("n" * 4000, (), b""), record("m" * 97, (), b"", shared=4000)]),
        "at most 96 is possible",
    ),
    # Dtypes and shapes.
    "30 an unknown dtype": (lac([record("a", (), b"", dtype=31)]), "no dtype has number 31"),
    "31 a shape beyond any memory": (one((2**40, 2**40), GOOD), "beyond any memory"),
    "32 a shape of nothing beyond any memory": (one((2**62, 0), GOOD), "beyond any memory"),
    "33 more than 32 dimensions": (
        lac([b"\0\1a" + bytes([7 << 5]) + varint(33) + b"\1" * 33]),
        "at most 32",
    ),
    "34 few dimensions in the long form": (
        lac([b"\0\1a" + bytes([7 << 5]) + varint(2) + b"\1\1"]),
        "2 dimensions have a shorter form",
    ),
    "35 more bytes than are allowed": (one((2**31,), GOOD), "4,294,967,296 are allowed"),
    "36 a size not in its shortest form": (
        lac([b"\0\1a" + bytes([1 << 5]) + b"\x81\0"]),
        "not in its shortest form",
    ),
    # Where the parts lie.
    "40 a payload longer than the file": (
        one((2,), GOOD, length=len(GOOD) + 1),
        "the parts end at byte",
    ),
    "41 a payload of 2^62 bytes": (one((2,), GOOD, length=2**62), "the parts end at byte"),
    "42 payloads shorter than the file": (
        one((2,), GOOD, length=len(GOOD) - 1),
        "the parts end at byte",
    ),
    "43 bytes behind the last part": (one((2,), GOOD) + b"!", "the parts end at byte"),
    "44 a payload whose checksum is wrong": (
        one((2,), GOOD, checksum=b"\0\0\0\0"),
        "w: the checksum is wrong",
    ),
    # Sections.
    "50 an unknown section": (
        lac([], b"x", b"\1\x63\1" + zlib_crc(b"x")),
        "section 99 is unknown",
    ),
    "51 a section twice": (
        lac([], b"xx", b"\2" + (b"\3\1" + zlib_crc(b"x")) * 2),
        "section 3 is unknown, repeated or out of order",
    ),
    "52 sections out of order": (
        lac([], b"xx", b"\2" + b"\3\1" + zlib_crc(b"x") + b"\2\1" + zlib_crc(b"x")),
        "section 2 is unknown, repeated or out of order",
    ),
    "53 a section that reaches beyond the file": (
        lac([], b"x", b"\1\3\2" + zlib_crc(b"x")),
        "the parts end at byte",
    ),
    "54 a section whose checksum is wrong": (
        lac([], b"x", b"\1\3\1\0\0\0\0"),
        "section about: the checksum is wrong",
    ),
    # Payloads.
    "60 an empty payload": (one((2,), b""), "promised"),
    "61 an unknown grid": (one((2,), b"\x09" + GOOD), "w: no grid has number 9"),
    "62 an unknown coder": (one((2,), PLAIN + b"\x7f" + FLOATS), "no coder has number 127"),
    "63 too few bytes for the shape": (one((2,), GOOD[:-1]), "offset"),
    "64 too many bytes for the shape": (one((2,), GOOD + b"!"), "offset"),
    "65 a codebook longer than the payload": (
        one((2,), CODEBOOK + varint(2**19) + varint(0) + b"\0" * 4 + RAW_CODER),
        "bytes were promised",
    ),
    "66 a code that the codebook has not": (
        one((2,), CODEBOOK + b"\0\0" + RAW_CODER + np.int8([0, 1]).tobytes()),
        "codes from 0 to 1 are outside the grid",
    ),
    "67 a uniform grid of another dtype": (
        one((2,), UNIFORM + b"\2\0" + b"\0\0\x80\x3f" + RAW_CODER, dtype=3),
        "a uniform grid holds F32, F16, BF16, not F64",
    ),
    "68 a uniform grid on an axis that is not there": (
        one((2,), UNIFORM + b"\2\3" + b"\0\0\x80\x3f" * 2 + RAW_CODER),
        "at most 2",
    ),
    "69 a scale that is NaN": (
        one((2,), UNIFORM + b"\2\0" + np.float32(np.nan).tobytes() + RAW_CODER),
        "a scale is not finite, or 0",
    ),
    "70 a scale that is zero": (
        one((2,), UNIFORM + b"\2\0" + np.float32(0).tobytes() + RAW_CODER),
        "a scale is not finite, or 0",
    ),
    "71 scales longer than the payload": (one((2,), UNIFORM + b"\2\1" + b"\0" * 7), "promised"),
    "72 a code beyond 2^24": (
        one((1,), UNIFORM + b"\2\0" + np.float32(1).tobytes() + RAW_CODER + b"\1\0\0\1"),
        "outside the grid",
    ),
    # Tied tensors.
    "80 a tensor tied to itself": (one((2,), SAME + b"\0"), "claims to equal tensor 0"),
    "81 a tensor tied to a later one": (
        lac([record("a", (2,), SAME + b"\1"), record("b", (2,), GOOD)], SAME + b"\1" + GOOD),
        "claims to equal tensor 1, which is not before it",
    ),
    "82 a tensor tied to another shape": (
        lac([record("a", (2,), GOOD), record("b", (1, 2), SAME + b"\0")], GOOD + SAME + b"\0"),
        "b claims to equal a of another shape or dtype",
    ),
    "83 a tensor tied to a tied one": (
        lac(
            [
                record("a", (2,), GOOD),
                record("b", (2,), SAME + b"\0"),
                record("c", (2,), SAME + b"\1"),
            ],
            GOOD + SAME + b"\0" + SAME + b"\1",
        ),
        "c equals b, which is itself a reference",
    ),
    "84 bytes behind a tie": (
        lac([record("a", (2,), GOOD), record("b", (2,), SAME + b"\0!")], GOOD + SAME + b"\0!"),
        "1 bytes are left over",
    ),
}


def test_the_attacks_differ_from_a_good_file_in_what_they_say():
    with LacFile(one((2,), GOOD)) as file:
        file.verify()
        assert file.array("w").tolist() == [1, 2]
    with LacFile(lac([], b"x", b"\1\3\1" + zlib_crc(b"x"))) as file:
        assert file.section("about") == b"x"
    with LacFile(
        one((2,), UNIFORM + b"\2\0" + b"\0\0\x80\x3f" + RAW_CODER + b"\1\0\0\0" * 2)
    ) as file:
        assert file.array("w").tolist() == [1, 1]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_file_is_refused(attack):
    data, message = ATTACKS[attack]
    with pytest.raises(FormatError, match=message) as caught, LacFile(data) as file:
        file.verify()
    assert 0 <= caught.value.offset <= len(data)


@pytest.mark.parametrize("attack", [name for name in ATTACKS if name > "60"])
def test_asking_for_the_coder_of_a_hostile_tensor_raises_nothing_else(attack):
    data, _ = ATTACKS[attack]
    with LacFile(data) as file:
        for name in file.entries:
            try:
                file.coder(name)
            except FormatError:
                break


@pytest.mark.parametrize(
    "attack", ["01 an empty file", "04 a text", "43 bytes behind the last part"]
)
def test_a_hostile_file_on_disk_is_refused_and_leaves_no_output(attack, tmp_path):
    data, _ = ATTACKS[attack]
    (tmp_path / "x.lac").write_bytes(data)
    with pytest.raises(FormatError):
        unpack_file(tmp_path / "x.lac", tmp_path / "x.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["x.lac"]


def test_the_callers_limit_is_kept():
    data = one((2,), GOOD)
    with pytest.raises(FormatError, match=r"unpack to 8 bytes; 7 are allowed \(max_bytes"):
        LacFile(data, max_bytes=7)
    LacFile(data, max_bytes=8).close()


SMALL = (Path(__file__).parents[1] / "golden" / "version-2.lac").read_bytes()


def open_and_verify(data):
    with LacFile(data) as file:
        file.verify()


def test_the_small_file_itself_is_good():
    open_and_verify(SMALL)
    assert runtime.load(SMALL).check_probe() == 0
    assert len(SMALL) < 900


@pytest.mark.parametrize("length", range(len(SMALL)))
def test_a_file_cut_short_is_refused(length):
    with pytest.raises(FormatError):
        open_and_verify(SMALL[:length])


@pytest.mark.parametrize("place", range(len(SMALL)))
def test_a_flipped_bit_is_refused(place):
    for bit in range(8):
        damaged = bytearray(SMALL)
        damaged[place] ^= 1 << bit
        with pytest.raises(FormatError):
            open_and_verify(bytes(damaged))


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


def test_random_bytes_behind_a_right_checksum_raise_nothing_else():
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        payload = rng.integers(0, 256, rng.integers(1, 40), dtype=np.uint8).tobytes()
        payload = bytes([payload[0] % 3, *payload[1:]])
        data = one(tuple(rng.integers(0, 6, rng.integers(0, 4))), payload)
        try:
            open_and_verify(data)
        except FormatError:
            continue


def test_random_headers_behind_a_right_checksum_raise_nothing_else():
    rng = np.random.default_rng(0)
    good = SMALL[9 : 9 + 120]
    for _ in range(2_000):
        header = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            header[rng.integers(len(header))] = rng.integers(256)
        guarded = b"\1" + varint(len(header)) + bytes(header)
        try:
            open_and_verify(b"LAC" + zlib_crc(guarded) + guarded + SMALL[129:])
        except FormatError:
            continue
