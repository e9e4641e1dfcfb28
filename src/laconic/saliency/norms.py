"""Scores of whole channels from their weights: norms, sums of other scores, and chance."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from laconic.errors import UsageError
from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.layers import check_outputs_first
from laconic.saliency.saliency import Saliency, Scores


class L1Norm(Saliency):
    """``s_j = Σ |F_j|``: the sum of a filter's absolute weights.

    Li, Kadav, Durdanovic, Samet, Graf, arXiv:1608.08710, section 3.1. A filter is a row of the
    weight: all that one output channel or neuron multiplies its inputs with.
    """

    per_channel = True

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Any layer whose weight begins with its outputs."""
        check_outputs_first(model, names, self)
        return {name: rows.abs().sum(1) for name, rows in _rows(model, names).items()}


class L2Norm(Saliency):
    """``‖F_j‖₂``: the Euclidean norm of a filter, the other norm of arXiv:1608.08710."""

    per_channel = True

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Any layer whose weight begins with its outputs."""
        check_outputs_first(model, names, self)
        return {name: rows.square().sum(1).sqrt() for name, rows in _rows(model, names).items()}


class RandomChannels(Saliency):
    """Uniform scores in [0, 1) for channels, that say nothing.

    Args:
        seed: the same seed gives the same scores.
    """

    per_channel = True

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Drawn on the CPU, so that they do not depend on the device."""
        check_outputs_first(model, names, self)
        generator = Generator().manual_seed(self.seed)
        return {
            name: torch.rand(len(rows), generator=generator).to(rows.device)
            for name, rows in _rows(model, names).items()
        }


class ChannelSum(Saliency):
    """The sum over a channel's weights of any score of single weights.

    For `OBD` and `Fisher` it is what a diagonal second derivative says of removing all of them.

    Args:
        of: a key of `SALIENCIES` whose scores are of weights.
        arguments: of its constructor.

    Raises:
        UsageError: there is no such saliency, its scores are of channels already, or it has no
            such argument.
    """

    per_channel = True

    def __init__(self, of: str = "magnitude", arguments: Mapping[str, Any] | None = None) -> None:
        self.of = of
        self.arguments = arguments
        self._inner = _make(of, arguments or {})
        self.needs_data = self._inner.needs_data
        self.needs_initial = self._inner.needs_initial

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """The kinds of layers that `of` can score, if their weight begins with its outputs."""
        check_outputs_first(model, names, self)
        found = self._inner.measure(model, names, data)
        return {name: scores.flatten(1).sum(1) for name, scores in found.items()}


def _make(name: str, arguments: Mapping[str, Any]) -> Saliency:
    # Imported here: the registry holds this file's classes.
    from laconic.saliency import SALIENCIES

    if name not in SALIENCIES or SALIENCIES[name].per_channel:
        known = ", ".join(key for key, kind in SALIENCIES.items() if not kind.per_channel)
        raise UsageError(f"no saliency {name!r} scores single weights; there are: {known}")
    own = list(inspect.signature(SALIENCIES[name]).parameters)
    for argument in arguments:
        if argument not in own:
            has = f"it has: {', '.join(own)}" if own else "it has none"
            raise UsageError(f"{name} has no argument {argument!r}; {has}")
    return SALIENCIES[name](**arguments)


def _rows(model: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    present = weights(model)
    return {name: present[name].flatten(1) for name in names}
