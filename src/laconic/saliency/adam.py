"""What Adam knows of the curvature: the running mean of squared gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from laconic.errors import UsageError
from laconic.saliency.data import Data
from laconic.saliency.layers import device_of, twin
from laconic.saliency.lifelong import Importance
from laconic.saliency.saliency import Scores


class AdamMoment(Importance):
    """``b_i = √v̂_i``: Choi, El-Khamy, Lee, arXiv:1612.01543.

    v is Adam's second moment, ``v ← β₂ v + (1 - β₂) g²`` with the gradient of each batch's mean
    loss, and ``v̂ = v / (1 - β₂^t)``. The paper takes what Adam has at hand when a training ends;
    here the network stands still and the examples pass once in the task's batches, so that a
    network trained elsewhere has it too. Give it as many batches as a training has: the squared
    gradient of a few is noise, worse than no importance at all. Any kind of layer, any loss.

    Args:
        power: see the module.
        beta: β₂.

    Raises:
        UsageError: `beta` is outside [0, 1).
    """

    def __init__(self, power: float = 2, beta: float = 0.999) -> None:
        super().__init__(power)
        if not 0 <= beta < 1:
            raise UsageError(f"beta {beta:g} is outside [0, 1); Adam's own is 0.999")
        self.beta = beta

    def importance(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """√v̂ after the last batch."""
        copy, parameters = twin(model, names)
        device = device_of(copy)
        moments = {name: torch.zeros_like(parameters[name]) for name in names}
        batches = 0
        for inputs, targets in data.batches():
            loss = data.loss(copy(inputs.to(device)), targets.to(device))
            gradients = torch.autograd.grad(
                loss,
                [parameters[name] for name in names],
                allow_unused=True,
                materialize_grads=True,
            )
            for name, gradient in zip(names, gradients, strict=True):
                moments[name].mul_(self.beta).add_(gradient.square(), alpha=1 - self.beta)
            batches += 1
        correction = 1 - self.beta**batches
        return {name: (moment / correction).sqrt() for name, moment in moments.items()}
