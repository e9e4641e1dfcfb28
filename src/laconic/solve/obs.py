"""Optimal Brain Surgeon's update: the weights that are left make up for those that go."""

from __future__ import annotations

import torch
from torch import Tensor

from laconic.errors import UsageError


def compensate(weight: Tensor, hessian: Tensor, mask: Tensor) -> Tensor:
    """The weight with zeros where `mask` is false and what costs least with them elsewhere.

    Hassibi, Stork, "Optimal Brain Surgeon", NIPS 1992: removing weight q moves the others by
    ``δw = −w_q / [H⁻¹]_qq · H⁻¹ e_q``. One after the other, with row and column q taken out of H
    each time, the moves add up to ``w_K + H_KK⁻¹ H_KP w_P`` (K kept, P pruned, in whatever order),
    which is computed here for each output at once. It minimises ``½ δwᵀ H δw``.

    Args:
        weight: ``[outputs, ...]``, before the zeros.
        hessian: ``[groups, columns, columns]``, positive definite, for the weight seen as
            ``[outputs, columns]``: what `laconic.saliency.input_hessians` gives.
        mask: True where a weight is kept, shape of `weight`.

    Raises:
        UsageError: the shapes do not fit, or the Hessian is not positive definite.

    Examples:
        >>> inputs = torch.tensor([[1.0, 1.0], [1.0, 1.1]])
        >>> compensate(torch.tensor([[1.0, 1.0]]), (inputs.T @ inputs)[None],
        ...            torch.tensor([[True, False]]))
        tensor([[2.0500, 0.0000]])
    """
    groups, columns, _ = hessian.shape
    if weight.shape != mask.shape or weight[0].numel() != columns or len(weight) % groups:
        raise UsageError(
            f"weight {list(weight.shape)}, mask {list(mask.shape)} and Hessian "
            f"{list(hessian.shape)} do not belong together"
        )
    rows = weight.to(hessian).reshape(groups, -1, columns)
    kept = mask.reshape(rows.shape)
    moved = [
        torch.stack([_compensated(*pair, own) for pair in zip(group, group_kept, strict=True)])
        for group, group_kept, own in zip(rows, kept, hessian, strict=True)
    ]
    return torch.stack(moved).reshape(weight.shape).to(weight)


def _compensated(row: Tensor, kept: Tensor, hessian: Tensor) -> Tensor:
    lost = torch.where(kept, 0.0, row)
    result = torch.zeros_like(row)
    factor, failed = torch.linalg.cholesky_ex(hessian[kept][:, kept])
    if int(failed):
        raise UsageError(
            "the Hessian is not positive definite: give more examples, or more damping"
        )
    change = torch.cholesky_solve((hessian[kept] @ lost)[:, None], factor)[:, 0]
    result[kept] = row[kept] + change
    return result


def inverse_hessian(vectors: Tensor, alpha: float = 1e-6) -> Tensor:
    """H⁻¹ of ``H = α I + 1/P Σ x xᵀ``, one vector at a time: no matrix is inverted.

    ``H⁻¹ ← H⁻¹ − H⁻¹ x xᵀ H⁻¹ / (P + xᵀ H⁻¹ x)`` from ``H₀⁻¹ = I / α``, the recursion of Hassibi
    and Stork, for a network small enough that H covers all its weights together: x is then the
    gradient of an output by all weights, for one example, and H the Gauss-Newton matrix.

    Args:
        vectors: ``[P, weights]``.
        alpha: in [1e-8, 1e-4] in the paper.

    Raises:
        UsageError: `alpha` is not positive.

    Examples:
        >>> inverse_hessian(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), alpha=0.5)
        tensor([[1.0000, 0.0000],
                [0.0000, 0.4000]])
    """
    if not alpha > 0:
        raise UsageError(f"alpha {alpha:g} is not positive; the paper takes 1e-8 to 1e-4")
    inverse = torch.eye(vectors.shape[1]).to(vectors) / alpha
    for vector in vectors:
        along = inverse @ vector
        inverse = inverse - torch.outer(along, along) / (len(vectors) + vector @ along)
    return inverse
