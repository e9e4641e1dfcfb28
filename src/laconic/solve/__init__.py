"""Solvers: they move the weights themselves, so that a Step hurts less."""

from laconic.solve.obs import compensate, inverse_hessian

__all__ = ["compensate", "inverse_hessian"]
