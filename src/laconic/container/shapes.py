"""Which shapes a file may promise: those that NumPy can make on any machine."""

from __future__ import annotations

from math import prod

MAX_DIMENSIONS = 32
"""NumPy 1.26 takes no more."""
MAX_COUNT = 2**48


def is_possible(shape: tuple[int, ...]) -> bool:
    """Whether NumPy can make an array of this shape, memory permitting.

    A size of 0 does not excuse the others: NumPy refuses (2^62, 0) too.

    Examples:
        >>> is_possible((3, 0)), is_possible((2**62, 0)), is_possible((1,) * 33)
        (True, False, False)
    """
    return len(shape) <= MAX_DIMENSIONS and prod(max(1, size) for size in shape) <= MAX_COUNT
