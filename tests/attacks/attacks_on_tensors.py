"""Attacks 100 to 299: payloads, ties, rows, grids and the coders of their codes."""

import numpy as np
from liar import (
    BITMAP,
    BLOCKS,
    CODEBOOK,
    CODEBOOKS,
    CONTEXT,
    FIXED,
    FLOATS,
    GAP,
    GOOD,
    HUFFMAN,
    I8,
    PLAIN,
    PLANES,
    PRODUCTS,
    RANS,
    RAW,
    ROWS,
    SAME,
    U8,
    UNIFORM,
    constant,
    lac,
    numbers,
    one,
    record,
    varint,
)  # fmt: skip

ONE = b"\0\0\x80\x3f"
"""The scale 1."""
ROOM = 2**21
"""Items that a coder may hold in one piece."""


def pair(first: bytes, second: bytes, *, shape: tuple[int, ...] = (2,), dtype: int = 0) -> bytes:
    """A file of two tensors, the second of which may be of another kind."""
    records = [record("a", (2,), first), record("b", shape, second, dtype=dtype)]
    return lac(records, first + second)


def coded(data: bytes, count: int = 8, dtype: int = U8) -> bytes:
    """A file of one tensor whose codes are these bytes."""
    return one((count,), PLAIN + data, dtype=dtype)


def uniform(form: int, tiling: bytes, scales: bytes, codes: bytes = RAW + b"\1\1") -> bytes:
    return one((2,), UNIFORM + bytes([form]) + tiling + scales + codes)


