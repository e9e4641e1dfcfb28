"""What no code that treats every item alike can beat."""

from __future__ import annotations

import numpy as np

from laconic.coding.coder import IntArray
from laconic.coding.integers import patterns


def entropy_bits(codes: IntArray) -> float:
    """Order-0 entropy of the whole array, in bits: Σ count·log2(size / count).

    Examples:
        >>> entropy_bits(np.array([0, 0, 1, 2]))
        6.0
    """
    _, counts = np.unique(patterns(codes), return_counts=True)
    return float(np.sum(counts * np.log2(codes.size / counts)))
