"""Over what a sparsity is counted: each layer by itself, or all layers together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.prune.magnitude import check_sparsity, smallest

Scope = Callable[[Mapping[str, Tensor], float], dict[str, float]]
"""Weights by name, and a sparsity → the sparsity of each."""


def layer_scope(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, float]:
    """Every layer loses the same fraction (class-uniform, arXiv:1606.09274)."""
    return dict.fromkeys(weights, sparsity)


def global_scope(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, float]:
    """The smallest weights of all layers together go (class-blind, arXiv:1606.09274).

    The total is exact; of equal magnitudes the earlier layer and the lower index go first.

    Raises:
        UsageError: a whole layer would become zero (the message names it), or there is none.

    Examples:
        >>> global_scope({"a": torch.tensor([1.0, 4.0]), "b": torch.tensor([3.0, 5.0])}, 0.25)
        {'a': 0.5, 'b': 0.0}
    """
    check_sparsity(sparsity)
    if not weights:
        raise UsageError("no weights were given; a global sparsity needs at least one layer")
    scores = torch.cat([weight.abs().float().flatten() for weight in weights.values()])
    mask = smallest(scores, round(sparsity * len(scores)))
    shares, start = {}, 0
    for name, weight in weights.items():
        part = mask[start : start + weight.numel()]
        if len(part) and bool(part.all()):
            raise UsageError(
                f"{name}: at {sparsity:g} over all layers, all its {len(part)} weights would be "
                "zero; ask for less, or leave this layer out"
            )
        shares[name] = int(part.sum()) / max(1, len(part))
        start += len(part)
    return shares


SCOPES: dict[str, Scope] = {"layer": layer_scope, "global": global_scope}
