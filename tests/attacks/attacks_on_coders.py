"""Attacks 200 to 299: the bytes of each coder."""

from attacks_on_tensors import coded
from liar import (
    BITMAP,
    BLOCKS,
    CONTEXT,
    FIXED,
    GAP,
    HUFFMAN,
    I64,
    PLANES,
    RANS,
    RAW,
    U64,
    blocks,
    constant,
    crc,
    varint,
)  # fmt: skip

from laconic.coding.integers import wide

HUGE = 2**21
"""Items that a coder may hold in one piece."""
TWO = b"\2\0\0"
"""Symbols 0 and 1."""

FIXED_ATTACKS = {
    "200 items wider than the type": (
        coded(FIXED + b"\x09\0" + bytes(9)),
        "9 bits a code do not fit uint8",
    ),
    "201 items above the type": (
        coded(FIXED + b"\1" + wide(255) + b"\xff"),
        "values from 255 to 256 do not fit uint8",
    ),
    "202 a lowest item below the type": (
        coded(FIXED + b"\1" + wide(-1) + b"\xff"),
        "values from -1 to -1 do not fit uint8",
    ),
    "203 a number longer than ten bytes": (
        coded(FIXED + b"\1" + b"\xff" * 11),
        "a number is longer than 10 bytes",
    ),
    "204 a number not in its shortest form": (
        coded(FIXED + b"\1\x80\0\0"),
        "a number is not in its shortest form",
    ),
    "205 fewer items than the shape has": (
        coded(FIXED + b"\1\0" + b"\1", 9),
        "9 codes of 1 bits take 2 bytes, 1 are there",
    ),
    "206 two million items from no bytes": (
        coded(FIXED + b"\1\0", HUGE),
        "take 262144 bytes, 0 are there",
    ),
    "207 spare bits that are set": (
        coded(FIXED + b"\1\0" + b"\xff", 7),
        "its spare bits are not 0",
    ),
}
HUFFMAN_ATTACKS = {
    "210 no symbols": (coded(HUFFMAN + b"\0\0"), "a table of no symbols cannot describe codes"),
    "211 2^40 symbols": (coded(HUFFMAN + varint(2**40)), "at most 65536 is possible"),
    "212 65,536 symbols from ten bytes": (
        coded(HUFFMAN + varint(2**16) + b"\0\x08" + bytes(8)),
        "65535 bytes were promised, 8 are left",
    ),
    "213 symbols beyond the type": (
        coded(HUFFMAN + varint(2) + wide(255) + b"\0"),
        "values from 255 to 256 do not fit uint8",
    ),
    "214 symbols whose steps add up to more than 64 bits": (
        coded(HUFFMAN + b"\3\0\x40" + b"\xff" * 16, dtype=U64),
        "do not fit uint64",
    ),
    "215 steps of 66 bits": (coded(HUFFMAN + b"\2\0\x42"), "steps between symbols have 66 bits"),
    "216 a bitmap of symbols that promises gigabytes": (
        coded(HUFFMAN + b"\2\0\x41" + varint(2**40)),
        "a number is 1099511627776; at most",
    ),
    "217 a bitmap of symbols as long as the file": (
        coded(HUFFMAN + b"\2\0\x41" + varint(8 * 4096) + b"\xff" * 4096),
        "a number is 32768; at most 64 is possible",
    ),
    "218 a bitmap of symbols that marks others": (
        coded(HUFFMAN + b"\3\0\x41\x09\0\1"),
        "the bitmap of symbols does not mark 2 up to the last",
    ),
    "219 a code that is over-subscribed": (coded(HUFFMAN + b"\3\0\0" + b"\1"), "over-subscribed"),
    "220 a code that is incomplete": (coded(HUFFMAN + TWO + b"\2"), "incomplete"),
    "221 a code of length 0": (
        coded(HUFFMAN + TWO + b"\0"),
        "code lengths must lie from 1 to 20 bits",
    ),
    "222 a code of length 31": (
        coded(HUFFMAN + TWO + b"\x1f"),
        "code lengths must lie from 1 to 20 bits",
    ),
    "223 two million items from one byte": (
        coded(HUFFMAN + TWO + b"\1\0", HUGE),
        "2097152 codes do not fit the 1 bytes left",
    ),
    "224 a payload for one symbol": (coded(HUFFMAN + b"\1\0!"), "the Huffman payload"),
    "225 a payload that ends early": (
        coded(HUFFMAN + b"\3\0\0\x21\6\xff"),
        "the Huffman payload ends early",
    ),
}
GAP_ATTACKS = {
    "230 2^40 entries": (coded(GAP + varint(2**40)), "at most 8 is possible"),
    "231 gaps of 0 bits": (coded(GAP + b"\1\0"), "a gap of 0 bits"),
    "232 gaps of 17 bits": (coded(GAP + b"\1\x11"), "a gap of 17 bits"),
    "233 gaps longer than the payload": (
        coded(GAP + b"\1\1" + varint(2**40)),
        "a number is 1099511627776; at most",
    ),
    "234 a gap wider than promised": (
        coded(GAP + b"\1\1\3" + constant(2) + constant(1)),
        "a gap of 2 is wider than 1 bits",
    ),
    "235 an entry behind the last item": (
        coded(GAP + b"\5\1\3" + constant(1) + constant(1)),
        "entry 4 lies behind the last of 8 items",
    ),
    "236 gaps by a coder that is none of a part": (
        coded(GAP + b"\1\1\2" + RAW + b"\0" + constant(1)),
        "a part is coded by coder 0",
    ),
    "237 values by gaps again": (
        coded(GAP + b"\1\1\3" + constant(0) + GAP + b"\0"),
        "a part is coded by coder 3",
    ),
    "238 values that are missing": (
        coded(GAP + b"\1\1\3" + constant(0)),
        "1 bytes were promised, 0 are left",
    ),
}
BITMAP_ATTACKS = {
    "240 a bitmap that is missing": (coded(BITMAP, HUGE), "262144 bytes were promised, 0 are left"),
    "241 spare bits that are set": (coded(BITMAP + b"\xff" + constant(1), 7), "the bitmap"),
    "242 values by a bitmap again": (coded(BITMAP + b"\1" + BITMAP), "a part is coded by coder 4"),
}
PLANES_ATTACKS = {
    "250 planes that the type has not": (
        coded(PLANES + b"\4"),
        "a number is 4; at most 3 is possible",
    ),
    "251 a plane longer than the payload": (
        coded(PLANES + b"\2" + varint(2**40)),
        "a number is 1099511627776; at most",
    ),
    "252 a plane of two million items from no bytes": (
        coded(PLANES + b"\0", HUGE),
        "2097152 bytes were promised, 0 are left",
    ),
    "253 a plane by planes again": (
        coded(PLANES + b"\2\2" + PLANES + b"\0"),
        "a plane is coded by coder 5",
    ),
    "254 a plane by gaps": (coded(PLANES + b"\2\2" + GAP + b"\0"), "a plane is coded by coder 3"),
    "255 bytes behind the last plane": (
        coded(PLANES + b"\2\3" + HUFFMAN + b"\1\0!"),
        "1 bytes are left over",
    ),
}
CONTEXT_ATTACKS = {
    "260 an origin beyond the type": (
        coded(CONTEXT + wide(256) + b"\0"),
        "values from 256 to 256 do not fit uint8",
    ),
    "261 magnitudes of more bits than the type": (
        coded(CONTEXT + b"\0\x09"),
        "magnitudes of 9 bits do not fit uint8",
    ),
    "262 a code for items that are all the origin": (
        coded(CONTEXT + b"\0\0!"),
        "1 bytes are left over",
    ),
    "263 a million items of noise from no bytes": (
        coded(CONTEXT + b"\0\x40", 2**20, I64),
        "the arithmetic code ends early",
    ),
    "264 bytes behind the end of the code": (
        coded(CONTEXT + b"\0\1" + bytes(9)),
        "has bytes left over",
    ),
    "265 another ending than the shortest": (
        coded(CONTEXT + b"\0\1\xff\xff\xff\xff"),
        "the arithmetic code",
    ),
}
RANS_ATTACKS = {
    "270 4097 symbols": (coded(RANS + varint(4097)), "a number is 4097; at most 4096 is possible"),
    "271 64 lanes": (coded(RANS + TWO + b"\x30"), "2^6 lanes; at most 32 are possible"),
    "272 more symbols than slots": (
        coded(RANS + b"\x21\0\0\0"),
        "33 symbols need more than 5 bits",
    ),
    "273 frequencies that do not add up": (
        coded(RANS + TWO + b"\0" + b"\xff\xff\xff"),
        "frequencies",
    ),
    "274 a frequency of 0": (coded(RANS + TWO + b"\0" + b"\1"), "frequencies must be at least 1"),
    "275 frequencies longer than the payload": (
        coded(RANS + TWO + b"\0"),
        "1 bytes were promised, 0 are left",
    ),
    "276 a run of zeros without end": (
        coded(RANS + TWO + b"\7" + bytes(100)),
        "two frequencies differ by more than is possible",
    ),
    "277 two million items from one state": (
        coded(RANS + TWO + b"\0\x44" + b"\0\0\1\0", HUGE),
        "codes do not fit",
    ),
    "278 a state below the lowest": (
        coded(RANS + TWO + b"\0\x44" + b"\xff\xff\0\0"),
        "the rANS payload",
    ),
    "279 a payload for one symbol": (coded(RANS + b"\1\0!"), "1 bytes are left over"),
}
BLOCKS_ATTACKS = {
    "280 blocks of 2^63 items": (
        coded(BLOCKS + b"\x3f" + bytes(8)),
        "blocks of 2^63 items; from 2^12 to 2^20 can be",
    ),
    "281 blocks of 2^11 items": (coded(BLOCKS + b"\x0b" + bytes(8)), "blocks of 2^11 items"),
    "282 a table of 2^16 blocks from no bytes": (
        coded(BLOCKS + b"\x0c", 2**28),
        "524288 bytes were promised, 0 are left",
    ),
    "283 blocks longer than the payload": (
        coded(BLOCKS + b"\x14" + b"\xff" * 4 + crc(b"")),
        "the blocks take 4294967295 bytes, 0 are there",
    ),
    "284 blocks whose lengths wrap to those there": (
        coded(BLOCKS + b"\x0c" + (b"\0\0\0\x80" + crc(b"")) * 2, 2**13),
        "the blocks take 4294967296 bytes, 0 are there",
    ),
    "285 bytes behind the last block": (
        coded(blocks([constant(0)]) + b"!"),
        "the blocks take 3 bytes, 4 are there",
    ),
    "286 a block whose checksum is wrong": (
        coded(blocks([constant(0)], checksum=b"\0\0\0\0")),
        "checksum is wrong, the bytes are damaged",
    ),
    "287 a block in blocks": (
        coded(blocks([blocks([constant(0)])])),
        "a block is cut into blocks again",
    ),
    "288 a block by an unknown coder": (coded(blocks([b"\x7f"])), "no coder has number 127"),
    "289 blocks for no items": (coded(BLOCKS + b"\x14", 0), "1 bytes are left over"),
}
ATTACKS = (
    FIXED_ATTACKS | HUFFMAN_ATTACKS | GAP_ATTACKS | BITMAP_ATTACKS | PLANES_ATTACKS
    | CONTEXT_ATTACKS | RANS_ATTACKS | BLOCKS_ATTACKS
)  # fmt: skip
