"""Rounding one column after the other, each error made up for by the columns that are left."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from laconic.errors import UsageError

BLOCK = 128
"""Columns after which the rest of the weight is told of their errors."""

Restrict = Callable[[Tensor], Tensor]
"""Values of one column, ``[outputs, 1]`` → the values that they may take."""


class Feedback:
    """Rounds weights of one layer so that its outputs move little.

    Frantar, Ashkboos, Hoefler, Alistarh, "GPTQ", arXiv:2210.17323, section 4: with
    ``H⁻¹ = Uᵀ U`` (U upper triangular), column q is rounded, and the columns behind it take up
    its error, ``w ← w − (w_q − ŵ_q) / U_qq · U_q,:``, which is what Optimal Brain Surgeon would do
    with them. Columns go in the order of falling H_qq (the released code's act-order): the most
    used ones while there is most left to make up for them.

    Args:
        hessian: ``[groups, columns, columns]``, positive definite, for a weight seen as
            ``[outputs, columns]``: what `laconic.saliency.input_hessians` gives.

    Raises:
        UsageError: the Hessian is not positive definite.

    Examples:
        >>> inputs = torch.tensor([[1.0, 1.0], [1.0, 0.9]])  # alike: errors may cancel
        >>> hessian = inputs.T @ inputs + 0.01 * torch.eye(2)
        >>> Feedback(hessian[None]).round(torch.tensor([[0.4, 0.4]]), torch.round)
        tensor([[0., 1.]])
    """

    def __init__(self, hessian: Tensor) -> None:
        self.groups, self.columns, _ = hessian.shape
        self.order = hessian.diagonal(dim1=1, dim2=2).argsort(dim=1, descending=True, stable=True)
        self.diagonal = hessian.diagonal(dim1=1, dim2=2).float()
        """H_qq, ``[groups, columns]``."""
        each = torch.arange(self.groups, device=hessian.device)[:, None, None]
        in_order = hessian[each, self.order[:, :, None], self.order[:, None]]
        lower, failed = torch.linalg.cholesky_ex(in_order)
        factor = lower
        if not bool(failed.any()):
            factor, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
        if bool(failed.any()):
            raise UsageError(
                "the Hessian is not positive definite: give more examples, or more damping"
            )
        # Rounding needs no more digits than the weights have; half of the traffic.
        self.factor = factor.float()
        """U, ``[groups, columns, columns]``, for columns in their order."""
        self.in_order = in_order.float()

    def curvatures(self) -> Tensor:
        """``1 / U_qq²``: what an error of each column costs once the rest makes up for it.

        Their product is the determinant of H. ``[groups, columns]``, each column in its place.
        """
        own = self.factor.diagonal(dim1=1, dim2=2) ** -2.0
        return torch.empty_like(own).scatter(1, self.order, own)

    def round(self, weight: Tensor, restrict: Restrict, kept: Tensor | None = None) -> Tensor:
        """Values of a grid, in shape and dtype of `weight`.

        An output that would move more than by plain rounding, which pruned weights may lead to,
        is rounded plainly.

        Args:
            weight: ``[outputs, ...]``.
            restrict: a grid's `forward`; a grid with scales along axis 0 sees its own rows.
            kept: True where a weight may differ from zero, shape of `weight`; errors of the others
                are made up for like any.

        Raises:
            UsageError: the shapes do not fit.
        """
        fits = weight.ndim > 0 and weight[0].numel() == self.columns
        if (
            not fits
            or len(weight) % self.groups
            or (kept is not None and kept.shape != weight.shape)
        ):
            raise UsageError(
                f"weight {list(weight.shape)} and a Hessian of {self.groups} groups of "
                f"{self.columns} columns do not belong together"
            )
        rows = weight.to(self.factor).reshape(self.groups, -1, self.columns)
        places = self.order[:, None].expand_as(rows)
        rows = rows.gather(2, places)
        allowed = None if kept is None else kept.reshape(places.shape).gather(2, places)
        before, found = rows.clone(), torch.empty_like(rows)
        for start in range(0, self.columns, BLOCK):
            block = slice(start, min(start + BLOCK, self.columns))
            errors = torch.empty_like(rows[:, :, block])
            for place in range(block.start, block.stop):
                column = rows[:, :, place]
                own = restrict(column.reshape(-1, 1).to(weight)).to(column).reshape(column.shape)
                if allowed is not None:
                    own = own.where(allowed[:, :, place], 0.0)
                error = (column - own) / self.factor[:, place, place, None]
                rest = slice(place + 1, block.stop)
                rows[:, :, rest] -= error[:, :, None] * self.factor[:, None, place, rest]
                found[:, :, place], errors[:, :, place - start] = own, error
            behind = slice(block.stop, self.columns)
            rows[:, :, behind] -= errors @ self.factor[:, block, behind]
        plain = restrict(weight).to(rows).reshape(rows.shape).gather(2, places)
        if allowed is not None:
            plain = plain.where(allowed, 0.0)
        better = self._loss(found - before) <= self._loss(plain - before)
        found = torch.where(better, found, plain)
        return torch.empty_like(found).scatter(2, places, found).reshape(weight.shape).to(weight)

    def _loss(self, change: Tensor) -> Tensor:
        """``δ H δᵀ`` of each output, ``[groups, outputs / groups, 1]``."""
        return ((change @ self.in_order) * change).sum(2, keepdim=True)
