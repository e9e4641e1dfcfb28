"""Files that want as much memory as the format lets them have, most of them from few bytes.

Each with the bytes that it declares: its largest tensor, or the skeleton of a foreign file.
"""

import numpy as np
from liar import (
    ABOUT,
    BITMAP,
    CODEBOOK,
    CODEBOOKS,
    CONTEXT,
    F16,
    F64,
    FOREIGN,
    GAP,
    HUFFMAN,
    I64,
    PLAIN,
    PLANES,
    PROBE,
    PRODUCTS,
    PROGRAM,
    RANS,
    RAW,
    ROWS,
    SAME,
    U8,
    U64,
    UNIFORM,
    blocks,
    constant,
    deflated,
    lac,
    numbers,
    one,
    record,
    text,
    varint,
    with_sections,
)  # fmt: skip

from laconic.coding.integers import wide

MOST = 2**21
"""Items in one piece."""
NUMBERS = 2**22
"""Of a table."""
SCALE = int(np.float32(1).view(np.uint32))
TENSORS = 2**16


def gaps(count: int, of_gaps: bytes, values: bytes) -> bytes:
    return GAP + varint(count) + b"\1" + varint(len(of_gaps)) + of_gaps + values


def planes(size: int) -> bytes:
    """Of zeros, each by Huffman with one symbol."""
    return PLANES + varint(2 * (2**size - 1)) + b"\3\2\1\0" * size


def longs(coded: bytes, shape: tuple[int, ...] = (MOST,)) -> bytes:
    return one(shape, PLAIN + coded, dtype=I64)


def program(*parts: bytes | int) -> bytes:
    body = b"".join(varint(part) if isinstance(part, int) else part for part in parts)
    return with_sections({PROGRAM: b"\1" + deflated(body)})


def rising(count: int) -> bytes:
    """0, 1, 2, … of 32 bits, by planes."""
    high = np.arange(count, dtype="<u4").view("u1").reshape(-1, 4)
    return PLANES + b"\0" + high.T.tobytes()


