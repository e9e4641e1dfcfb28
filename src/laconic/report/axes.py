"""Axes: which round values to write on them, and where a value lies between their ends."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """Round values in rising order; equal steps of the value are equal lengths.

    >>> Axis([0.0, 50.0, 100.0]).share(25)
    0.25
    """

    values: list[float]

    def share(self, value: float) -> float:
        """Where `value` lies: 0 at the first round value, 1 at the last."""
        first, last = self.scaled(self.values[0]), self.scaled(self.values[-1])
        return (self.scaled(value) - first) / (last - first)

    def scaled(self, value: float) -> float:
        """The value itself."""
        return value


@dataclass(frozen=True)
class LogAxis(Axis):
    """Equal factors of the value are equal lengths.

    >>> LogAxis([1.0, 10.0, 100.0]).share(10)
    0.5
    """

    def scaled(self, value: float) -> float:
        """The logarithm of a positive value."""
        return math.log10(value)


def linear_axis(low: float, high: float, wanted: int = 4) -> Axis:
    """About `wanted` equal steps of 1, 2 or 5 times a power of ten that cover `low` … `high`.

    >>> linear_axis(0.7, 1.1).values
    [0.7, 0.8, 0.9, 1.0, 1.1]
    >>> linear_axis(5, 5).values
    [4.4, 4.6, 4.8, 5.0, 5.2, 5.4, 5.6]
    """
    if low == high:
        padding = abs(low) * 0.1 or 1.0
        low, high = low - padding, high + padding
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda nice: abs(nice - rough / power))
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis([float(f"{index * step:.12g}") for index in range(start, stop + 1)])


def log_axis(low: float, high: float) -> LogAxis:
    """1, 2 and 5 times the powers of ten that cover `low` … `high`; the powers alone over two.

    >>> log_axis(41_203, 1_724_320).values
    [20000.0, 50000.0, 100000.0, 200000.0, 500000.0, 1000000.0, 2000000.0]
    >>> log_axis(200, 5_000_000).values
    [100.0, 1000.0, 10000.0, 100000.0, 1000000.0, 10000000.0]
    """
    steps = (1, 2, 5) if high < 100 * low else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [float(step * 10**power) for power in powers for step in steps]
    start = max(index for index, value in enumerate(values) if value <= low)
    stop = min(index for index, value in enumerate(values) if value >= high)
    return LogAxis(values[start : max(stop, start + 1) + 1])
