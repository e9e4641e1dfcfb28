"""Grids of equally spaced values."""

from laconic.quantize.clipping import CLIPS, clip_ends, parse_clip
from laconic.quantize.scaled import LinearGrid, ScaledGrid
from laconic.quantize.uniform import Affine, Uniform, UniformFull, UniformGrid
from laconic.represent import Step

STEPS: dict[str, type[Step]] = {
    "uniform": Uniform,
    "uniform-full": UniformFull,
    "affine": Affine,
}
"""Name in a recipe → class."""

__all__ = [
    "CLIPS",
    "STEPS",
    "Affine",
    "LinearGrid",
    "ScaledGrid",
    "Uniform",
    "UniformFull",
    "UniformGrid",
    "clip_ends",
    "parse_clip",
]
