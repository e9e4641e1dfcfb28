"""Terms of the loss that make weights easy to quantize: narrow ranges, values near ±1."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from laconic.errors import UsageError


def square(weight: Tensor) -> Tensor:
    """``Σ w²``: draws every weight in, the largest most."""
    return weight.square().sum()


def peak(weight: Tensor) -> Tensor:
    """``max |w|``: draws in what ends the range of a uniform grid, and nothing else."""
    return weight.abs().amax() if weight.numel() else weight.sum()


def wells(weight: Tensor) -> Tensor:
    """``Σ (1 − w²)²``: least, 0, where every weight is ±1, and growing beyond."""
    return (1 - weight.square()).square().sum()


def source_wells(weight: Tensor) -> Tensor:
    """``Σ w² (1 − w²)`` with w cut to [−1, 1], as source texts on binary networks have it.

    Not cut, it falls to −∞ beyond ±1. It has a third minimum, at 0, to which everything below
    1/√2 in magnitude is drawn: weights must start beyond that, or become zeros, not signs.
    """
    cut = weight.clamp(-1, 1).square()
    return (cut * (1 - cut)).sum()


PENALTIES: dict[str, Callable[[Tensor], Tensor]] = {
    "l2": square,
    "max": peak,
    "wells": wells,
    "source-wells": source_wells,
}
"""Name in a recipe → term over one weight; L1 is one of `laconic.prune.REGULARISERS`."""


class ValuePenalty:
    """A term of the loss: ``Σ λ · term(weight)`` over some weights.

    Of a restricted weight the latent values count: those of a grid of signs are ±1 already.

    Args:
        term: a key of `PENALTIES`.
        strengths: weight name → λ.

    Raises:
        UsageError: no such term, or a λ that is not positive.

    Examples:
        >>> layer = nn.Linear(2, 1)
        >>> _ = nn.init.constant_(layer.weight, -3.0)
        >>> ValuePenalty("max", {"weight": 0.5})(layer).item()
        1.5
    """

    def __init__(self, term: str, strengths: Mapping[str, float]) -> None:
        check_penalty(term, list(strengths.values()))
        self.term = term
        self.strengths = strengths

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"term": self.term, "strengths": dict(self.strengths)}

    def __call__(self, model: nn.Module) -> Tensor:
        """The term, a scalar with a gradient."""
        terms = [
            strength * PENALTIES[self.term](_latent(model, name))
            for name, strength in self.strengths.items()
        ]
        return torch.stack(terms).sum()


def _latent(model: nn.Module, name: str) -> Tensor:
    """A weight's latent values: by its path, as this is asked for in every step of a training."""
    path, _, key = name.rpartition(".")
    module = model.get_submodule(path)
    found = module._parameters.get(key)
    if found is None:
        found = module.parametrizations[key].original  # type: ignore[index,union-attr]
    return found


def check_penalty(term: str, strengths: list[float]) -> None:
    """Refuse what no training could add.

    Raises:
        UsageError: no such term, or a strength that is not positive.
    """
    if term not in PENALTIES:
        raise UsageError(f"no penalty is named {term!r}; there are: {', '.join(PENALTIES)}")
    for strength in strengths:
        if not (strength > 0 and math.isfinite(strength)):
            raise UsageError(f"{term}: the strength is {strength:g}; a positive number is needed")
