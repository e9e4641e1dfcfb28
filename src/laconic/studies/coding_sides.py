"""The coders that `laconic study coding` compares, ours and others', behind one interface."""

from __future__ import annotations

import lzma
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from laconic import coding
from laconic.coding import IntArray, Reader
from laconic.coding.huffman import Huffman
from laconic.errors import CodingError, DataError
from laconic.studies.coding_deepcabac import DeepCabac, fitted

OURS = "smallest"
"""The preset that counts as ours."""
DEEPCABAC = "DeepCABAC"
DEEP_COMPRESSION = "Deep Compression"
ZSTD, XZ = "zstd -19", "xz -9"


class Side(ABC):
    """One coder, set up for the layers of one network; only the codes cost bytes.

    Shapes and dtypes are known beside the bytes, for every side.
    """

    def __init__(self, layers: Sequence[IntArray]) -> None:
        """Choose settings for these layers; the time for it is not measured.

        Raises:
            CodingError: it cannot hold them.
        """
        self.known = [(layer.shape, layer.dtype) for layer in layers]

    @abstractmethod
    def encode(self, layers: Sequence[IntArray]) -> list[bytes]:
        """The layers as bytes, in as many pieces as the coder likes."""

    @abstractmethod
    def decode(self, pieces: list[bytes]) -> list[IntArray]:
        """The codes of all layers again."""


class Ours(Side):
    """A coder or a preset of `laconic.coding` by name; a piece a layer."""

    def __init__(self, coder_name: str, layers: Sequence[IntArray]) -> None:
        super().__init__(layers)
        self.coder_name = coder_name

    def encode(self, layers: Sequence[IntArray]) -> list[bytes]:
        if self.coder_name in coding.PRESETS:
            return [b"".join(coding.chosen(layer, self.coder_name)) for layer in layers]
        return [coding.encode(layer, self.coder_name) for layer in layers]

    def decode(self, pieces: list[bytes]) -> list[IntArray]:
        return [
            coding.decode(piece, shape, dtype)
            for piece, (shape, dtype) in zip(pieces, self.known, strict=True)
        ]


class Nncodec(Side):
    """DeepCABAC, each layer with the best of its settings; a piece a layer."""

    def __init__(self, layers: Sequence[IntArray]) -> None:
        super().__init__(layers)
        self.coders: list[DeepCabac] = [fitted(layer) for layer in layers]

    def encode(self, layers: Sequence[IntArray]) -> list[bytes]:
        return [coder.encode(layer) for coder, layer in zip(self.coders, layers, strict=True)]

    def decode(self, pieces: list[bytes]) -> list[IntArray]:
        return [
            coder.decode(piece).astype(dtype)
            for coder, piece, (_, dtype) in zip(self.coders, pieces, self.known, strict=True)
        ]


class DeepCompression(Side):
    """Relative indices and non-zeros, both Huffman coded (arXiv:1510.00149, sections 2 and 4).

    A layer takes three pieces: the gaps, the values, the number of both. The width of a gap is the
    best of 2 to 8 bits (the paper: 5 or 8), or 0 where Huffman codes of all codes are smaller.
    """

    WIDTHS = (0, *range(2, 9))

    def __init__(self, layers: Sequence[IntArray]) -> None:
        super().__init__(layers)
        self.widths = [
            min(self.WIDTHS, key=lambda width: _length(_huffman(layer, width))) for layer in layers
        ]

    def encode(self, layers: Sequence[IntArray]) -> list[bytes]:
        pairs = zip(layers, self.widths, strict=True)
        return [piece for layer, width in pairs for piece in _huffman(layer, width)]

    def decode(self, pieces: list[bytes]) -> list[IntArray]:
        found = []
        for number, (shape, dtype) in enumerate(self.known):
            gap_bytes, value_bytes, count_bytes = pieces[3 * number : 3 * number + 3]
            if self.widths[number] == 0:
                found.append(Huffman().decode(Reader(value_bytes), shape, dtype))
                continue
            entries = (int.from_bytes(count_bytes, "little"),)
            gaps = Huffman().decode(Reader(gap_bytes), entries, np.uint8)
            values = Huffman().decode(Reader(value_bytes), entries, dtype)
            layer = np.zeros(shape, dtype)
            layer.reshape(-1)[np.cumsum(gaps + np.int64(1)) - 1] = values
            found.append(layer)
        return found


