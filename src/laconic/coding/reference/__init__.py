"""The inner loops of the coders in NumPy: what `laconic._native` computes, byte for byte.

Arrays are flat, C-contiguous and unsigned (8, 16, 32 or 64 bits); the caller makes the outputs and
gives their exact size. A function that reads bytes from outside returns `GOOD`, or the position of
the byte (or entry) that is wrong, the input's size where it is too short; the output then holds
unspecified values. A caller's own mistake is a ValueError. No function allocates from a number
found in the bytes.
"""

from __future__ import annotations

from laconic.coding.forms import Bits, Bytes
from laconic.coding.reference.arithmetic import context_decode, context_encode
from laconic.coding.reference.bits import pack_bits, unpack_bits
from laconic.coding.reference.common import GOOD
from laconic.coding.reference.context import MOST_SEEN
from laconic.coding.reference.huffman import (
    LONGEST_CODE,
    MOST_SYMBOLS,
    histogram,
    huffman_decode,
    huffman_encode,
)
from laconic.coding.reference.planes import plane_join, plane_split
from laconic.coding.reference.rans import rans_decode, rans_encode
from laconic.coding.reference.sparse import bitmap_join, bitmap_split, gap_join, gap_split

__all__ = [
    "GOOD",
    "LONGEST_CODE",
    "MOST_SEEN",
    "MOST_SYMBOLS",
    "Bits",
    "Bytes",
    "bitmap_join",
    "bitmap_split",
    "context_decode",
    "context_encode",
    "gap_join",
    "gap_split",
    "histogram",
    "huffman_decode",
    "huffman_encode",
    "pack_bits",
    "plane_join",
    "plane_split",
    "rans_decode",
    "rans_encode",
    "unpack_bits",
]
