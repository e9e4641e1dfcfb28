"""Grids of equally spaced values."""

from laconic.quantize.uniform import Affine, Uniform, UniformGrid
from laconic.represent import Step

STEPS: dict[str, type[Step]] = {"uniform": Uniform, "affine": Affine}

__all__ = ["STEPS", "Affine", "Uniform", "UniformGrid"]
