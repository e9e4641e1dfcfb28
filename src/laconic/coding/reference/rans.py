"""Interleaved rANS: one step of all lanes at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from laconic.coding.forms import Bits, Bytes
from laconic.coding.reference.common import GOOD, require

_LOWEST_STATE = 1 << 16
_States = NDArray[np.int64]


def _require_model(symbols: Bits, frequencies: Bits, precision: int, lanes: int) -> None:
    require(symbols.size == frequencies.size, "symbols and frequencies differ in size")
    require(5 <= precision <= 12, "a precision must be from 5 to 12 bits")
    require(lanes in (1, 2, 4, 8, 16, 32), "lanes must be 1, 2, 4, 8, 16 or 32")
    require(2 <= symbols.size <= 1 << precision, "a model has from 2 to 2^precision symbols")
    require(bool(frequencies.all()), "a frequency is 0")
    require(
        int(frequencies.sum(dtype=np.int64)) == 1 << precision,
        "the frequencies do not add up to 2^precision",
    )


def rans_encode(
    values: Bits, symbols: Bits, frequencies: Bits, precision: int, lanes: int, out: Bytes
) -> int:
    """Write states and words to the end of `out`, of 4 · lanes + 2 · values.size bytes.

    Returns where they begin. `symbols` are all different, `frequencies` (uint16) at least 1 with
    the sum 2^precision. Value i belongs to lane i mod `lanes`. From the last value to the first, a
    state x that is 2^(32 − precision) · f or more gives its low 16 bits away as a word; then it
    becomes (x // f) · 2^precision + start + x mod f (arXiv:1311.2540, section 2.3).

    Examples:
        Each of three bits doubles the state 65536, so that no word is needed.

        >>> symbols, halves = np.array([0, 1], np.uint8), np.array([16, 16], np.uint16)
        >>> out = np.empty(4 + 6, np.uint8)
        >>> rans_encode(np.array([0, 1, 1], np.uint8), symbols, halves, 5, 1, out)
        6
        >>> int(out[6:].view("<u4")[0]) // 65536
        8
    """
    _require_model(symbols, frequencies, precision, lanes)
    require(
        out.size == 4 * lanes + 2 * values.size,
        "the output has not four bytes a lane and two an item",
    )
    ascending = np.argsort(symbols, kind="stable")
    near = np.minimum(np.searchsorted(symbols, values, sorter=ascending), symbols.size - 1)
    ranks = ascending[near]
    require(bool(np.all(symbols[ranks] == values)), "a value has no frequency")
    shares = frequencies.astype(np.int64)
    frequency, start = shares[ranks], (np.cumsum(shares) - shares)[ranks]
    states = np.full(lanes, _LOWEST_STATE)
    words = []
    for first in range((values.size - 1) // lanes * lanes, -1, -lanes):
        step = slice(first, min(first + lanes, values.size))
        share, old = frequency[step], states[: step.stop - first]
        full = old >= share << (32 - precision)
        words.append((old[full] & 0xFFFF).astype("<u2"))
        shortened = np.where(full, old >> 16, old)
        quotient, remainder = np.divmod(shortened, share)
        old[...] = (quotient << precision) + start[step] + remainder
    data = np.concatenate([states.astype("<u4").view("<u2"), *reversed(words)]).view(np.uint8)
    begin = out.size - data.size
    out[begin:] = data
    return begin


def rans_decode(
    data: Bytes, symbols: Bits, frequencies: Bits, precision: int, lanes: int, out: Bits
) -> int:
    """Read what `rans_encode` writes.

    Wrong is the first byte that is missing or left over, or the state that is below 2^16 at first
    or another number than that at last.
    """
    _require_model(symbols, frequencies, precision, lanes)
    if data.size < 4 * lanes:
        return int(data.size)
    if data.size % 2:
        return int(data.size) - 1
    states: _States = data[: 4 * lanes].view("<u4").astype(np.int64)
    if states.min() < _LOWEST_STATE:
        return 4 * int(np.argmax(states < _LOWEST_STATE))
    words = data[4 * lanes :].view("<u2").astype(np.int64)
    ranks = np.repeat(np.arange(symbols.size), frequencies)
    share = frequencies.astype(np.int64)[ranks]
    within = np.arange(1 << precision) - (np.cumsum(frequencies) - frequencies)[ranks]
    value_of_slot = symbols[ranks]
    used = 0
    for first in range(0, out.size, lanes):
        old = states[: out.size - first]
        slot = old & ((1 << precision) - 1)
        out[first : first + lanes] = value_of_slot[slot]
        old[...] = share[slot] * (old >> precision) + within[slot]
        low = np.flatnonzero(old < _LOWEST_STATE)
        refill = words[used : used + low.size]
        if refill.size < low.size:
            return int(data.size)
        old[low] = old[low] << 16 | refill
        used += low.size
    if used < words.size:
        return 4 * lanes + 2 * used
    wrong = np.flatnonzero(states != _LOWEST_STATE)
    return 4 * int(wrong[0]) if wrong.size else GOOD
