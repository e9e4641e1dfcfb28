"""Solvers: they move the weights themselves, so that a Step hurts less."""

from laconic.solve.adaround import learn_rounding
from laconic.solve.bias import shifts
from laconic.solve.gptq import BLOCK, Feedback
from laconic.solve.obs import compensate, inverse_hessian

__all__ = [
    "BLOCK",
    "Feedback",
    "compensate",
    "inverse_hessian",
    "learn_rounding",
    "shifts",
]
