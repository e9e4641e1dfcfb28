"""What both forms of the inner loops, `laconic._native` and the reference, have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.unsignedinteger[Any]]
Bytes = NDArray[np.uint8]
LARGEST_KERNEL = 49
"""Positions of a kernel that the context coder tells apart."""
