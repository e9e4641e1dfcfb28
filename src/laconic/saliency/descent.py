"""A few steps of plain gradient descent on a copy of the network, watched from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.represent import chains
from laconic.saliency.data import Data
from laconic.saliency.layers import device_of, twin


class Move(NamedTuple):
    """What a step did to one weight, each in its shape."""

    before: Tensor
    gradient: Tensor
    """Of the mean loss of the step's batch."""
    after: Tensor


def descent(
    model: nn.Module, names: Sequence[str], data: Data, learning_rate: float
) -> Iterator[dict[str, Move]]:
    """One step for each batch of `data`, over all parameters; yields the moves of `names`.

    ``θ ← θ − learning_rate · g``, without momentum or decay. The copy is in eval mode, so that
    BatchNorm keeps its statistics and no dropout draws. What a chain made zero stays zero.

    Raises:
        UsageError: a gradient is not finite.
    """
    copy, watched = twin(model, names)
    copy.requires_grad_()
    named = {n: each for n, each in copy.named_parameters() if each.is_floating_point()}
    parameters = list(named.values())
    restricted = set(chains(model))
    zeros = {
        id(parameter): parameter.detach() != 0
        for name, parameter in copy.named_parameters()
        if name in restricted
    }
    device = device_of(copy)
    for inputs, targets in data.batches():
        loss = data.loss(copy(inputs.to(device)), targets.to(device))
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        before = {name: watched[name].detach().clone() for name in names}
        found = {}
        with torch.no_grad():
            for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
                if bad := int((~torch.isfinite(gradient)).sum()):
                    raise UsageError(
                        f"{name}: {bad} of {gradient.numel()} gradients are NaN or infinite after "
                        f"steps with learning rate {learning_rate:g}; take a smaller one, or look "
                        "for NaN in the data"
                    )
                if id(parameter) in zeros:
                    gradient = gradient * zeros[id(parameter)]
                found[id(parameter)] = gradient
                parameter.sub_(learning_rate * gradient)
        yield {
            name: Move(before[name], found[id(watched[name])], watched[name].detach().clone())
            for name in names
        }


def check_learning_rate(learning_rate: float) -> None:
    """Refuse what takes no steps.

    Raises:
        UsageError: it is not positive.
    """
    if not learning_rate > 0:
        raise UsageError(f"learning_rate {learning_rate:g} is not positive; 0.001 is usual")
