"""DeepCABAC of the reference software, nncodec, as a lossless coder of given integers.

nncodec is the implementation of ISO/IEC 15938-17 by Fraunhofer HHI. Its quantizer is left out: the
integers go straight into the arithmetic coder and must come back. The settings that cost fewest
bytes are searched for each layer, and what a decoder must be told of them is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.coding import IntArray
from laconic.errors import CodingError, DataError

INSTALL = "pip install --no-deps nncodec==2.1.3 pybind11"
"""Without its dependencies: they replace PyTorch by another build and are not needed here."""
UNARY_LENGTHS = (*range(1, 17), 20, 24, 32)
BLOCK_SIZES = (0, 8, 16, 32, 64)
"""Of `Settings.scan`: 0 is row by row, the others square blocks of so many rows."""
MOST_SEARCHED = 2**20
"""Settings are chosen on so many codes of a layer, whole rows from its start."""


def extension() -> Any:
    """nncodec's native module.

    Raises:
        DataError: it is not installed.
    """
    try:
        from nncodec.extensions import deepCABAC
    except ImportError as error:
        raise DataError(f"the comparison needs nncodec's DeepCABAC; run: {INSTALL}") from error
    return deepCABAC


@dataclass(frozen=True)
class Settings:
    """What an encoder is free to choose for a layer."""

    unary_length: int = 10
    """Magnitudes up to here are unary in contexts of their own, the rest exponential-Golomb."""
    optimized: bool = True
    """The rates of the contexts are chosen by a first pass and sent."""
    scan: int = 0
    """An index into `BLOCK_SIZES`."""
    second_edition: bool = False
    """Profile 1: the next two tools."""
    skips_rows: bool = False
    """One flag a row that is all zeros."""
    bounded: bool = False
    """The decoder knows the least and the largest code, as if they were indices of a codebook."""


@dataclass(frozen=True)
class DeepCabac:
    """One layer's coder.

    Args:
        settings: the encoder's choices.
        shape: of the layer; its first axis counts the rows.
        least: of the codes less `centre`; used where the settings say `bounded`.
        most: the same, the largest.
        centre: subtracted from all codes, known to the decoder.
    """

    settings: Settings
    shape: tuple[int, ...]
    least: int
    most: int
    centre: int = 0

    def encode(self, codes: IntArray) -> bytes:
        """The bytes of a layer."""
        native, chosen = extension(), self.settings
        weights = as_rows(codes) - np.int32(self.centre)
        empty_rows = ~weights.any(axis=1)
        encoder = native.Encoder()
        encoder.initCtxModels(chosen.unary_length, chosen.optimized)
        encoder.encodeLayer(
            weights,
            0,  # no trellis-coded quantization
            chosen.scan,
            chosen.second_edition,
            0,  # no parent in an earlier file
            chosen.skips_rows,
            empty_rows.astype(np.int32),
            *self._rest(native),
        )
        return bytes(encoder.finish())

    def decode(self, data: bytes) -> IntArray:
        """The codes again, int32.

        Raises:
            CodingError: nncodec refuses its own bytes.
        """
        native, chosen = extension(), self.settings
        weights = as_rows(np.zeros(self.shape, np.int32))
        decoder = native.Decoder()
        decoder.setStream(np.frombuffer(data, np.uint8))
        decoder.initCtxModels(chosen.unary_length)
        # Several rows of blocks are several streams; the plain call would read the first alone.
        several = chosen.scan > 0 and len(weights) > BLOCK_SIZES[chosen.scan]
        call = decoder.decodeLayerAndCreateEPs if several else decoder.decodeLayer
        try:
            call(weights, 0, chosen.scan, chosen.second_edition, 0, *self._rest(native))
            decoder.finish()
        except RuntimeError as error:
            raise CodingError(f"nncodec refuses its own bytes: {error}") from error
        return weights.reshape(self.shape) + np.int32(self.centre)

    def _rest(self, native: Any) -> tuple[Any, ...]:
        off = (native.HdspMode.AlwaysOff, np.zeros(2, np.int8))
        if not self.settings.bounded:
            return (*off, 0, 0)
        return (*off, self.most - self.least + 1, -self.least)


def fitted(codes: IntArray) -> DeepCabac:
    """The coder of a layer with the settings that take fewest bytes and give the codes back.

    One coordinate after the other: the unary length and the optimization, then scan and tools,
    then the unary length again; all of them with codes as they are and, where no code is negative
    or none positive, with the most frequent one moved to 0.

    Raises:
        CodingError: the codes do not fit into 32 bits, or no setting gives them back.
    """
    limits = np.iinfo(np.int32)
    if not codes.size or int(codes.min()) <= limits.min or int(codes.max()) >= limits.max:
        raise CodingError("DeepCABAC takes integers of 32 bits, at least one")
    rows = as_rows(codes)
    part = rows[: max(1, MOST_SEARCHED * len(rows) // rows.size)]
    sizes: dict[DeepCabac, int] = {}
    for centre in _centres(codes):
        least, most = int(codes.min()) - centre, int(codes.max()) - centre
        _search(sizes, part, DeepCabac(Settings(), codes.shape, least, most, centre))
    for coder in sorted(sizes, key=sizes.__getitem__):
        try:
            if np.array_equal(coder.decode(coder.encode(codes)), codes):
                return coder
        except CodingError:
            continue
    raise CodingError("no setting of nncodec gives these codes back")


def as_rows(codes: IntArray) -> NDArray[np.int32]:
    """A layer as nncodec sees it: a matrix whose rows are the first axis; one row of a vector."""
    rows = len(codes) if codes.ndim > 1 else 1
    return np.ascontiguousarray(codes, np.int32).reshape(rows, -1)


def _centres(codes: IntArray) -> list[int]:
    """0, and the most frequent code where 0 is none of the inner ones."""
    if codes.min() < 0 < codes.max():
        return [0]
    values, counts = np.unique(codes, return_counts=True)
    return sorted({0, int(values[counts.argmax()])})


def _search(sizes: dict[DeepCabac, int], part: IntArray, start: DeepCabac) -> None:
    """Add coders and their bytes for a part of a layer to `sizes`."""
    tried: dict[Settings, int] = {}

    def attempt(settings: Settings) -> None:
        if settings not in tried:
            tried[settings] = len(replace(start, settings=settings).encode(part))

    for settings in _lengths(start.settings):
        attempt(settings)
    for settings in _tools(min(tried, key=tried.__getitem__), start, part):
        attempt(settings)
    for settings in _lengths(min(tried, key=tried.__getitem__)):
        attempt(settings)
    for settings, size in tried.items():
        sizes[replace(start, settings=settings)] = size


def _lengths(settings: Settings) -> Iterator[Settings]:
    for optimized in (True, False):
        for length in UNARY_LENGTHS:
            yield replace(settings, unary_length=length, optimized=optimized)


def _tools(settings: Settings, coder: DeepCabac, part: IntArray) -> Iterator[Settings]:
    """Scans and the tools of the second edition, as far as they apply."""
    scans = range(len(BLOCK_SIZES) if len(part) > 1 else 1)
    skips = (False, True) if len(part) > 1 else (False,)
    bounds = (False, True) if coder.least <= 0 <= coder.most else (False,)
    for scan in scans:
        yield replace(settings, scan=scan)
        for skips_rows in skips:
            for bounded in bounds:
                yield Settings(
                    settings.unary_length, settings.optimized, scan, True, skips_rows, bounded
                )
