"""Grids of equally spaced values, for weights and for activations."""

from laconic.quantize.activation import (
    activations,
    attach,
    describe_activations,
    detach,
    rebuild_activations,
)
from laconic.quantize.activations import Dynamic, Static
from laconic.quantize.biases import quantize_biases
from laconic.quantize.binary import Binary, Sign, StochasticSign, Ternary
from laconic.quantize.calibrate import calibrate
from laconic.quantize.clipping import CLIPS, clip_ends, parse_clip
from laconic.quantize.dorefa import DoReFa
from laconic.quantize.fixed import WRPN, DynamicFixedPoint, FixedPoint
from laconic.quantize.follow import Follow, Follower, has_followers
from laconic.quantize.kinds import ACTIVATIONS
from laconic.quantize.learned_range import PACT, AlphaDecay, LearnedStep
from laconic.quantize.low_bit import (
    DoReFaActivation,
    DoReFaGradient,
    SignActivation,
    WRPNActivation,
    Xnor,
)
from laconic.quantize.lsq import LSQ
from laconic.quantize.narrow import FORMATS, Narrow
from laconic.quantize.penalty import PENALTIES, ValuePenalty, check_penalty
from laconic.quantize.quantizer import ActivationQuantizer
from laconic.quantize.rate import EntropyPenalty, total_bits
from laconic.quantize.scaled import LinearGrid, ScaledGrid
from laconic.quantize.spaced import Spaced
from laconic.quantize.uniform import Affine, Uniform, UniformFull, UniformGrid
from laconic.represent import Step

STEPS: dict[str, type[Step]] = {
    "uniform": Uniform,
    "uniform-full": UniformFull,
    "affine": Affine,
    "spaced": Spaced,
    "sign": Sign,
    "stochastic-sign": StochasticSign,
    "binary": Binary,
    "ternary": Ternary,
    "dorefa": DoReFa,
    "wrpn": WRPN,
    "fixed-point": FixedPoint,
    "dynamic-fixed-point": DynamicFixedPoint,
    "narrow": Narrow,
    "lsq": LSQ,
}
"""Name in a recipe → class."""

__all__ = [
    "ACTIVATIONS",
    "CLIPS",
    "FORMATS",
    "LSQ",
    "PACT",
    "PENALTIES",
    "STEPS",
    "WRPN",
    "ActivationQuantizer",
    "Affine",
    "AlphaDecay",
    "Binary",
    "DoReFa",
    "DoReFaActivation",
    "DoReFaGradient",
    "Dynamic",
    "DynamicFixedPoint",
    "EntropyPenalty",
    "FixedPoint",
    "Follow",
    "Follower",
    "LearnedStep",
    "LinearGrid",
    "Narrow",
    "ScaledGrid",
    "Sign",
    "SignActivation",
    "Spaced",
    "Static",
    "StochasticSign",
    "Ternary",
    "Uniform",
    "UniformFull",
    "UniformGrid",
    "ValuePenalty",
    "WRPNActivation",
    "Xnor",
    "activations",
    "attach",
    "calibrate",
    "check_penalty",
    "clip_ends",
    "describe_activations",
    "detach",
    "has_followers",
    "parse_clip",
    "quantize_biases",
    "rebuild_activations",
    "total_bits",
]
