"""Large tensors: in blocks, read in parts, in threads, in little memory."""

import tracemalloc
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from laconic.coding.reader import varint
from laconic.container import LacFile, codebook, pack_bytes, plain, rows, to_bits, uniform, writing
from laconic.container import payload as payload_module
from laconic.container.grids import row_index as row_index_module
from laconic.container.layout import MAX_HEADER_BYTES, MAX_NAMES_BYTES, MAX_TENSORS
from laconic.errors import FormatError, UsageError

ROWS, COLUMNS = 700, 5000
IN_A_BLOCK = 2**20 // COLUMNS


def table():
    """Few values in an order that no coder foretells, different in every block."""
    state = np.arange(ROWS * COLUMNS, dtype="u8") * np.uint64(0x9E3779B97F4A7C15)
    state ^= state >> np.uint64(29)
    return (
        ((state * np.uint64(0xBF58476D1CE4E5B9)) >> np.uint64(61))
        .astype("f4")
        .reshape(ROWS, COLUMNS)
    )


TABLE = table()
FORMS = {
    tensor.grid: replace(tensor, coding="fastest")
    for tensor in (
        plain("w", to_bits(TABLE), "F32"),
        codebook("w", to_bits(TABLE), "F32"),
        uniform("w", TABLE.astype(int), np.full(ROWS, 1, "f4"), 0),
    )
}
PACKED = pack_bytes([FORMS["codebook"], plain("other", np.zeros(9, "u1"), "U8")], {})
INDEX = np.minimum(np.arange(2000), np.arange(2000)[::-1])


@contextmanager
def peak_bytes(found):
    """Append the most memory that Python and NumPy took inside the block."""
    tracemalloc.start()
    try:
        yield
        found.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def test_the_file_is_in_blocks():
    with LacFile(PACKED) as file:
        assert file.coder("w") == "blocks"
        assert [run.start for run in file.payload("w").runs()] == [
            start * COLUMNS for start in range(0, ROWS, IN_A_BLOCK)
        ]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_a_large_tensor_comes_back(form, threads):
    with LacFile(pack_bytes([FORMS[form]], {}), threads=threads) as file:
        np.testing.assert_array_equal(file.array("w"), TABLE)
        stored = file.stored("w")
        np.testing.assert_array_equal(stored.codes, FORMS[form].codes)
        assert stored.codes.dtype == FORMS[form].codes.dtype


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (0, ROWS), (IN_A_BLOCK - 1, IN_A_BLOCK + 1), (300, 650), (ROWS - 1, ROWS), (5, 5)],
    ids=["first", "all", "over an edge", "over several blocks", "last", "none"],
)
def test_rows_are_those_of_the_whole(start, stop):
    with LacFile(PACKED) as file:
        np.testing.assert_array_equal(file.rows("w", start, stop), TABLE[start:stop])


def test_rows_are_read_from_their_blocks_alone():
    with LacFile(PACKED) as file:
        entry = file.entry("w")
        payload = file.payload("w")
        lengths = payload_module.read_table(payload_module.Reader(payload.coded[1:]), TABLE.shape)[
            1
        ]["length"]
    end = entry.offset + entry.length
    second = end - int(lengths[1:].sum())
    data = bytearray(PACKED)
    data[second : second + int(lengths[1])] = bytes(int(lengths[1]))
    with LacFile(bytes(data)) as file:
        first = file.rows("w", 0, IN_A_BLOCK)
        np.testing.assert_array_equal(first, TABLE[:IN_A_BLOCK])
        last = file.rows("w", 2 * IN_A_BLOCK, ROWS)
        np.testing.assert_array_equal(last, TABLE[2 * IN_A_BLOCK :])
        message = f"offset {second}: a block's checksum is wrong"
        with pytest.raises(FormatError, match=message):
            file.rows("w", IN_A_BLOCK, IN_A_BLOCK + 1)
        with pytest.raises(FormatError, match=message):
            file.bits("w")
        with pytest.raises(FormatError, match="w: the checksum is wrong"):
            file.check_parts()
        with pytest.raises(FormatError, match="w: the checksum is wrong"):
            file.verify()


def test_every_byte_before_the_blocks_counts():
    with LacFile(PACKED) as file:
        start = file.entry("w").offset
        payload = file.payload("w")
    head = payload.offset - start + 2 + 8 * 4
    for place in range(start, start + head):
        data = bytearray(PACKED)
        data[place] ^= 0x10
        with LacFile(bytes(data)) as file, pytest.raises(FormatError, match="checksum is wrong"):
            file.rows("w", 0, 1)


def test_many_small_blocks_are_hashed_as_a_whole(monkeypatch):
    monkeypatch.setattr(payload_module, "MOST_JOINED", 1)
    with LacFile(PACKED) as file:
        np.testing.assert_array_equal(file.rows("w", 3, 4), TABLE[3:4])
    data = bytearray(PACKED)
    with LacFile(PACKED) as file:
        data[file.entry("other").offset - 1] ^= 1
    with LacFile(bytes(data)) as file, pytest.raises(FormatError, match="w: the checksum is wrong"):
        file.rows("w", 0, 1)


