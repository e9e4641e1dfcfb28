"""Attacks 1 to 99: what is no file, headers, names, shapes, and where the parts lie."""

import io
import pickle
import zipfile

from liar import (
    ABOUT,
    F32,
    GOOD,
    PLAIN,
    PROBE,
    RAW,
    U64,
    crc,
    lac,
    one,
    record,
    varint,
    with_sections,
)  # fmt: skip


def zip_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", b"x")
    return buffer.getvalue()


def empty(name: str | bytes, *, shared: int = 0, dtype: int = F32) -> bytes:
    """A record of a tensor that needs no bytes to be told."""
    return record(name, (0,), PLAIN + RAW, shared=shared, dtype=dtype)


LONG_NAMES = [empty("n" * 4_000)] + [empty(f"{i:06}", shared=4_000) for i in range(20_000)]
WIDE_NAMES = [empty("é" * 2_000)] + [empty(f"{i:06}", shared=4_000) for i in range(600)]
MANY = [empty(b"%05x" % i) for i in range(2**16 + 1)]
ABOUT_X = b"\1\3\1" + crc(b"x")

FILES = {
    "1 an empty file": (b"", "it starts with b'', not b'LAC'"),
    "2 a zip archive": (zip_file(), "it may be a zip archive"),
    "3 a pickle": (pickle.dumps({"weight": 1}), "it may be a pickle"),
    "4 a text": (b"hello", "it starts with b'hel', not b'LAC'"),
    "5 the magic alone": (b"LAC", "4 bytes were promised, 0 are left"),
    "6 a newer version": (lac([], version=3), "version 3; this reader knows version 2"),
    "7 an older version": (lac([], version=1), "version 1; this reader knows version 2"),
    "8 version 255": (lac([], version=255), "version 255; this reader knows version 2"),
}
HEADERS = {
    "10 a header longer than the file": (lac([], length=99), "99 bytes were promised"),
    "11 a header of 2^62 bytes": (lac([], length=2**62), "at most 2,097,152 can be"),
    "12 a length that overflows 63 bits": (
        b"LAC\0\0\0\0\2" + b"\xff" * 10,
        "a number is longer than 9 bytes",
    ),
    "13 a header whose checksum is wrong": (
        lac([])[:3] + b"\0\0\0\0" + lac([])[7:],
        "the header's checksum is wrong",
    ),
    "14 more tensors than the header has bytes": (
        lac([], count=2**40),
        "a number is 1099511627776; at most 7 is possible",
    ),
    "15 more tensors than any file": (lac(MANY), "at most 65536 is possible"),
    "16 fewer tensors than records": (lac([empty("a")], count=0), "10 bytes are left over"),
    "17 bytes after the last section": (lac([], sections=b"\0\0"), "1 bytes are left over"),
    "18 a header without sections": (lac([], sections=b""), "1 bytes were promised, 0 are left"),
    "19 a header of megabytes": (
        lac([], sections=b"\0" * 2**21),
        "a header of 2,097,153 bytes; at most 2,097,152 can be",
    ),
}
NAMES = {
    "20 two tensors of one name": (lac([empty("a"), empty("a")]), "two tensors are named 'a'"),
    "21 two tensors of one name, spelt by sharing": (
        lac([empty("ab"), empty("b", shared=1)]),
        "two tensors are named 'ab'",
    ),
    "22 a name that is no UTF-8": (lac([empty(b"\xff")]), r"the name b'\xff' is not UTF-8"),
    "23 a name that shares half a letter": (
        lac([empty("é"), empty("a", shared=1)]),
        r"the name b'\xc3a' is not UTF-8",
    ),
    "24 a name with half a surrogate pair": (lac([empty(b"\xed\xa0\x80")]), "is not UTF-8"),
    "25 a name longer than the header": (
        lac([b"\0" + varint(4000)]),
        "4000 bytes were promised, 1 are left",
    ),
    "26 a name of 2^62 bytes": (lac([b"\0" + varint(2**62)]), "at most 4096 is possible"),
    "27 a name that shares more than there is": (
        lac([empty("a", shared=1)]),
        "a number is 1; at most 0 is possible",
    ),
    "28 names that take a hundred times the file": (
        lac(LONG_NAMES),
        "the names count more than 4,194,304 bytes",
    ),
    "29 names that Python would widen fourfold": (
        lac(WIDE_NAMES),
        "the names count more than 4,194,304 bytes",
    ),
    "30 a name of 4097 bytes": (lac([empty("n" * 4097)]), "at most 4096 is possible"),
    "31 a name that grows to 4097 bytes": (
        lac([empty("n" * 4000), empty("m" * 97, shared=4000)]),
        "a number is 97; at most 96 is possible",
    ),
}
SHAPES = {
    "40 an unknown dtype": (lac([empty("a", dtype=31)]), "a: no dtype has number 31"),
    "41 a shape whose product wraps to 0": (one((2**32, 2**32), GOOD), "is beyond any memory"),
    "42 a shape beyond 63 bits": (one((2**40, 2**40), GOOD), "is beyond any memory"),
    "43 a shape of nothing beyond any memory": (one((2**62, 0), GOOD), "is beyond any memory"),
    "44 ten thousand dimensions": (
        lac([b"\0\1a" + bytes([7 << 5]) + varint(10_000) + b"\1" * 10_000]),
        "a number is 10000; at most 32 is possible",
    ),
    "45 33 dimensions": (one((1,) * 33, GOOD), "a number is 33; at most 32 is possible"),
    "46 few dimensions in the long form": (
        lac([b"\0\1a" + bytes([7 << 5]) + varint(2) + b"\1\1"]),
        "2 dimensions have a shorter form",
    ),
    "47 a size not in its shortest form": (
        lac([b"\0\1a" + bytes([1 << 5]) + b"\x81\0"]),
        "a number is not in its shortest form",
    ),
    "48 more bytes than are allowed": (
        one((2**31,), GOOD),
        "the tensors unpack to 8,589,934,592 bytes; 4,294,967,296 are allowed",
    ),
    "49 tensors whose sizes wrap to 0 together": (
        lac([record(f"{i:04}", (2**48,), b"", dtype=U64) for i in range(2**13)]),
        "the tensors unpack to 18,446,744,073,709,551,616 bytes; 4,294,967,296 are allowed",
    ),
}
PARTS = {
    "50 a payload longer than the file": (
        one((2,), GOOD, length=len(GOOD) + 1),
        "the parts end at byte 32, the file has 31",
    ),
    "51 a payload of 2^62 bytes": (one((2,), GOOD, length=2**62), "the parts end at byte"),
    "52 payloads whose lengths wrap to the file's": (
        lac(
            [record("a", (2,), GOOD, length=2**63 - 1)]
            + [record(name, (2,), GOOD, length=2**63 - 1) for name in "bc"],
            GOOD,
        ),
        "the parts end at byte",
    ),
    "53 overlapping payloads": (
        lac([record("a", (2,), GOOD), record("b", (2,), GOOD)], GOOD),
        "the parts end at byte",
    ),
    "54 a hole behind the payloads": (
        one((2,), GOOD, length=len(GOOD) - 1),
        "the parts end at byte 30, the file has 31",
    ),
    "55 bytes behind the last part": (
        one((2,), GOOD) + b"!",
        "the parts end at byte 31, the file has 32",
    ),
    "56 a payload whose checksum is wrong": (
        one((2,), GOOD, checksum=b"\0\0\0\0"),
        "w: the checksum is wrong, the bytes are damaged",
    ),
    "57 a payload of no bytes": (one((2,), b""), "1 bytes were promised, 0 are left"),
}
SECTIONS = {
    "60 an unknown section": (
        lac([], b"x", b"\1\x63\1" + crc(b"x")),
        "section 99 is unknown, repeated or out of order",
    ),
    "61 section 0": (lac([], b"x", b"\1\0\1" + crc(b"x")), "section 0 is unknown"),
    "62 a section twice": (
        lac([], b"xx", b"\2" + (b"\3\1" + crc(b"x")) * 2),
        "section 3 is unknown, repeated or out of order",
    ),
    "63 sections out of order": (
        lac([], b"xx", b"\2\3\1" + crc(b"x") + b"\2\1" + crc(b"x")),
        "section 2 is unknown, repeated or out of order",
    ),
    "64 2^40 sections": (
        lac([], b"", varint(2**40)),
        "a number is 1099511627776; at most 6 is possible",
    ),
    "65 a section that reaches beyond the file": (
        lac([], b"x", b"\1\3\2" + crc(b"x")),
        "the parts end at byte",
    ),
    "66 a section whose checksum is wrong": (
        lac([], b"x", b"\1\3\1\0\0\0\0"),
        "section about: the checksum is wrong",
    ),
    "67 a section about of megabytes": (
        with_sections({ABOUT: bytes(2**20 + 1)}),
        "the section about has 1,048,577 bytes; at most 1,048,576 can be",
    ),
    "68 a probe of megabytes": (
        with_sections({PROBE: bytes(2**17 + 1)}),
        "the section probe has 131,073 bytes; at most 131,072 can be",
    ),
    "69 a program of 2^62 bytes": (
        lac([], b"x", b"\1\1" + varint(2**62) + crc(b"x")),
        "at most 16,777,216 can be",
    ),
}
ATTACKS = FILES | HEADERS | NAMES | SHAPES | PARTS | SECTIONS
