"""The largest scale of each row of numbers that makes all of them integers times it, exactly.

A row is the values of one tile: magnitudes v with v = rounded(c · s) for integers c. The smallest
of them is some small integer times s, so s is near smallest/1, smallest/2, …: for each guess the
integers are known, every value confines s to an interval, and a float32 in all of them is s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.container.grids.uniform_grid import products

Rows = NDArray[np.float64]
ANY = np.float32(np.inf)
"""Stands for the scale of a row of zeros."""
MOST_STEPS = 127
"""The smallest magnitude of a row is at most so many scales."""
SCREEN = 16
"""Values of a row by which most guesses are refused."""
HAIR = 2.0**-40
BITS = 24
"""Binary digits of a float32."""
DOUBT = 0.45
"""In steps: a code that may be farther from its value than this may be another one."""
NARROWINGS = 8
"""Rounds in which a better guess may make more codes sure; two or three do."""
TRIED = 256
"""Scales, when an interval is all that is known."""


@dataclass(frozen=True)
class Rounding:
    """What products were rounded to, as a relative precision; and how large codes may be."""

    dtype: str
    digits: int
    """Binary digits of a number."""
    smallest: float
    """Half the distance of the smallest numbers."""
    most: int
    """The largest code that is looked for."""


ROUNDINGS = {
    "F32": Rounding("F32", BITS, 2.0**-150, 2**16),
    "F16": Rounding("F16", 11, 2.0**-25, 2**9),
    "BF16": Rounding("BF16", 8, 2.0**-134, 2**8),
}


def scales_of(magnitudes: NDArray[np.float32], rounding: Rounding) -> NDArray[np.float32]:
    """The scale of each row; `ANY` for a row of zeros, 0 where there is none.

    The search ends with the first row that has none: others may be 0 then, too.

    Args:
        magnitudes: rows of values without their signs, finite or not.
        rounding: what the products were rounded to.

    Examples:
        >>> rows = np.float32([[2, 4, 6], [0, 0, 0], [1, 1, 3]])
        >>> scales_of(rows, ROUNDINGS["F32"])
        array([ 2., inf,  1.], dtype=float32)
    """
    largest = magnitudes.max(1, initial=0)
    smallest = np.where(magnitudes > 0, magnitudes, np.float32(np.inf)).min(1, initial=np.inf)
    found = np.zeros(len(magnitudes), np.float32)
    found[largest == 0] = ANY
    # How far a guess may be away, relatively: the smallest value may itself be rounded so much.
    unsure = np.maximum(2.0**-rounding.digits, rounding.smallest / smallest.astype(np.float64))
    pending = np.flatnonzero((largest > 0) & np.isfinite(largest))
    some = _not_zero(magnitudes)
    for steps in range(1, MOST_STEPS + 1):
        guess = smallest[pending].astype(np.float64) / steps
        if not pending.size or (largest[pending] > rounding.most * guess).any():
            break
        likely = _screened(some[pending], guess, unsure[pending], rounding)
        tried = pending[likely]
        if tried.size:
            found[tried] = _confined(magnitudes[tried], guess[likely], unsure[tried], rounding)
            pending = pending[found[pending] == 0]
    return found


def _not_zero(magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
    """A few values of each row, zeros, which fit any scale, only where there are no others."""
    near = magnitudes[:, : SCREEN * SCREEN]
    order = np.argsort(near == 0, axis=1, kind="stable")
    return np.take_along_axis(near, order[:, :SCREEN], 1)


def _screened(
    magnitudes: NDArray[np.float32], guess: Rows, unsure: Rows, rounding: Rounding
) -> NDArray[np.bool_]:
    """Which rows may have about this scale, by a few of their values."""
    factors = magnitudes / guess[:, None]
    off = np.abs(factors - np.rint(factors))
    rounded = factors * 2.0**-rounding.digits + (rounding.smallest / guess)[:, None]
    return np.asarray((off <= rounded + factors * unsure[:, None] + 1e-9).all(1))


def _confined(
    magnitudes: NDArray[np.float32], guess: Rows, unsure: Rows, rounding: Rounding
) -> NDArray[np.float32]:
    """The scale near each guess that gives all values of the row, or 0."""
    low, high, complete = _narrowed(magnitudes, guess, unsure, rounding)
    found = _chosen(magnitudes, low, high, rounding)
    # Where numbers are coarser than steps, several codes have the same value, and confine nothing.
    possible = ~complete
    if rounding.digits < BITS:
        # Products are rounded to float32 first: that may move them over an end of the interval.
        low, high = low * (1 - 2.0**-BITS), high * (1 + 2.0**-BITS)
        possible = np.ones_like(complete)
    for row in np.flatnonzero(possible & (found == 0) & (low <= high) & np.isfinite(high)):
        tried = np.unique(np.linspace(low[row], high[row], TRIED).astype(np.float32))
        found[row] = _first_that_gives(np.unique(magnitudes[row]), tried, rounding)
    return found


def _first_that_gives(
    magnitudes: NDArray[np.float32], scales: NDArray[np.float32], rounding: Rounding
) -> np.float32:
    """The first of some scales that gives all values of one row, or 0."""
    codes, same = codes_of(magnitudes, scales[:, None], rounding)
    good = np.flatnonzero(same.all(1) & (codes.max(1) <= rounding.most))
    return scales[good[0]] if good.size else np.float32(0)


def _chosen(
    magnitudes: NDArray[np.float32], low: Rows, high: Rows, rounding: Rounding
) -> NDArray[np.float32]:
    """The roundest scale of each interval that gives all values of its row, or 0."""
    scale = roundest(low, high)
    if not scale.any():
        return scale
    scale = np.where(_gives(magnitudes, scale, rounding), scale, np.float32(0))
    # At an end of the interval some product is halfway between two numbers, and may miss its own.
    some = np.flatnonzero((scale == 0) & (low <= high))
    if some.size:
        inner = roundest(low[some] * (1 + HAIR), high[some] * (1 - HAIR))
        scale[some] = np.where(_gives(magnitudes[some], inner, rounding), inner, np.float32(0))
    return scale


def _narrowed(
    magnitudes: NDArray[np.float32], guess: Rows, unsure: Rows, rounding: Rounding
) -> tuple[Rows, Rows, NDArray[np.bool_]]:
    """`_limits` from better and better guesses: small codes are sure first, then larger ones.

    The smallest value of a row of half precision may be subnormal, with few digits: it leaves the
    larger codes open, and the interval far wider than the scales that give all values.
    """
    low, high, complete = _limits(magnitudes, guess, unsure, rounding)
    pending = np.flatnonzero(~complete & (low <= high) & np.isfinite(high))
    for _ in range(NARROWINGS):
        if not pending.size:
            break
        least, most = low[pending], high[pending]
        middle = (least + most) / 2
        # Products are rounded to float32 first.
        spread = (most - least) / 2 / middle + 2.0**-BITS
        lower, upper, sure = _limits(magnitudes[pending], middle, spread, rounding)
        low[pending], high[pending] = np.maximum(least, lower), np.minimum(most, upper)
        complete[pending] = sure
        narrower = (lower > least) | (upper < most)
        pending = pending[narrower & ~sure & (low[pending] <= high[pending])]
    return low, high, complete


def _limits(
    magnitudes: NDArray[np.float32], guess: Rows, unsure: Rows, rounding: Rounding
) -> tuple[Rows, Rows, NDArray[np.bool_]]:
    """The interval of the scale from all values whose code is sure, and whether all are.

    Args:
        magnitudes: rows of values.
        guess: of the scale of each row.
        unsure: how far the guess may be away, relatively.
        rounding: of the values.
    """
    values = magnitudes.astype(np.float64)
    codes = np.rint(values / guess[:, None])
    mantissa, exponent = np.frexp(values)
    half = np.maximum(np.ldexp(0.5, exponent - rounding.digits), rounding.smallest)
    # Numbers below a power of two are closer, but for subnormal ones.
    below = np.maximum(np.where(mantissa == 0.5, half / 2, half), rounding.smallest)
    doubtful = half / guess[:, None] + codes * unsure[:, None] > DOUBT
    codes[doubtful | (codes == 0)] = np.nan  # fmin and fmax pass over what is not a number
    return (
        np.fmax.reduce((values - below) / codes, 1, initial=0.0),
        np.fmin.reduce((values + half) / codes, 1, initial=np.inf),
        ~doubtful.any(1),
    )


def _gives(
    magnitudes: NDArray[np.float32], scale: NDArray[np.float32], rounding: Rounding
) -> NDArray[np.bool_]:
    """Which rows are exactly integers times their scale."""
    safe = np.where((scale > 0) & np.isfinite(scale), scale, np.float32(1))
    codes, same = codes_of(magnitudes, safe[:, None], rounding)
    fits = codes.max(1) <= rounding.most
    return np.asarray(same.all(1) & fits & (safe == scale))


def codes_of(
    magnitudes: NDArray[np.float32], scale: NDArray[np.float32], rounding: Rounding
) -> tuple[Rows, NDArray[np.bool_]]:
    """The integers, and where they give back the value exactly; `scale` is broadcast.

    Examples:
        >>> codes_of(np.float32([0.2, 0.7]), np.float32(0.1), ROUNDINGS["F32"])
        (array([2., 7.]), array([ True,  True]))
    """
    factors = magnitudes / np.asarray(scale, np.float64)
    codes = np.rint(factors)

    def same(tried: Rows) -> NDArray[np.bool_]:
        again = products(tried.astype(np.float32), scale, "F32", rounding.dtype)
        return np.asarray(again == magnitudes.view(again.dtype))

    good = same(codes)
    if rounding.digits == BITS or good.all():
        return codes, good
    # Numbers are as far apart as the products here: the value may be that of the next integer.
    other = np.where(good, codes, codes + np.where(factors > codes, 1, -1))
    return np.where(same(other), other, codes), good | same(other)


def roundest(low: Rows, high: Rows) -> NDArray[np.float32]:
    """The float32 of most trailing zero bits in [low, high]; 0 where there is none.

    A scale that somebody kept in half precision is found again, and codes well.

    Examples:
        >>> roundest(np.array([0.0999, 3.3]), np.array([0.1001, 3.3])).tolist()
        [0.10009765625, 0.0]
    """
    with np.errstate(over="ignore"):
        least, most = low.astype(np.float32), high.astype(np.float32)
    least = np.where(least < low, np.nextafter(least, np.float32(np.inf)), least)
    most = np.where(most > high, np.nextafter(most, np.float32(0)), most)
    first, last = least.view(np.int32).astype(np.int64), most.view(np.int32).astype(np.int64)
    found = np.where(first <= last, first, 0)
    for zeros in range(1, BITS):
        rounded = (first + (1 << zeros) - 1) >> zeros << zeros
        if not (rounded <= last).any():
            break
        found = np.where(rounded <= last, rounded, found)
    good = (first <= last) & (low > 0) & np.isfinite(most)
    return np.where(good, found, 0).astype(np.int32).view(np.float32)


def mixed_zeros(rows: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows of signed floats have a zero, and which a minus zero."""
    zero = rows == 0
    minus = zero & np.signbit(rows)
    return (zero & ~minus).any(1), minus.any(1)