def test_rows_that_are_not_there_are_wrong_use():
    with LacFile(pack_bytes([plain("s", np.uint8(3).reshape(()), "U8"), FORMS["plain"]], {})) as f:
        for start, stop in [(-1, 2), (3, 2), (0, ROWS + 1)]:
            with pytest.raises(UsageError, match=r"w has the shape \[700, 5000\]: no rows"):
                f.rows("w", start, stop)
        with pytest.raises(UsageError, match=r"s has the shape \[\]: no rows 0 to 1"):
            f.rows("s", 0, 1)


def test_repeated_rows_are_put_in_place_from_the_end(monkeypatch):
    distinct = np.arange(700 * 40, dtype="f4").reshape(700, 40)
    tensor = rows(plain("w", to_bits(distinct), "F32"), INDEX % 700)
    monkeypatch.setattr(row_index_module, "CHUNK_ITEMS", 7 * 40)
    with LacFile(pack_bytes([tensor], {})) as file:
        np.testing.assert_array_equal(file.array("w"), distinct[INDEX % 700])
        np.testing.assert_array_equal(file.rows("w", 650, 1400), distinct[(INDEX % 700)[650:1400]])
        assert [start for start, _ in file.payload("w").pieces()] == [0]


@pytest.mark.parametrize("form", FORMS)
def test_decoding_takes_little_more_than_the_output(form):
    data = pack_bytes([FORMS[form]], {})
    found = []
    with LacFile(data) as file, peak_bytes(found):
        file.bits("w")
    assert found[0] < TABLE.nbytes + 16 * 2**20


def test_going_through_a_tensor_takes_blocks_alone():
    found = []
    with LacFile(PACKED) as file, peak_bytes(found):
        file.verify()
    assert found[0] < 16 * 2**20


def hostile(records, count):
    """A file with these lines in its header and nothing behind them."""
    header = varint(count) + records + b"\0"
    guarded = b"\2" + varint(len(header)) + header
    return b"LAC" + payload_module.zlib.crc32(guarded).to_bytes(4, "little") + guarded


def line(name, shared, sizes=()):
    """Of an empty tensor."""
    head = bytes([8 | min(len(sizes), 7) << 5]) + (varint(len(sizes)) if len(sizes) > 6 else b"")
    text = varint(shared) + varint(len(name)) + name
    return text + head + b"".join(map(varint, sizes)) + b"\0" + bytes(4)


def names(count, length):
    """Names that share all but their ends, with a sign for which Python takes 4 bytes each."""
    first = "🦙".encode() + b"n" * (length - 4)
    return line(first, 0) + b"".join(line(b"%04x" % n, length - 4) for n in range(count - 1))


SOME = 2**10
"""Lines; what they take is scaled up to what a header may hold."""
HEADERS = {
    "as many tensors as there can be": (
        b"".join(line(b"%x" % n, 0, (0,) * 2) for n in range(SOME)), SOME, MAX_TENSORS / SOME
    ),
    "names that take four bytes a letter": (
        names(100, 4096), 100, MAX_NAMES_BYTES / (100 * 4 * 4096)
    ),
    "shapes of many sizes": (
        b"".join(line(b"%x" % n, 0, (300,) * 5 + (0,) * 27) for n in range(SOME)),
        SOME,
        MAX_HEADER_BYTES / (SOME * 50),
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", HEADERS)
def test_a_hostile_header_takes_less_than_64_mebibytes(attack):
    records, count, times = HEADERS[attack]
    data, found = hostile(records, count), []
    with peak_bytes(found), LacFile(data, max_bytes=2**62):
        pass
    assert found[0] * times < 64 * 2**20


def test_more_tensors_than_any_network_has_are_refused():
    with pytest.raises(FormatError, match="a number is 65537; at most 65536 is possible here"):
        LacFile(hostile(bytes(2**18), 2**16 + 1))


def test_a_header_that_would_fill_memory_is_refused():
    with pytest.raises(FormatError, match="offset 8: a header of 2,097,153 bytes; at most 2,097,1"):
        LacFile(hostile(b"", 0)[:8] + varint(2**21 + 1) + bytes(2**21 + 1))


def test_more_names_than_a_reader_takes_are_not_written(monkeypatch):
    empty = plain("", np.zeros(0, "u1"), "U8")
    monkeypatch.setattr(writing, "MAX_NAMES_BYTES", 11)
    with pytest.raises(UsageError, match="65,536 tensors, whose names take at most 11 bytes"):
        pack_bytes([replace(empty, name=name) for name in ("123456", "abcdef")], {})
    with pytest.raises(UsageError, match="whose names take at most 11 bytes"):
        pack_bytes([replace(empty, name="größe")], {})
    monkeypatch.setattr(writing, "MAX_TENSORS", 1)
    with pytest.raises(UsageError, match="a file holds at most 1 tensors"):
        pack_bytes([replace(empty, name=name) for name in "ab"], {})
    monkeypatch.undo()
    monkeypatch.setattr(writing, "MAX_HEADER_BYTES", 40)
    with pytest.raises(UsageError, match="take 41 bytes; a file holds 40: put the tensors into"):
        pack_bytes([replace(empty, name="n" * 30)], {})
