"""How much the outputs of a network move with each of its parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from laconic.saliency.data import Data
from laconic.saliency.gradients import mean_over_examples
from laconic.saliency.saliency import Scores


def output_curvatures(model: nn.Module, names: Sequence[str], data: Data, seed: int = 0) -> Scores:
    """``E ‖∂z/∂w‖²``, z all outputs of an example: the diagonal of ``E Jᵀ J``.

    The Gauss-Newton matrix of ``‖z − z₀‖²``, which needs no label and does not vanish where a
    network is sure of its answers, as the Fisher information does on examples that it was trained
    on. Estimated by Hutchinson's random signs v, ``E (∂(vᵀz)/∂w)²``, one v an example.

    Args:
        model: with or without chains; left as it was.
        names: of parameters, of any kind of layer; biases too.
        data: the examples.
        seed: of the signs.
    """
    generator = torch.Generator().manual_seed(seed)

    def along(outputs: Tensor, targets: Tensor) -> Tensor:
        signs = torch.randint(0, 2, outputs.shape, generator=generator) * 2.0 - 1.0
        return (outputs * signs.to(outputs)).sum()[None]

    return mean_over_examples(model, names, data, along)
