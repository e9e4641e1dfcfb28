"""How the learning rate falls while training goes on."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]
"""The fraction of all steps that are done, in [0, 1] → a factor for the learning rate."""


def constant(done: float) -> float:
    """The full rate to the end."""
    return 1.0


def linear(done: float) -> float:
    """From 1 to 0 in equal steps.

    Examples:
        >>> linear(0.0), linear(0.75)
        (1.0, 0.25)
    """
    return 1.0 - done


def cosine(done: float) -> float:
    """Half a cosine wave from 1 to 0, one cycle without restarts (arXiv:1608.03983, equation 5).

    Examples:
        >>> cosine(0.0), round(cosine(0.5), 9), cosine(1.0)
        (1.0, 0.5, 0.0)
    """
    return 0.5 * (1.0 + math.cos(math.pi * done))


def step(done: float) -> float:
    """A tenth after half of the training, a hundredth after three quarters (arXiv:1512.03385, 4.2).

    The paper divides at 32,000 and 48,000 of 64,000 iterations: at these two fractions.

    Examples:
        >>> step(0.49), step(0.5), round(step(0.75), 9)
        (1.0, 0.1, 0.01)
    """
    if done < 0.5:
        return 1.0
    return 0.1 if done < 0.75 else 0.01


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "step": step,
}
