"""Whole blocks of a weight, seen as a matrix, become zero."""

from __future__ import annotations

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.prune.magnitude import check_sparsity, smallest, zero_count
from laconic.prune.mask import Mask, rows_of, to_add


class PruneBlocks(Mask):
    """Sets the fraction `sparsity` of the blocks of `rows` × `columns` weights to zero.

    Blocks as in Narang, Undersander, Diamos, arXiv:1711.02782, of the weight seen as a matrix
    ``[outputs, inputs · kernel]``; a block's score is the sum of its weights' scores, its L1 norm
    by default (there: its largest magnitude, against a threshold that grows during training).
    Zeros count least, whatever the signs of the other scores (`mask.to_add`).
    ``rows=1`` and ``columns=9`` makes whole 3×3 kernels zero, the connectivity pruning of PatDNN
    (arXiv:2001.00138); ``rows=1`` and ``columns`` of a whole row an output. The count is exact:
    ``round(sparsity · blocks)``; of equal sums the block of the lower index goes first.

    Args:
        sparsity: fraction of blocks that become zero, in [0, 1).
        rows: outputs of a block; must divide those of the weight.
        columns: weights of a row in a block; must divide the row.

    Raises:
        UsageError: an argument is out of range; in `fit`, the blocks do not fill the weight, or
            all of them would become zero.

    Examples:
        >>> step = PruneBlocks(0.5, rows=2, columns=1)
        >>> step.fit(torch.tensor([[1.0, -4.0], [3.0, 2.0]]))
        >>> step.mask
        tensor([[False,  True],
                [False,  True]])
    """

    def __init__(self, sparsity: float, rows: int, columns: int) -> None:
        super().__init__()
        check_sparsity(sparsity)
        if rows < 1 or columns < 1:
            raise UsageError(
                f"a block of {rows} x {columns} weights is none; both must be 1 or more"
            )
        self.sparsity = sparsity
        self.rows = rows
        self.columns = columns

    def keep(self, scores: Tensor) -> Tensor:
        """All but the lowest blocks."""
        matrix = rows_of(scores)
        outputs, inputs = matrix.shape
        if outputs % self.rows or inputs % self.columns:
            raise UsageError(
                f"a matrix of {outputs} x {inputs} weights cannot be cut into blocks of "
                f"{self.rows} x {self.columns}; choose a shape that divides it, or leave this "
                "layer out"
            )
        shape = (outputs // self.rows, self.rows, inputs // self.columns, self.columns)
        blocks = matrix.reshape(shape)
        present = blocks > -torch.inf
        sums = torch.where(present.any(3).any(1), to_add(blocks).sum((1, 3)), -torch.inf)
        zeros = zero_count(self.sparsity, sums, "blocks")
        kept = ~smallest(sums.flatten(), zeros).reshape(sums.shape)
        return kept[:, None, :, None].expand(blocks.shape).reshape(scores.shape)
