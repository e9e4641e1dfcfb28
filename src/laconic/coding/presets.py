"""Which coder an array gets: the fewest bytes of those that decode fast enough."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from laconic.coding.coder import Coder, IntArray, Speed
from laconic.coding.huffman import MOST_SYMBOLS
from laconic.coding.inner import SMALL, fewest
from laconic.coding.integers import ordered, patterns
from laconic.coding.symbols import distinct
from laconic.errors import CodingError, UsageError

PRESETS = {"smallest": Speed.SLOW, "balanced": Speed.MEDIUM, "fastest": Speed.FAST}
"""Preset → the slowest coder that it uses, for parts too."""
NARROW = 256
WIDE = 20
SPARSE = ("gap", "bitmap")


def slowest(preset: str) -> Speed:
    """The slowest coder of a preset.

    Raises:
        UsageError: there is no such preset.
    """
    if preset not in PRESETS:
        raise UsageError(f"no coding is called {preset!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[preset]


def one_piece(coders: Iterable[Coder], codes: IntArray, preset: str) -> bytes:
    """The fewest bytes that a preset makes of `codes` without blocks; the lowest number of equals.

    Args:
        coders: in the order of their numbers; `raw`, which holds every array, is among them.
        codes: at most a block of them.
        preset: a key of `PRESETS`.
    """
    least = slowest(preset)
    hopeless = _hopeless(codes)
    # The context coder sees zeros and values together; apart they are not worth its time again.
    together = codes.size > SMALL and "context" not in hopeless
    allowed = (coder for coder in coders if coder.decode_speed >= least)
    tried = (
        coder.with_parts(max(least, Speed.MEDIUM) if together and coder.name in SPARSE else least)
        for coder in allowed
        if coder.name not in hopeless
    )
    return fewest(tried, codes)


def _hopeless(codes: IntArray) -> set[str]:
    """Names of coders that cannot win, from a look at the array that costs less than to try them.

    For the static coders of whole items the reasons are proofs; `context` and `planes` are left out
    where nothing in the array speaks for them.
    """
    items = patterns(codes)
    bits = 8 * items.dtype.itemsize
    zeros = items.size - int(np.count_nonzero(items))
    # A bit for each item must be won back from the zeros.
    found = {"gap", "bitmap"} if zeros * bits <= items.size else set()
    if items.size <= SMALL:
        return found
    if 4 * zeros >= 3 * items.size:
        found.add("bitmap")  # a bit an item, where gaps take the entropy of the zeros: 0.81
    try:
        symbols, counts = distinct(ordered(codes), MOST_SYMBOLS)
    except CodingError:
        # More than 65,536 values among at most 2^20: noise to a model of whole items.
        found |= {"huffman", "rans", "context"}
        return found | {"planes"} if 2 * zeros >= items.size else found
    if bits == 8 or symbols.size <= NARROW:
        found.add("planes")  # planes of few values are the values again, with a longer head
    entropy_bits = float(counts @ np.log2(items.size / counts))
    span_bits = (int(symbols[-1]) - int(symbols[0])).bit_length()
    if span_bits * items.size <= entropy_bits:
        found |= {"huffman", "rans"}  # `fixed` is there already
    if span_bits > WIDE:
        found.add("context")  # as integers, the bits of floats are far apart
    return found
