"""Restrictions put on drawn weights: zeros at random places, few values, statistics that fit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SHARED_VALUES = 32


def settle(model: nn.Module, inputs: Sequence[Tensor]) -> None:
    """Set BatchNorm's statistics to those of `inputs`, so that values stay of about unit size."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = None  # the mean over all batches seen: here of one
    model.train()
    with torch.no_grad():
        model(*inputs)
    model.eval()


def weights(model: nn.Module, pointwise: bool) -> list[Tensor]:
    """The weights of all convolutions, linear and recurrent layers; or of 1×1 convolutions alone.

    The first and the last layer count among all. A depthwise convolution never does: it has nine
    weights a channel.
    """
    found: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups == 1:
            if not pointwise or module.kernel_size == (1, 1):
                found.append(module.weight)
        elif isinstance(module, nn.Linear) and not pointwise:
            found.append(module.weight)
        elif isinstance(module, nn.LSTM):
            found += [value for name, value in module.named_parameters() if "weight" in name]
    return found


@torch.no_grad()
def prune_at_random(weight: Tensor, sparsity: float, generator: torch.Generator) -> None:
    """Zero exactly this share of the weight, in place; the others grow to the former variance."""
    count = round(sparsity * weight.numel())
    places = torch.randperm(weight.numel(), generator=generator)[:count]
    weight.view(-1)[places] = 0
    weight /= (1 - sparsity) ** 0.5


@torch.no_grad()
def share(weight: Tensor) -> None:
    """Round the non-zeros to one of 31 evenly spaced values, in place; with 0 they are 32."""
    largest = weight.abs().max()
    steps = (SHARED_VALUES - 2) / 2
    rounded = (weight / largest * steps).round()
    # What rounds to zero takes the smallest step: the share of zeros stays.
    rounded = torch.where((rounded == 0) & (weight != 0), weight.sign(), rounded)
    weight.copy_(rounded * (largest / steps))
