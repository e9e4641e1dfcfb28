"""Two linear layers with nothing between them are one."""

from __future__ import annotations

import torch
from torch import nn


def merge(first: nn.Linear, second: nn.Linear) -> nn.Linear:
    """One linear layer for two, in float64 on the way.

    ``W₂(W₁x + b₁) + b₂ = (W₂W₁)x + (W₂b₁ + b₂)``, exact to rounding.

    Examples:
        >>> merge(nn.Linear(4, 9), nn.Linear(9, 2)).weight.shape
        torch.Size([2, 4])
    """
    a, b = first.weight.detach().double(), second.weight.detach().double()
    biased = first.bias is not None or second.bias is not None
    merged = nn.Linear(first.in_features, second.out_features, bias=biased).to(second.weight)
    with torch.no_grad():
        merged.weight.copy_(b @ a)
        if biased:
            merged.bias.zero_()
            if first.bias is not None:
                merged.bias.add_(b @ first.bias.double())
            if second.bias is not None:
                merged.bias.add_(second.bias)
    return merged.train(second.training)
