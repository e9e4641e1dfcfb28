"""Where a normal and a Laplace distribution are best cut for a grid of so many steps (ACIQ)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache


@cache
def laplace_reach(steps: int) -> float:
    """α/b, the optimal end in mean absolute deviations, for a grid of so many steps over 2α.

    The minimum of ``2b² e^(−α/b) + α²/(3 steps²)`` (arXiv:1810.05723, section 4): what is clipped,
    and a twelfth of a squared step. There steps are 2^bits, here those that the grid has.

    Examples:
        >>> [round(laplace_reach(2**bits), 3) for bits in (2, 3, 4)]
        [2.831, 3.897, 5.029]
    """
    return _root(lambda a: a / (3 * steps**2) - math.exp(-a))


@cache
def gauss_reach(steps: int) -> float:
    """α/σ, likewise, for a normal distribution.

    The minimum of ``(α² + σ²) erfc(α/√2σ) − √(2/π) α σ e^(−α²/2σ²) + α²/(3 steps²)``.

    Examples:
        >>> [round(gauss_reach(2**bits), 2) for bits in (2, 3, 4)]
        [1.71, 2.15, 2.56]
    """
    slope = math.sqrt(2 / math.pi)
    return _root(
        lambda a: (
            a * math.erfc(a / math.sqrt(2)) - slope * math.exp(-a * a / 2) + a / (3 * steps**2)
        )
    )


def _root(slope: Callable[[float], float]) -> float:
    """Where a rising function is 0, between 0 and 64."""
    low, high = 0.0, 64.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return (low + high) / 2
