"""Frequencies for rANS: integers that add up to a power of two, and their few bytes.

No float takes part, so that every machine chooses the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from laconic.coding.integers import Counts
from laconic.coding.reader import Reader

LEAST_PRECISION, MOST_PRECISION = 5, 12
FRACTION = 20
"""Costs in bits are integers in units of 2^-20."""
_FIRST_PARAMETER = 3
_MOST_ZEROS = 13  # a difference of two frequencies, in zigzag, is below 2^13

Frequencies = NDArray[np.uint16]


@cache
def logarithms() -> Counts:
    """log2(i) · 2^20 for i from 1 to 4096, rounded down; item 0 means nothing.

    Digit by digit: the square of a number from 1 to 2 is 2 or more where the next digit is 1.

    Examples:
        >>> (logarithms()[[1, 2, 3, 4096]] / 2**20).round(5).tolist()
        [0.0, 1.0, 1.58496, 12.0]
    """
    numbers = np.arange(1, (1 << MOST_PRECISION) + 1, dtype=np.uint64)
    result = np.array([int(number).bit_length() - 1 for number in numbers], np.uint64)
    mantissa = numbers << (np.uint64(31) - result)
    for _ in range(FRACTION):
        mantissa = mantissa * mantissa >> np.uint64(31)
        digit = mantissa >> np.uint64(32)
        mantissa >>= digit
        result = result << np.uint64(1) | digit
    return np.insert(result.astype(np.int64), 0, 0)


def cost(counts: Counts, frequencies: Frequencies, precision: int) -> int:
    """What rANS spends on symbols that occur `counts` times, in 2^-20 bits."""
    return int(np.dot(counts, (precision << FRACTION) - logarithms()[frequencies]))


def normalised(counts: Counts, precision: int) -> Frequencies:
    """Frequencies of at least 1 with the sum 2^precision that cost least, or nearly so.

    Shares are rounded to the nearest integer; then the frequencies whose change costs least, or
    wins most, go up or down until the sum is right; of equals the first symbol's.

    Args:
        counts: how often each of 2 to 2^precision symbols occurs, at least once.
        precision: from 5 to 12.

    Examples:
        >>> normalised(np.array([90, 7, 2, 1]), 5).tolist()
        [28, 2, 1, 1]
    """
    total, size = int(counts.sum()), 1 << precision
    shares = ((counts << (precision + 1)) + total) // (2 * total)
    frequencies: Counts = np.maximum(shares, 1)
    missing = size - int(frequencies.sum())
    step = 1 if missing > 0 else -1
    log = logarithms()
    movable = np.flatnonzero(frequencies + step > 0)
    before = frequencies[movable]
    losses = counts[movable] * (log[before] - log[before + step])
    heap = list(zip(losses.tolist(), movable.tolist(), strict=True))
    heapq.heapify(heap)
    for _ in range(abs(missing)):
        symbol = heap[0][1]
        frequencies[symbol] += step
        frequency = int(frequencies[symbol])
        if frequency + step > 0:
            loss = counts[symbol] * (log[frequency] - log[frequency + step])
            heapq.heapreplace(heap, (int(loss), symbol))
        else:
            heapq.heappop(heap)
    return frequencies.astype(np.uint16)


def written_bytes(frequencies: Frequencies) -> int:
    """The length of what `write_frequencies` gives."""
    differences = np.diff(frequencies[:-1].astype(np.int64), prepend=0)
    zigzag = np.where(differences >= 0, 2 * differences, -2 * differences - 1)
    parameters = np.maximum(0, _bit_lengths(zigzag[:-1]) - 1)
    parameters = np.insert(parameters, 0, _FIRST_PARAMETER)
    widths = _bit_lengths(zigzag + (1 << parameters)) - 1
    return (int(np.sum(2 * widths + 1 - parameters)) + 7) // 8


def _bit_lengths(numbers: Counts) -> Counts:
    return np.frexp(numbers)[1].astype(np.int64)


def write_frequencies(frequencies: Sequence[int]) -> bytes:
    """All frequencies but the last, which the sum tells (spec/coders.md, `rans`).

    Each is written as the difference from the one before, by exponential-Golomb codes whose
    parameter follows the size of the last difference: neighbours are alike where the codes are
    weights.

    Examples:
        Differences 8, −4, −2 from 0 are 16, 7, 3 in zigzag. With parameters 3, 4, 2 the codes are
        24, 23, 7: a zero, a one and 8 in 4 bits; a one and 7 in 4 bits; a one and 3 in 2 bits.

        >>> write_frequencies([8, 4, 2, 18]).hex()
        'e23b'
    """
    bits, filled = 0, 0
    before, parameter = 0, _FIRST_PARAMETER
    for frequency in frequencies[:-1]:
        zigzag = _zigzag(frequency - before)
        code = zigzag + (1 << parameter)
        width = code.bit_length() - 1
        zeros = width - parameter
        bits |= (1 | (code - (1 << width)) << 1) << (filled + zeros)
        filled += zeros + 1 + width
        before, parameter = frequency, _next_parameter(zigzag)
    return bits.to_bytes((filled + 7) // 8, "little")


def read_frequencies(reader: Reader, count: int, precision: int) -> Frequencies:
    """`count` frequencies, at least 1 each, that add up to 2^precision.

    Raises:
        FormatError: they do not, or spare bits are not 0.
    """
    bits = _LowBitsFirst(reader)
    left, before, parameter = 1 << precision, 0, _FIRST_PARAMETER
    frequencies = []
    for later in range(count - 1, 0, -1):
        zeros = 0
        while bits.take(1) == 0:
            zeros += 1
            if zeros + parameter > _MOST_ZEROS:
                raise reader.error("two frequencies differ by more than is possible")
        zigzag = bits.take(zeros + parameter) + ((1 << zeros) - 1 << parameter)
        frequency = before + ((zigzag >> 1) ^ -(zigzag & 1))
        left -= frequency
        if frequency < 1 or left < later:
            raise reader.error(
                f"frequencies must be at least 1 and add up to {1 << precision}: one is "
                f"{frequency}, which leaves {left} for {later} more"
            )
        frequencies.append(frequency)
        before, parameter = frequency, _next_parameter(zigzag)
    bits.end()
    return np.array([*frequencies, left], np.uint16)


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else ~number << 1 | 1


def _next_parameter(zigzag: int) -> int:
    return max(0, zigzag.bit_length() - 1)


class _LowBitsFirst:
    """Bits of a reader, which gives bytes as they are needed, the lowest of each byte first."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.window, self.held = 0, 0

    def take(self, count: int) -> int:
        """A number of `count` bits."""
        while self.held < count:
            self.window |= self.reader.u8() << self.held
            self.held += 8
        number = self.window & (1 << count) - 1
        self.window >>= count
        self.held -= count
        return number

    def end(self) -> None:
        """Refuse bits that are left in the last byte, unless they are 0."""
        if self.window:
            raise self.reader.error("the spare bits behind the frequencies are not 0")
