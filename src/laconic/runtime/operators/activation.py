"""Activations: functions of one element, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from laconic.runtime.operators.arrays import Array
from laconic.runtime.operators.elementwise import unary

# W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969);
# coefficients of his CALERF, highest power first. erf(x) = x · NEAR(x²) for |x| ≤ 0.46875.
NEAR_TOP = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
NEAR_BOTTOM = (
    1.0,
    2.36012909523441209e1,
    2.44024637934444173e2,
    1.28261652607737228e3,
    2.84423683343917062e3,
)
# 1 − erf(x) = exp(−x²) · FAR(x) for 0.46875 ≤ x ≤ 4; beyond 4 its error is below 1e-16 as well,
# because exp(−x²) itself is below 1.2e-7.
FAR_TOP = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
FAR_BOTTOM = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)


def erf(x: Array, /) -> Array:
    """The error function, computed in float64 to within 1e-15 of `math.erf`.

    Examples:
        >>> erf(np.float32([0, 0.1, -1, 7])).tolist()
        [0.0, 0.11246291548013687, -0.8427007794380188, 1.0]
    """
    wide = x.astype(np.float64)
    size = np.minimum(np.abs(wide), 6)
    square = size * size
    near = wide * np.polyval(NEAR_TOP, square) / np.polyval(NEAR_BOTTOM, square)
    far = 1 - np.exp(-square) * np.polyval(FAR_TOP, size) / np.polyval(FAR_BOTTOM, size)
    return np.where(size <= 0.46875, near, np.copysign(far, wide)).astype(x.dtype)


def gelu(x: Array, /, *, approximate: str = "none") -> Array:
    """x · Φ(x), or its approximation by tanh (arXiv:1606.08415, section 2)."""
    half, one = x.dtype.type(0.5), x.dtype.type(1)
    if approximate == "tanh":
        inner = x + x.dtype.type(0.044715) * x * x * x
        return np.asarray(half * x * (one + np.tanh(x.dtype.type(math.sqrt(2 / math.pi)) * inner)))
    return np.asarray(half * x * (one + erf(x * x.dtype.type(math.sqrt(0.5)))))


def relu(x: Array, /) -> Array:
    """max(x, 0)."""
    return np.asarray(np.maximum(x, x.dtype.type(0)))


def leaky_relu(x: Array, /, *, alpha: float = 0.01) -> Array:
    """x, or alpha · x below 0."""
    return np.where(x < 0, x * x.dtype.type(alpha), x)


def prelu(x: Array, slope: Array, /) -> Array:
    """x, or slope · x below 0; the slope is broadcast."""
    return np.where(x < 0, x * slope, x)


def thresholded_relu(x: Array, /, *, alpha: float = 1.0) -> Array:
    """x above alpha, else 0."""
    return np.where(x > x.dtype.type(alpha), x, x.dtype.type(0))


def sigmoid(x: Array, /) -> Array:
    """1 / (1 + exp(−x))."""
    one = x.dtype.type(1)
    return np.asarray(one / (one + np.exp(-x)))


def hard_sigmoid(x: Array, /, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    """alpha · x + beta, held within [0, 1]."""
    kind = x.dtype.type
    return np.asarray(np.clip(x * kind(alpha) + kind(beta), kind(0), kind(1)))


def hard_swish(x: Array, /) -> Array:
    """x · hard_sigmoid(x, 1/6, 1/2)."""
    return np.asarray(x * hard_sigmoid(x, alpha=1 / 6, beta=0.5))


def elu(x: Array, /, *, alpha: float = 1.0) -> Array:
    """x, or alpha · (exp(x) − 1) below 0."""
    return np.where(x < 0, x.dtype.type(alpha) * np.expm1(x), x)


def celu(x: Array, /, *, alpha: float = 1.0) -> Array:
    """x, or alpha · (exp(x / alpha) − 1) below 0."""
    return np.where(x < 0, x.dtype.type(alpha) * np.expm1(x / x.dtype.type(alpha)), x)


def selu(
    x: Array,
    /,
    *,
    alpha: float = 1.67326319217681884765625,
    gamma: float = 1.05070102214813232421875,
) -> Array:
    """gamma · elu(x, alpha) (arXiv:1706.02515)."""
    return np.asarray(x.dtype.type(gamma) * elu(x, alpha=alpha))


def softplus(x: Array, /) -> Array:
    """log(1 + exp(x)), without overflow."""
    return np.asarray(np.logaddexp(x, x.dtype.type(0)))


def softsign(x: Array, /) -> Array:
    """x / (1 + |x|)."""
    return np.asarray(x / (x.dtype.type(1) + np.abs(x)))


def mish(x: Array, /) -> Array:
    """x · tanh(softplus(x)) (arXiv:1908.08681)."""
    return np.asarray(x * np.tanh(softplus(x)))


def softmax(x: Array, /, *, axis: int = -1) -> Array:
    """exp(x) / Σ exp(x) along an axis."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def log_softmax(x: Array, /, *, axis: int = -1) -> Array:
    """log(softmax(x)), without underflow."""
    shifted = x - x.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


ACTIVATION: dict[str, Callable[..., Array]] = {
    "Relu": relu,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "ThresholdedRelu": thresholded_relu,
    "Sigmoid": sigmoid,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Tanh": unary(np.tanh),
    "Erf": erf,
    "Gelu": gelu,
    "Elu": elu,
    "Celu": celu,
    "Selu": selu,
    "Softplus": softplus,
    "Softsign": softsign,
    "Mish": mish,
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
}
