"""BatchNorm: statistics measured again after a cut, and a norm folded into the layer before it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from laconic.errors import UnsupportedError, UsageError
from laconic.represent import chain

FOLD_TOLERANCE = 1e-5
"""Of what a chain makes of a folded weight, relative to the largest weight."""


def recalibrate(model: nn.Module, inputs: Iterable[Tensor]) -> int:
    """Replace the running statistics of all BatchNorm layers by those of `inputs`, in place.

    Mean and variance are the plain averages over the batches, each layer seeing what the layers
    before it make of the batch. The weights stay.

    Args:
        model: in any mode, which it keeps.
        inputs: batches of training examples, never of the validation or test split.

    Returns:
        How many layers were measured.

    Raises:
        UsageError: there is no BatchNorm layer with running statistics, or no input.

    Examples:
        >>> norm = nn.BatchNorm1d(2)
        >>> recalibrate(norm, [torch.tensor([[1.0, 4.0], [3.0, 4.0]])])
        1
        >>> norm.running_mean.tolist(), norm.running_var.tolist()
        ([2.0, 4.0], [2.0, 0.0])
    """
    layers = [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]
    if not layers:
        raise UsageError("the network has no BatchNorm layer with running statistics")
    batches = iter(inputs)
    first = next(batches, None)
    if first is None:
        raise UsageError("there is no input to measure BatchNorm statistics on")
    modes = [(module, module.training) for module in model.modules()]
    momenta = [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over all batches
        layer.train()
    try:
        with torch.no_grad(), parametrize.cached():
            for batch in itertools.chain([first], batches):
                model(batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in modes:
            module.training = mode
    return len(layers)


def fold(layer: Any, norm: Any) -> None:
    """Fold one norm with running statistics into one layer, in place, in float64 on the way.

    Raises:
        UnsupportedError: a step of the weight's chain would not give the folded weight.
    """
    deviation = (norm.running_var.double() + norm.eps).sqrt()
    factor = 1 / deviation if norm.weight is None else norm.weight.detach().double() / deviation
    shift = -norm.running_mean.double() * factor
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    with torch.no_grad():
        if layer.bias is not None:
            shift = shift + layer.bias.double() * factor
        wanted = layer.weight.double() * factor.reshape(-1, *[1] * (layer.weight.ndim - 1))
        _latent(layer).copy_(wanted)
        off = (layer.weight.double() - wanted).abs()
        if off.numel() and off.max() > FOLD_TOLERANCE * wanted.abs().max():
            raise UnsupportedError(
                f"the chain {chain(layer)} does not give the folded weight; fold BatchNorm before"
            )
    layer.bias = nn.Parameter(shift.to(layer.weight.dtype))


def _latent(layer: Any) -> Tensor:
    if parametrize.is_parametrized(layer, "weight"):
        latent: Tensor = layer.parametrizations["weight"].original
        return latent
    weight: Tensor = layer.weight
    return weight
