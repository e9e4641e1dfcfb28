"""What stands behind a chain: the tensor that training moves, and what comes into a step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from laconic.represent.chain import _own_parameters, _owners, chain
from laconic.represent.plain import plain
from laconic.represent.step import Step


def latents(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter by its plain name: the latent one where it is restricted, tied ones once.

    Examples:
        >>> from laconic.prune import Prune
        >>> from laconic.represent import represent
        >>> layer = nn.Linear(4, 2)
        >>> before = layer.weight
        >>> _ = represent(layer, Prune(0.5))
        >>> latents(layer)["weight"] is before, list(latents(layer))
        (True, ['weight', 'bias'])
    """
    found = {}
    for name, ((module, key), *_) in _owners(model).items():
        found[name] = next(value for own, value in _own_parameters(module) if own == key)
    return found  # type: ignore[return-value]


def entering(model: nn.Module, name: str, step: Step) -> Tensor:
    """What a step of a chain restricts: the latent weight after the steps before it, detached.

    Args:
        model: the network.
        name: of the weight, ``"fc1.weight"``.
        step: one of its chain.
    """
    ((module, key), *_) = _owners(model)[name]
    with torch.no_grad():
        value = next(own for found, own in _own_parameters(module) if found == key).detach()
        for before in chain(module, key):
            if before is step:
                break
            value = before(value)
    return value


def plain_before(model: nn.Module, steps: Mapping[str, Step]) -> nn.Module:
    """A copy of the model without chains in which some weights are what comes into a step.

    Args:
        model: the network.
        steps: weight name → one of the steps of its chain.

    Examples:
        >>> from laconic.prune import Prune
        >>> from laconic.represent import represent
        >>> layer = nn.Linear(4, 2)
        >>> step = represent(layer, Prune(0.5))
        >>> int((plain_before(layer, {"weight": step}).weight != 0).sum())
        8
    """
    copy = plain(model)
    parameters = dict(copy.named_parameters())
    with torch.no_grad():
        for name, step in steps.items():
            parameters[name].copy_(entering(model, name, step))
    return copy
