"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from laconic.runtime.operators.arrays import Array, widened


def matmul(a: Array, b: Array, /) -> Array:
    """The matrix product with NumPy's broadcasting over leading dimensions."""
    return np.asarray(np.matmul(widened(a), widened(b))).astype(a.dtype, copy=False)


def gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    /,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803 - the attribute's name in ONNX
    transB: int = 0,  # noqa: N803
) -> Array:
    """alpha · A B + beta · C, with A or B transposed first when asked; C is broadcast."""
    left, right = widened(a.T if transA else a), widened(b.T if transB else b)
    out: Array = np.matmul(left, right)
    if alpha != 1:
        out *= out.dtype.type(alpha)
    if c is not None:
        added = widened(c)
        out += added if beta == 1 else added * out.dtype.type(beta)
    return out.astype(a.dtype, copy=False)


LINEAR: dict[str, Callable[..., Array]] = {"MatMul": matmul, "Gemm": gemm}
