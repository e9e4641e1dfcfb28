"""Arithmetic, comparison and logic, element by element with broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from laconic.runtime.operators.arrays import Array

Binary = Callable[[Array, Array], Array]


def unary(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """An operator of one input from a NumPy function; the dtype stays."""

    def operator(x: Array, /) -> Array:
        return np.asarray(function(x)).astype(x.dtype, copy=False)

    return operator


def binary(function: Binary) -> Binary:
    """An operator of two inputs from a NumPy function; the dtype of the first stays."""

    def operator(a: Array, b: Array, /) -> Array:
        return np.asarray(function(a, b)).astype(a.dtype, copy=False)

    return operator


def predicate(function: Callable[..., Array]) -> Callable[..., Array]:
    """An operator of two inputs whose output is boolean."""

    def operator(a: Array, b: Array, /) -> Array:
        return np.asarray(function(a, b))

    return operator


def variadic(function: Binary) -> Callable[..., Array]:
    """An operator of one or more inputs, combined from left to right."""

    def operator(*arrays: Array) -> Array:
        return np.asarray(reduce(function, arrays))

    return operator


def divide(a: Array, b: Array, /) -> Array:
    """a / b; integers round towards zero, as in C.

    Examples:
        >>> divide(np.array([-7, 7]), np.array([2, -2])).tolist()
        [-3, -3]
    """
    if a.dtype.kind == "f":
        return np.asarray(np.divide(a, b))
    quotient = np.floor_divide(a, b)
    inexact = (np.multiply(quotient, b) != a) & ((a < 0) != (b < 0)) & (b != 0)
    return np.asarray(quotient + inexact.astype(quotient.dtype))


def modulo(a: Array, b: Array, /, *, fmod: int = 0) -> Array:
    """The remainder with the sign of b, or with `fmod` the sign of a."""
    return np.asarray(np.fmod(a, b) if fmod else np.mod(a, b))


def clip(x: Array, low: Array | None = None, high: Array | None = None, /) -> Array:
    """min(max(x, low), high) for bounds of one value each; where low > high, high wins."""
    out = x if low is None else np.maximum(x, np.reshape(low, ()))
    return np.asarray(out if high is None else np.minimum(out, np.reshape(high, ())))


def invert(x: Array, /) -> Array:
    """Not, for booleans."""
    return np.asarray(np.logical_not(x))


def is_nan(x: Array, /) -> Array:
    """Where x is not a number."""
    return np.asarray(np.isnan(x))


def where(condition: Array, a: Array, b: Array, /) -> Array:
    """a where the condition holds, else b."""
    return np.where(condition, a, b)


ELEMENTWISE: dict[str, Callable[..., Array]] = {
    "Add": binary(np.add),
    "Sub": binary(np.subtract),
    "Mul": binary(np.multiply),
    "Div": divide,
    "Mod": modulo,
    "Pow": binary(np.power),
    "Min": variadic(np.minimum),
    "Max": variadic(np.maximum),
    "Sqrt": unary(np.sqrt),
    "Exp": unary(np.exp),
    "Log": unary(np.log),
    "Neg": unary(np.negative),
    "Abs": unary(np.abs),
    "Sign": unary(np.sign),
    "Floor": unary(np.floor),
    "Ceil": unary(np.ceil),
    "Round": unary(np.rint),
    "Reciprocal": unary(np.reciprocal),
    "Sin": unary(np.sin),
    "Cos": unary(np.cos),
    "Clip": clip,
    "Equal": predicate(np.equal),
    "Less": predicate(np.less),
    "Greater": predicate(np.greater),
    "LessOrEqual": predicate(np.less_equal),
    "GreaterOrEqual": predicate(np.greater_equal),
    "And": predicate(np.logical_and),
    "Or": predicate(np.logical_or),
    "Not": invert,
    "IsNaN": is_nan,
    "Where": where,
}