LONG_GAPS = gaps(MOST, planes(2), planes(8))
ALL_ZERO_BITS = GAP + b"\0"
ENTRIES = varint(2**18) * 2 + numbers(constant(0)) + numbers(constant(0))
OUT, SMALL_OUT = 8 * MOST, 2 * MOST
CODERS = {
    "gaps and values by fixed": (longs(gaps(MOST, constant(0), constant(5))), OUT),
    "gaps and values by planes": (longs(gaps(MOST, planes(2), planes(8))), OUT),
    "gaps by huffman, values by rans": (
        longs(gaps(MOST, HUFFMAN + b"\1\0", RANS + b"\1" + wide(5))),
        OUT,
    ),
    "a bitmap": (longs(BITMAP + b"\xff" * (MOST // 8) + planes(8)), OUT),
    "planes": (longs(planes(8)), OUT),
    "a context code of two rows": (
        longs(CONTEXT + b"\0\1" + bytes(2), (2, MOST // 2)),
        OUT,
    ),
    "a context code of large magnitudes": (
        longs(CONTEXT + b"\0\x40" + b"\xff" * 5000, (2, MOST // 2)),
        OUT,
    ),
    "a context code of large kernels": (
        longs(CONTEXT + b"\0\x40" + b"\xff" * 5000, (2, MOST // 98, 49)),
        OUT,
    ),
    "values by the context coder": (
        longs(gaps(MOST, constant(0), CONTEXT + b"\0\x40" + b"\xff" * 5000)),
        OUT,
    ),
    "blocks": (one((2**26,), PLAIN + blocks([ALL_ZERO_BITS] * 64), dtype=U8), 2**26),
}
THREADS = {
    "blocks of gaps": (
        longs(blocks([gaps(2**20, planes(2), planes(8))] * 16), (16, 2**20)),
        2**27,
    ),
    "blocks of context codes": (
        longs(blocks([CONTEXT + b"\0\x40" + b"\xff" * 5000] * 16), (16, 2, 2**19)),
        2**27,
    ),
}
GRIDS = {
    "codes much wider than values": (
        one((MOST,), CODEBOOK + b"\0\1\0" + constant(0), dtype=U8),
        MOST,
    ),
    "half a million entries": (one((9,), CODEBOOK + ENTRIES + constant(0), dtype=I64), 72),
    "codebooks for 65,536 tiles": (
        one(
            (2**16, 8),
            CODEBOOKS + b"\1" + numbers(constant(4)) * 2 + numbers(constant(0)) * 2 + constant(0),
            dtype=I64,
        ),
        2**22,
    ),
    "four million scales": (
        one(
            (NUMBERS,),
            UNIFORM + b"\0\1" + numbers(constant(SCALE)) + blocks([constant(0)] * 4),
            dtype=F16,
        ),
        2 * NUMBERS,
    ),
    "scales for groups": (
        one(
            (2**10, 2**12),
            UNIFORM
            + b"\2\3\1\1"
            + numbers(PLANES + varint(30) + b"\3\2\1\0" * 3 + b"\3\2\1\x7e")
            + blocks([constant(0)] * 4),
        ),
        4 * NUMBERS,
    ),
    "four million product codes, a million numbers": (
        one(
            (2**12, 2**10),
            PRODUCTS
            + b"\1\1"
            + varint(2**10 - 1)
            + numbers(planes(8))
            + blocks([gaps(2**20, constant(0), constant(1))] * 4),
            dtype=F64,
        ),
        8 * NUMBERS,
    ),
    "product codes of sixteen stages": (
        one(
            (2**12, 2**6),
            PRODUCTS
            + b"\x10\1"
            + varint(2**10 - 1)
            + numbers(planes(2))
            + blocks([constant(0)] * 4),
            dtype=F16,
        ),
        2**19,
    ),
    "four million rows": (
        one((NUMBERS, 1), ROWS + b"\1" + numbers(constant(0)) + PLAIN + RAW + b"\0", dtype=U8),
        NUMBERS,
    ),
    "four million rows of nothing": (
        one((NUMBERS, 0), ROWS + b"\1" + numbers(constant(0)) + PLAIN + RAW, dtype=U8),
        0,
    ),
    "four million rows, numbered by planes": (
        one(
            (NUMBERS, 1),
            ROWS + varint(2**16 + 1) + numbers(planes(4)) + PLAIN + ALL_ZERO_BITS,
            dtype=U64,
        ),
        0,
    ),
    "rows that are all different": (
        one((MOST, 1), ROWS + varint(MOST) + numbers(rising(MOST)) + PLAIN + LONG_GAPS, dtype=U64),
        OUT,
    ),
}
SECTIONS = {
    "a program of nodes": (program(20, 0, 0, 65_000, b"\1\0\0\0" * 65_000, 0), 0),
    "a program of integers": (
        program(20, 0, 0, 1, b"\1\0\1\1\3", 500_000, b"\xff\xff\xff\xff\x0f" * 500_000, 0, 0),
        0,
    ),
    "a program of texts": (program(20, 0, 0, 1, b"\1\0\1\1\5", 240_000, b"\1a" * 240_000, 0, 0), 0),
    "a program of outputs": (
        program(
            20, 0, 0, 1_201, (b"\1\0\0" + varint(100)) * 1_200, b"\1\0\1\1\2", text("a" * 99), 0, 0
        ),
        0,
    ),
    "a program of constants": (program(20, 65_000, b"\x08\0a" * 65_000, 0, 0, 0), 0),
    "a program of one long text": (
        program(20, 0, 0, 1, b"\1\0\1\1\2", text("a" * 4_000_000 + "\U0001f600"), 0, 0),
        0,
    ),
    "a program of one long array": (
        program(20, 1, I64, 1, 1_000_000, bytes(1_000_000), 0, 0, 0),
        0,
    ),
    "a program of one large constant": (
        program(20, 1, U8, 1, 2**24 - 20, bytes(2**24 - 20), 0, 0, 0),
        0,
    ),
    "JSON of lists": (
        with_sections({ABOUT: deflated(b'{"a":[' + b"[]," * 349_000 + b"1]}")}),
        0,
    ),
    "JSON of objects": (
        with_sections({ABOUT: deflated(b'{"a":[' + b'{"":0},' * 149_000 + b"1]}")}),
        0,
    ),
    "JSON of numbers": (
        with_sections({ABOUT: deflated(b'{"a":[' + b"1.5," * 260_000 + b"1]}")}),
        0,
    ),
    "a probe of outputs": (with_sections({PROBE: b"\0" + varint(2**17 - 9) + bytes(2**17 - 9)}), 0),
    "a probe of inputs": (
        with_sections({PROBE: varint(2**16 - 9) + b"\1\0" * (2**16 - 9) + b"\0"}),
        0,
    ),
    "a skeleton": (with_sections({FOREIGN: b"\1" + deflated(bytes(2**26))}), 2**26),
    "members of a zip": (
        with_sections(
            {
                FOREIGN: b"\2"
                + deflated(b"\0" + varint(2**16) + b"".join(b"\4%04x\0" % i for i in range(2**16)))
            }
        ),
        2**19,
    ),
}


def many(name_bytes: int, dimensions: int, cuts: bool = False) -> bytes:
    """As many tensors as a file holds, tied to the first of them."""
    sizes, first = (1,) * dimensions, PLAIN + RAW + b"\0"
    names = [b"n" * name_bytes + b"%05x" % i for i in range(TENSORS)]
    records = [record(names[0], sizes, first, dtype=U8)]
    records += [
        record(name[name_bytes:], sizes, SAME + b"\0", shared=name_bytes, dtype=U8)
        for name in names[1:]
    ]
    payloads = first + (SAME + b"\0") * (TENSORS - 1)
    if not cuts:
        return lac(records, payloads)
    section = {FOREIGN: b"\1" + deflated(varint(TENSORS) + bytes(2 * TENSORS))}
    return with_sections(section, records, payloads)


HEADERS = {
    "as many tensors as can be": (many(0, 0), 1),
    "as many tensors with long names": (many(50, 0), 1),
    "as many tensors with many dimensions": (many(1, 16), 1),
    "as many cuts": (many(0, 0, cuts=True), 2**18),
}
HUNGRY = CODERS | THREADS | GRIDS | SECTIONS | HEADERS
