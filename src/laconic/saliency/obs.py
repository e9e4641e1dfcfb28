"""Optimal Brain Surgeon: what removing a weight costs when the others make up for it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.inputs import check_damping, input_hessians
from laconic.saliency.saliency import Saliency, Scores

ROWS = 8
"""Outputs whose inverse Hessians are kept at a time by `OBSGreedy`."""


class _OBS(Saliency):
    """Costs from ``H⁻¹`` of each layer's inputs; a subclass says those of one matrix."""

    needs_data = True

    def __init__(self, damping: float = 0.01) -> None:
        check_damping(damping)
        self.damping = damping

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Layers whose inputs can be read, but embeddings: see `laconic.saliency.readers`."""
        hessians = input_hessians(model, names, data, self.damping, self)
        present = weights(model)
        scores = {}
        for name in names:
            inverses = torch.cholesky_inverse(torch.linalg.cholesky(hessians[name]))
            rows = present[name].double().reshape(len(inverses), -1, inverses.shape[1])
            costs = self.costs(rows, inverses)
            scores[name] = costs.reshape(present[name].shape).to(present[name])
        return scores

    @abstractmethod
    def costs(self, rows: Tensor, inverses: Tensor) -> Tensor:
        """Of each weight, shape of `rows`.

        Args:
            rows: the weight, ``[groups, outputs / groups, columns]``.
            inverses: H⁻¹, ``[groups, columns, columns]``.
        """


class OBS(_OBS):
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

    def costs(self, rows: Tensor, inverses: Tensor) -> Tensor:
        """Each by itself."""
        return rows.square() / 2 / inverses.diagonal(dim1=1, dim2=2)[:, None]


class OBSGreedy(_OBS):
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

    def costs(self, rows: Tensor, inverses: Tensor) -> Tensor:
        """One after the other, some outputs at a time."""
        return torch.stack(
            [
                torch.cat([_eliminate(part, inverse) for part in group.split(ROWS)])
                for group, inverse in zip(rows, inverses, strict=True)
            ]
        )


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
