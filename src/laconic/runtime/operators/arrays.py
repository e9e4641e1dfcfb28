"""What every operator takes and makes; half precision is stored in 16 bits, computed in 32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def widened(x: Array) -> Array:
    """float16 as float32 (as ONNX Runtime does on a CPU), any other dtype as it is.

    Examples:
        >>> widened(np.float16([1.5])).dtype, widened(np.float64([1.5])).dtype
        (dtype('float32'), dtype('float64'))
    """
    return x.astype(np.float32) if x.dtype == np.float16 else x
