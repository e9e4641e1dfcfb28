"""Regularisers in a training: as terms of the loss, and as proximal steps after each update."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.prune.gradual import Moment
from laconic.prune.regulariser import REGULARISERS, Regulariser
from laconic.represent import latents


class _Regularised:
    """A regulariser on some weights, each with a strength λ."""

    def __init__(self, norm: str, strengths: Mapping[str, float]) -> None:
        check_strengths(norm, list(strengths.values()))
        self.norm = norm
        self.strengths = strengths

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"norm": self.norm, "strengths": dict(self.strengths)}

    @property
    def regulariser(self) -> Regulariser:
        """The norm itself."""
        return REGULARISERS[self.norm]


class WeightPenalty(_Regularised):
    """A term of the loss: ``Σ λ · value(weight)`` over some weights, as they compute.

    Args:
        norm: a key of `REGULARISERS`.
        strengths: weight name → λ.

    Raises:
        UsageError: no such norm, or a λ that is not positive.

    Examples:
        >>> layer = nn.Linear(2, 1)
        >>> _ = nn.init.constant_(layer.weight, 3.0)
        >>> WeightPenalty("l1", {"weight": 0.5})(layer).item()
        3.0
    """

    def __call__(self, model: nn.Module) -> Tensor:
        """The term, a scalar with a gradient."""
        terms = []
        for name, strength in self.strengths.items():
            path, _, key = name.rpartition(".")
            # Through the module, so that a chain is computed once a step (see parametrize.cached).
            terms.append(strength * self.regulariser.value(getattr(model.get_submodule(path), key)))
        return torch.stack(terms).sum()


class Proximal(_Regularised):
    """A callback: after each update the proximal step of ``λ · value``, with exact zeros.

    ``w ← prox_{ηλ}(w)``, η the learning rate of the step: proximal gradient descent, for L1
    ``w ← sign(w) · max(|w| − ηλ, 0)``. It works on the latent weight of a chain.

    With momentum μ an update adds up about 1/(1 − μ) gradients, so that λ acts as λ(1 − μ) does
    without. With Adam it does not work: an update moves every weight by about η, however small
    its gradient, and no weight stays at zero.

    Args:
        norm: a key of `REGULARISERS`.
        strengths: weight name → λ.

    Raises:
        UsageError: no such norm, or a λ that is not positive.
    """

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Nothing."""

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Shrink every weight."""
        found = latents(model)
        with torch.no_grad():
            for name, strength in self.strengths.items():
                threshold = moment.learning_rate * strength
                found[name].copy_(self.regulariser.shrink(found[name], threshold))


def check_strengths(norm: str, strengths: list[float]) -> None:
    """Refuse what no training could add.

    Raises:
        UsageError: no such norm, or a strength that is not positive.

    Examples:
        >>> check_strengths("l3", [1.0])
        Traceback (most recent call last):
        ...
        laconic.errors.UsageError: no regulariser is named 'l3'; there are: l1, filters, channels, \
shapes, depth, li, lo
    """
    if norm not in REGULARISERS:
        raise UsageError(f"no regulariser is named {norm!r}; there are: {', '.join(REGULARISERS)}")
    for strength in strengths:
        if not (strength > 0 and math.isfinite(strength)):
            raise UsageError(f"{norm}: the strength is {strength:g}; a positive number is needed")