PAYLOADS = {
    "100 an unknown grid": (one((2,), b"\x09" + GOOD), "w: no grid has number 9"),
    "101 an unknown coder": (one((2,), PLAIN + b"\x7f" + FLOATS), "no coder has number 127"),
    "102 no coder": (one((2,), PLAIN), "1 bytes were promised, 0 are left"),
    "103 too few bytes for the shape": (
        one((2,), GOOD[:-1]),
        "raw items take 8 bytes, 7 are there",
    ),
    "104 too many bytes for the shape": (
        one((2,), GOOD + b"!"),
        "raw items take 8 bytes, 9 are there",
    ),
    "105 bytes for no items": (one((0,), PLAIN + FIXED + b"\0"), "1 bytes are left over"),
}
TIES = {
    "110 a tensor tied to itself": (
        one((2,), SAME + b"\0"),
        "w claims to equal tensor 0, which is not before it",
    ),
    "111 a tensor tied to a later one": (
        pair(SAME + b"\1", GOOD),
        "a claims to equal tensor 1, which is not before it",
    ),
    "112 two tensors tied to each other": (
        pair(SAME + b"\1", SAME + b"\0"),
        "a claims to equal tensor 1, which is not before it",
    ),
    "113 a tensor tied to one that does not exist": (
        pair(GOOD, SAME + varint(2**62)),
        "which is not before it",
    ),
    "114 a tensor tied to another shape": (
        pair(GOOD, SAME + b"\0", shape=(1, 2)),
        "b claims to equal a of another shape or dtype",
    ),
    "115 a tensor tied to another dtype": (
        pair(GOOD, SAME + b"\0", dtype=6),
        "b claims to equal a of another shape or dtype",
    ),
    "116 a tensor tied to a tied one": (
        lac(
            [
                record("a", (2,), GOOD),
                *(record(n, (2,), SAME + bytes([i])) for i, n in enumerate("bc")),
            ],
            GOOD + SAME + b"\0" + SAME + b"\1",
        ),
        "c equals b, which is itself a reference",
    ),
    "117 bytes behind a tie": (pair(GOOD, SAME + b"\0!"), "1 bytes are left over"),
    "118 bytes behind a tie, more than any tie": (
        pair(GOOD, SAME + b"\0" * 20),
        "b: no grid has number 255",
    ),
}
REPEATS = {
    "120 rows of a scalar": (one((), ROWS + b"\1" + GOOD), "no rows can repeat in a shape of []"),
    "121 no rows at all": (one((0, 2), ROWS + b"\1" + GOOD), "no rows can repeat"),
    "122 more rows than a table holds": (
        one((2**22 + 1, 0), ROWS + b"\1" + numbers(constant(0))),
        "no rows can repeat in a shape of [4194305, 0]",
    ),
    "123 more distinct rows than rows": (
        one((2,), ROWS + b"\3\0\0\1" + GOOD),
        "a number is 3; at most 2 is possible",
    ),
    "124 rows that are not numbered as they appear": (
        one((2,), ROWS + b"\2\0\1\0" + GOOD),
        "the 2 rows are not numbered as they appear",
    ),
    "125 a row that no number names": (
        one((2,), ROWS + b"\2\0\0\0" + GOOD),
        "the 2 rows are not numbered as they appear",
    ),
    "126 rows inside rows": (
        one((2,), ROWS + b"\1\0\0\0" + ROWS + GOOD),
        "w: no grid of rows has number 4",
    ),
    "127 a tie inside rows": (
        one((2,), ROWS + b"\1\0\0\0" + SAME + b"\0"),
        "w: no grid of rows has number 255",
    ),
}
CODEBOOK_TABLES = {
    "130 a codebook longer than the payload": (
        one((2,), CODEBOOK + varint(2**10) + varint(0) + RAW),
        "bytes were promised",
    ),
    "131 a codebook of 2^40 entries": (
        one((2,), CODEBOOK + varint(2**40) + varint(0) + RAW),
        "at most 524288 is possible",
    ),
    "132 a codebook of more entries than any": (
        one((2,), CODEBOOK + varint(2**19) * 2 + RAW),
        "1,048,576 codebook entries; at most 524,288 can be",
    ),
    "133 entries beyond the dtype": (
        one((2,), CODEBOOK + b"\0\2" + b"\xff" + numbers(constant(0)), dtype=U8),
        "a codebook has entries that U8 has not",
    ),
    "134 entries whose steps wrap round": (
        one((2,), CODEBOOK + b"\0\3" + b"\5" + b"\0\xff\xff" + RAW + b"\0\0", dtype=U8),
        "a codebook has entries that U8 has not",
    ),
    "135 entries below zero of an unsigned type": (
        one((2,), CODEBOOK + b"\1\0" + b"\5" + RAW + b"\0\0", dtype=U8),
        "a codebook has entries that U8 has not",
    ),
    "136 a code that the codebook has not": (
        one((2,), CODEBOOK + b"\0\0" + RAW + b"\0\1"),
        "codes from 0 to 1 are outside the grid [0, 0]",
    ),
    "137 a codebook for each of 2^17 tiles": (
        one((2**17,), CODEBOOKS + b"\1" + b"\0" * 20),
        "131,072 codebooks; at most 65,536 can be",
    ),
    "138 codebooks of 2^32 entries together": (
        one((2**16,), CODEBOOKS + b"\1" + numbers(constant(65535)) * 2),
        "8,589,803,520 codebook entries; at most 524,288 can be",
    ),
    "139 a code outside the codebook of its tile": (
        one(
            (2,),
            CODEBOOKS + b"\1" + b"\0\0\0\0\0" + b"\0\1\0\0\0" + b"\5" + RAW + b"\0\1",
            dtype=U8,
        ),
        "a code is outside the codebook of its tile",
    ),
}
UNIFORM_TABLES = {
    "140 a uniform grid of integers": (
        one((2,), UNIFORM + b"\0\0" + ONE + RAW + b"\1\1", dtype=I8),
        "a uniform grid holds F32, F16, BF16, not I8",
    ),
    "141 codes of an unknown width": (
        uniform(3, b"\0", ONE),
        "no uniform grid of F32 has the form 3",
    ),
    "142 an unknown rounding": (uniform(12, b"\0", ONE), "no uniform grid of F32 has the form 12"),
    "143 a form with bits that mean nothing": (
        uniform(0x80, b"\0", ONE),
        "no uniform grid of F32 has the form 128",
    ),
    "144 a tiling of an axis that is not there": (uniform(0, b"\3", ONE), "at most 2 is possible"),
    "145 tiles of size 0": (uniform(0, b"\2\0", ONE), "a tile of shape (0,) holds nothing"),
    "146 tiles larger than the tensor": (uniform(0, b"\2\3", ONE), "at most 2 is possible"),
    "147 a tile of 2^62 items": (
        uniform(0, b"\2" + varint(2**62), ONE),
        "at most 2 is possible",
    ),
    "148 millions of scales": (
        one((2**24,), UNIFORM + b"\0\1" + numbers(constant(1)) + RAW),
        "a table of 16,777,216 numbers; at most 4,194,304 can be",
    ),
    "149 scales longer than the payload": (
        uniform(0, b"\1", b"\0" * 7, b""),
        "8 bytes were promised",
    ),
    "150 a scale that is NaN": (
        uniform(0, b"\0", np.float32(np.nan).tobytes()),
        "a scale is not finite, or 0",
    ),
    "151 a scale that is infinite": (
        uniform(0, b"\0", np.float32(np.inf).tobytes()),
        "a scale is not finite, or 0",
    ),
    "152 a scale that is zero": (uniform(0, b"\0", bytes(4)), "a scale is not finite, or 0"),
    "153 a scale that is minus zero": (
        uniform(0, b"\0", np.float32(-0.0).tobytes()),
        "a scale is not finite, or 0",
    ),
    "154 a code beyond 2^24": (
        one((1,), UNIFORM + b"\2\0" + ONE + RAW + b"\1\0\0\1"),
        "are outside the grid",
    ),
    "155 scales as a part of raw items": (
        uniform(0, b"\1", numbers(RAW + ONE * 2)),
        "a part is coded by coder 0",
    ),
    "156 scales as a part of gaps": (uniform(0, b"\1", numbers(GAP + b"\0")), "coded by coder 3"),
    "157 scales as a part in blocks": (uniform(0, b"\1", numbers(BLOCKS + b"\x14")), "by coder 8"),
}
IN_ONE_PIECE = {
    f"{160 + i} {ROOM + 1:,} items in one piece by {what}": (
        one((ROOM + 1,), PLAIN + data, dtype=U8),
        "without blocks; at most 2097152 can be",
    )
    for i, (what, data) in enumerate(
        {
            "fixed": constant(0),
            "huffman": HUFFMAN + b"\1\0",
            "gap": GAP + b"\0",
            "bitmap": BITMAP,
            "planes": PLANES,
            "context": CONTEXT + b"\0\0",
            "rans": RANS + b"\1\0",
        }.items()
    )
}
PRODUCT_TABLES = {
    "170 product codes of integers": (
        one((2,), PRODUCTS + b"\1\1\0" + RAW + b"\0\0", dtype=I8),
        "product codes hold F32, F16, BF16, F64, not I8",
    ),
    "171 product codes without a stage": (
        one((2,), PRODUCTS + b"\0\1\0" + RAW),
        "0 stages of segments of 1 do not make the shape [2]",
    ),
    "172 product codes of more stages than any": (
        one((2,), PRODUCTS + b"\x11\1\0" + RAW),
        "a number is 17; at most 16 is possible",
    ),
    "173 segments that do not divide a row": (
        one((2, 3), PRODUCTS + b"\1\2\0" + RAW),
        "1 stages of segments of 2 do not make the shape [2, 3]",
    ),
    "174 segments longer than a row": (
        one((2, 3), PRODUCTS + b"\1\4\0" + RAW),
        "a number is 4; at most 3 is possible",
    ),
    "175 segments of nothing": (
        one((2, 3), PRODUCTS + b"\1\0\0" + RAW),
        "1 stages of segments of 0 do not make the shape [2, 3]",
    ),
    "176 product codes of no values": (
        one((0, 2), PRODUCTS + b"\1\1\0" + RAW),
        "1 stages of segments of 1 do not make the shape [0, 2]",
    ),
    "177 product codebooks of 2^30 numbers": (
        one((1, 2**15), PRODUCTS + b"\1\1" + varint(2**15 - 1) + numbers(constant(0))),
        "product codebooks of 1,073,741,824 numbers; at most 1,048,576 can be",
    ),
    "178 more product codes than any": (
        one((2**22 + 1, 1), PRODUCTS + b"\1\1\0" + constant(0)),
        "4,194,305 product codes; at most 4,194,304 can be",
    ),
    "179 product codebooks longer than the payload": (
        one((1, 4), PRODUCTS + b"\1\2\1" + b"\0" + bytes(15)),
        "16 bytes were promised, 15 are left",
    ),
    "180 a product code that the codebook has not": (
        one((2, 2), PRODUCTS + b"\1\2\1" + b"\0" + ONE * 2 + RAW + b"\1\2"),
        "codes from 1 to 2 are outside the grid [0, 1]",
    ),
    "181 product codes in one piece for values": (
        one((2, 2), PRODUCTS + b"\1\2\1" + b"\0" + ONE * 2 + RAW + b"\1\1\1\1"),
        "raw items take 2 bytes, 4 are there",
    ),
}
TABLES = CODEBOOK_TABLES | UNIFORM_TABLES
ATTACKS = PAYLOADS | TIES | REPEATS | TABLES | IN_ONE_PIECE | PRODUCT_TABLES
