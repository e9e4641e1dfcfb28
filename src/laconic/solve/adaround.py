"""Up or down, learned: each weight goes to one of its two grid neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from laconic.errors import UsageError

GAMMA, ZETA = -0.1, 1.1
"""Ends of the stretched sigmoid (paper, section 3.2)."""
STRENGTH = 0.01
"""λ of the paper's released settings, of the loss below in units of its start."""
HOT, COLD = 20.0, 2.0
"""β at the end of the warm-up and at the last step."""
WARM_UP = 0.2
"""Part of the steps without the term that decides."""


def learn_rounding(
    weight: Tensor,
    hessian: Tensor,
    low: Tensor,
    high: Tensor,
    *,
    steps: int = 1000,
    learning_rate: float = 0.01,
) -> Tensor:
    """The weight with each value at `low` or `high`, so that the layer's outputs move little.

    Nagel, Amjad, van Baalen, Louizos, Blankevoort, "Up or Down? Adaptive Rounding for
    Post-Training Quantization", arXiv:2004.10568: minimises ``tr(δ H δᵀ) + λ Σ 1 − |2h(V) − 1|^β``
    over V with ``ŵ = low + h(V) (high − low)`` and the rectified sigmoid h; β falls from 20 to 2.
    Departures: the loss is that of the layer's own quadratic form (their equation 20 without the
    asymmetric reconstruction of equation 25 and without the activation function), so a step costs
    a product with H and no example is kept; it is divided by the loss of rounding to nearest, so
    that one λ serves every layer.

    Args:
        weight: ``[outputs, ...]``.
        hessian: ``[groups, columns, columns]``: what `laconic.saliency.input_hessians` gives.
        low: grid value at or below each weight, in its shape.
        high: grid value above it, or `low` where there is none.
        steps: of Adam.
        learning_rate: of V.

    Raises:
        UsageError: the shapes do not fit.

    Examples:
        >>> inputs = torch.tensor([[1.0, 1.0], [1.0, 0.9]])  # alike: errors may cancel
        >>> weight = torch.tensor([[0.4, 0.4]])
        >>> learn_rounding(weight, (inputs.T @ inputs)[None], torch.zeros(1, 2), torch.ones(1, 2))
        tensor([[1., 0.]])
    """
    groups, columns, _ = hessian.shape
    if weight[0].numel() != columns or len(weight) % groups or low.shape != weight.shape:
        raise UsageError(
            f"weight {list(weight.shape)} and Hessian {list(hessian.shape)} do not belong together"
        )
    shape = (groups, -1, columns)
    rows, lower, upper = (value.float().reshape(shape) for value in (weight, low, high))
    matrix, gap = hessian.float(), upper - lower
    part = ((rows - lower) / torch.where(gap > 0, gap, 1.0)).clamp(0.01, 0.99)

    def loss(values: Tensor) -> Tensor:
        change = values - rows
        return ((change @ matrix) * change).sum()

    unit = loss(lower + gap * part.round()).clamp(min=torch.finfo(torch.float32).tiny)
    # h(V) = part at the start: the weight itself.
    latent = torch.logit((part - GAMMA) / (ZETA - GAMMA)).requires_grad_()
    optimizer = torch.optim.Adam([latent], lr=learning_rate)
    for step in range(steps):
        with torch.enable_grad():
            share = (torch.sigmoid(latent) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)
            total = loss(lower + gap * share) / unit
            done = (step / steps - WARM_UP) / (1 - WARM_UP)
            if done >= 0:
                sharpness = COLD + (HOT - COLD) * (1 - done)
                undecided = 1 - (2 * share - 1).abs().pow(sharpness)
                total = total + STRENGTH * undecided.sum()
            optimizer.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    chosen = torch.where(latent.detach() > 0, upper, lower)
    # Where learning did not help (a layer of few weights), the nearest value is the answer.
    nearest = lower + gap * part.round()
    better = loss(chosen) <= loss(nearest)
    return torch.where(better, chosen, nearest).reshape(weight.shape).to(weight)
