"""The checksum of bytes that nobody reads."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from laconic.container.checksums import joined


@given(st.binary(max_size=40), st.lists(st.binary(max_size=300), max_size=4))
def test_checksums_of_pieces_give_that_of_the_whole(head, pieces):
    checksum = zlib.crc32(head)
    for piece in pieces:
        checksum = joined(checksum, zlib.crc32(piece), len(piece))
    assert checksum == zlib.crc32(b"".join([head, *pieces]))


def test_a_long_piece_counts_every_byte():
    piece = bytes(10_000_001)
    assert joined(zlib.crc32(b"x"), zlib.crc32(piece), len(piece)) == zlib.crc32(b"x" + piece)
    assert joined(zlib.crc32(b"x"), zlib.crc32(piece), len(piece) + 1) != zlib.crc32(b"x" + piece)
