"""Optimal Brain Surgeon: what removing a weight costs when the others make up for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.inputs import check_damping, input_hessians
from laconic.saliency.layers import for_each_weight
from laconic.saliency.saliency import Saliency, Scores

ROWS = 8
"""Outputs whose inverse Hessians are kept at a time by `OBSGreedy`."""


class OBS(Saliency):
    """``L_q = w_q² / (2 [H⁻¹]_qq)``, Hassibi, Stork, "Second order derivatives for network
    pruning: Optimal Brain Surgeon", NIPS 1992.

    H is taken in blocks, one for the weights of each output: the second derivative of the squared
    error of the layer's outputs, from the layer's inputs (`input_hessians`; as in
    arXiv:1705.07565). The scores are those of removing a single weight from the layer as it is;
    `OBSGreedy` removes one after the other. `laconic.solve.compensate` moves what is left.

    Args:
        damping: see `input_hessians`.

    Raises:
        UsageError: `damping` is not positive.
    """

    needs_data = True

    def __init__(self, damping: float = 0.01) -> None:
        check_damping(damping)
        self.damping = damping

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Linear and convolutional layers alone."""
        hessians = input_hessians(model, names, data, self.damping, self)
        present = weights(model)
        scores = {}
        for name in names:
            diagonal = _inverse(hessians[name]).diagonal(dim1=1, dim2=2)
            cost = present[name].double().square() / 2
            scores[name] = (cost / for_each_weight(present[name], diagonal)).to(present[name])
        return scores


class OBSGreedy(Saliency):
    """What `OBS` says of a weight when its turn has come: H⁻¹ without those that went before.

    In each output the weight with the lowest ``L_q`` goes, the others move by
    ``δw = −w_q / [H⁻¹]_qq · H⁻¹ e_q``, row and column q leave H⁻¹, and so on to the last one. The
    score of a weight is the highest cost until then, so that the lowest scores of an output are
    always the first that went. To remove the lowest over several outputs is the exact greedy OBS
    of arXiv:2208.11580 (with costs that never fall). Time grows with outputs · columns³.

    Args:
        damping: see `input_hessians`.

    Raises:
        UsageError: `damping` is not positive.
    """

    needs_data = True

    def __init__(self, damping: float = 0.01) -> None:
        check_damping(damping)
        self.damping = damping

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Linear and convolutional layers alone."""
        hessians = input_hessians(model, names, data, self.damping, self)
        present = weights(model)
        scores = {}
        for name in names:
            inverses = _inverse(hessians[name])
            rows = present[name].double().reshape(len(inverses), -1, inverses.shape[1])
            found = [
                torch.cat([_eliminate(part, inverse) for part in group.split(ROWS)])
                for group, inverse in zip(rows, inverses, strict=True)
            ]
            scores[name] = torch.stack(found).reshape(present[name].shape).to(present[name])
        return scores


def _inverse(hessians: Tensor) -> Tensor:
    return torch.cholesky_inverse(torch.linalg.cholesky(hessians))


def _eliminate(rows: Tensor, inverse: Tensor) -> Tensor:
    """The cost at which each weight goes; `rows` ``[outputs, columns]``, their common H⁻¹."""
    rows, inverses = rows.clone(), inverse.repeat(len(rows), 1, 1)
    each = torch.arange(len(rows), device=rows.device)
    left = torch.ones_like(rows, dtype=torch.bool)
    costs, highest = torch.zeros_like(rows), rows.new_zeros(len(rows))
    for _ in range(rows.shape[1]):
        diagonal = inverses.diagonal(dim1=1, dim2=2)
        price = torch.where(left, rows.square() / (2 * diagonal), torch.inf)
        lowest, place = price.min(1)
        highest = torch.maximum(highest, lowest)
        costs[each, place] = highest
        column, pivot = inverses[each, :, place], diagonal[each, place]
        rows -= (rows[each, place] / pivot)[:, None] * column
        inverses.baddbmm_(column[:, :, None], (column / pivot[:, None])[:, None, :], alpha=-1)
        left[each, place] = False
        # Exactly, where subtraction leaves 1e-17; the row and the column are gone.
        rows[each, place] = 0.0
        inverses[each, place, place] = 1.0
    return costs
