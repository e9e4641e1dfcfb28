"""Every quantizer of activations by the name that a recipe gives it."""

from __future__ import annotations

from laconic.quantize.activations import Dynamic, Static
from laconic.quantize.learned_range import PACT, LearnedStep
from laconic.quantize.low_bit import (
    DoReFaActivation,
    DoReFaGradient,
    SignActivation,
    WRPNActivation,
    Xnor,
)
from laconic.quantize.quantizer import ActivationQuantizer

ACTIVATIONS: dict[str, type[ActivationQuantizer]] = {
    "static": Static,
    "dynamic": Dynamic,
    "dorefa": DoReFaActivation,
    "dorefa-gradient": DoReFaGradient,
    "wrpn": WRPNActivation,
    "pact": PACT,
    "lsq": LearnedStep,
    "sign": SignActivation,
    "xnor": Xnor,
}


def activation_classes() -> dict[str, type[ActivationQuantizer]]:
    """Class name, as `describe_activations` writes it → class."""
    return {kind.__name__: kind for kind in ACTIVATIONS.values()}