def _huffman(layer: IntArray, width: int) -> tuple[bytes, bytes, bytes]:
    if width == 0:
        return b"", Huffman().encode(layer), b""
    gaps, values = relative(layer, width)
    return Huffman().encode(gaps), Huffman().encode(values), len(gaps).to_bytes(4, "little")


def relative(layer: IntArray, width: int) -> tuple[IntArray, IntArray]:
    """Zeros before each entry, and its value; a longer gap is bridged by entries of value 0.

    Examples:
        >>> gaps, values = relative(np.array([0, 3, 0, 0, 0, 0, 0, 4, 0]), 2)
        >>> gaps.tolist(), values.tolist()
        ([1, 3, 1], [3, 0, 4])
    """
    flat = layer.reshape(-1)
    places = np.flatnonzero(flat)
    runs = np.diff(places, prepend=-1) - 1
    ends = np.cumsum((runs >> width) + 1)  # a filler bridges 2^width places
    total = int(ends[-1]) if ends.size else 0
    gaps = np.full(total, (1 << width) - 1, np.uint8)
    values = np.zeros(total, layer.dtype)
    gaps[ends - 1] = runs & ((1 << width) - 1)
    values[ends - 1] = flat[places]
    return gaps, values


def _length(pieces: Sequence[bytes]) -> int:
    return sum(map(len, pieces))


class General(Side):
    """A compressor of bytes, given all layers as one stream: better for it than one at a time."""

    def __init__(
        self,
        compress: Callable[[bytes], bytes],
        decompress: Callable[[bytes], bytes],
        layers: Sequence[IntArray],
    ) -> None:
        super().__init__(layers)
        self.compress, self.decompress = compress, decompress

    def encode(self, layers: Sequence[IntArray]) -> list[bytes]:
        return [self.compress(b"".join(layer.tobytes() for layer in layers))]

    def decode(self, pieces: list[bytes]) -> list[IntArray]:
        stream, position, found = self.decompress(pieces[0]), 0, []
        for shape, dtype in self.known:
            count = int(np.prod(shape, dtype=np.int64))
            found.append(np.frombuffer(stream, dtype, count, position).reshape(shape))
            position += count * dtype.itemsize
        return found


def zstandard() -> Any:
    """The module of that name.

    Raises:
        DataError: it is not installed.
    """
    try:
        import zstandard as module
    except ImportError as error:
        raise DataError("the comparison needs zstandard; run: pip install zstandard") from error
    return module


def compress_xz(data: bytes) -> bytes:
    """What ``xz -9`` makes of them."""
    return lzma.compress(data, preset=9)


def compress_zstd(data: bytes) -> bytes:
    """What ``zstd -19`` makes of them."""
    return bytes(zstandard().ZstdCompressor(level=19).compress(data))


def decompress_zstd(data: bytes) -> bytes:
    """What `compress_zstd` was given."""
    return bytes(zstandard().ZstdDecompressor().decompress(data))


def sides() -> dict[str, Callable[[Sequence[IntArray]], Side]]:
    """Name → what sets a side up: each registered coder, each preset, and the others."""
    ours: dict[str, Callable[[Sequence[IntArray]], Side]] = {
        name: partial(Ours, name) for name in (*coding.registered(), *coding.PRESETS)
    }
    return ours | {
        DEEPCABAC: Nncodec,
        DEEP_COMPRESSION: DeepCompression,
        ZSTD: partial(General, compress_zstd, decompress_zstd),
        XZ: partial(General, compress_xz, lzma.decompress),
    }


def narrowest(codes: IntArray) -> IntArray:
    """The same codes in the first of int8, int16, int32 and int64 that holds them, C order.

    Raises:
        CodingError: none does.
    """
    least, most = (int(codes.min()), int(codes.max())) if codes.size else (0, 0)
    for dtype in ("int8", "int16", "int32", "int64"):
        limits = np.iinfo(dtype)
        if limits.min <= least and most <= limits.max:
            return np.ascontiguousarray(codes, np.dtype(dtype))
    raise CodingError(f"codes up to {most} need more than 64 bits with their sign")
