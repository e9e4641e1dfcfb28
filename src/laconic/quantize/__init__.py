"""Grids of equally spaced values."""

from laconic.quantize.binary import Binary, Sign, StochasticSign, Ternary
from laconic.quantize.clipping import CLIPS, clip_ends, parse_clip
from laconic.quantize.dorefa import DoReFa
from laconic.quantize.fixed import WRPN, DynamicFixedPoint, FixedPoint
from laconic.quantize.follow import Follow, Follower, has_followers
from laconic.quantize.narrow import FORMATS, Narrow
from laconic.quantize.penalty import PENALTIES, ValuePenalty, check_penalty
from laconic.quantize.scaled import LinearGrid, ScaledGrid
from laconic.quantize.uniform import Affine, Uniform, UniformFull, UniformGrid
from laconic.represent import Step

STEPS: dict[str, type[Step]] = {
    "uniform": Uniform,
    "uniform-full": UniformFull,
    "affine": Affine,
    "sign": Sign,
    "stochastic-sign": StochasticSign,
    "binary": Binary,
    "ternary": Ternary,
    "dorefa": DoReFa,
    "wrpn": WRPN,
    "fixed-point": FixedPoint,
    "dynamic-fixed-point": DynamicFixedPoint,
    "narrow": Narrow,
}
"""Name in a recipe → class."""

__all__ = [
    "CLIPS",
    "FORMATS",
    "PENALTIES",
    "STEPS",
    "WRPN",
    "Affine",
    "Binary",
    "DoReFa",
    "DynamicFixedPoint",
    "FixedPoint",
    "Follow",
    "Follower",
    "LinearGrid",
    "Narrow",
    "ScaledGrid",
    "Sign",
    "StochasticSign",
    "Ternary",
    "Uniform",
    "UniformFull",
    "UniformGrid",
    "ValuePenalty",
    "check_penalty",
    "clip_ends",
    "has_followers",
    "parse_clip",
]
