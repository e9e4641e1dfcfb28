"""The same number of weights for each of several processing elements."""

from __future__ import annotations

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.prune.magnitude import check_sparsity, smallest, zero_count
from laconic.prune.mask import Mask, rows_of


class PruneBalanced(Mask):
    """Sets the fraction `sparsity` of a weight to zero, so that each processor has equal work.

    Load-balance-aware pruning of ESE (Han et al., arXiv:1612.00694, section 3.2): the rows of the
    weight, ``[outputs, inputs · kernel]``, are dealt out to `processors` in turn (row i to
    processor i mod n), and each processor's sub-matrix keeps its best weights, as many as the
    others: the counts differ by at most 1, the first processors having one more. The number of
    zeros is exactly ``round(sparsity · n)`` of the whole; a sub-matrix with fewer non-zeros than
    its share from the start keeps those. Of equal scores the lower index goes first.

    Args:
        sparsity: fraction of zeros, in [0, 1).
        processors: between which the rows are dealt out, 1 or more.

    Raises:
        UsageError: an argument is out of range; in `fit`, a processor has fewer weights than its
            share (rows that do not divide evenly at a low sparsity), or all would become zero.

    Examples:
        >>> step = PruneBalanced(0.5, processors=2)
        >>> step.fit(torch.tensor([[9.0, 8.0], [1.0, 2.0]]))
        >>> step.mask
        tensor([[ True, False],
                [False,  True]])
    """

    def __init__(self, sparsity: float, processors: int) -> None:
        super().__init__()
        check_sparsity(sparsity)
        if processors < 1:
            raise UsageError(f"rows are dealt out to {processors} processors; 1 or more are needed")
        self.sparsity = sparsity
        self.processors = processors

    def keep(self, scores: Tensor) -> Tensor:
        """The best of each sub-matrix."""
        rows = rows_of(scores)
        left = scores.numel() - zero_count(self.sparsity, scores, "weights")
        kept = torch.zeros_like(rows, dtype=torch.bool)
        for processor in range(self.processors):
            own = rows[processor :: self.processors]
            share = left // self.processors + (processor < left % self.processors)
            if share > own.numel():
                raise UsageError(
                    f"processor {processor + 1} of {self.processors} has {own.numel()} of "
                    f"{scores.numel()} weights ({len(rows)} rows) but its share at sparsity "
                    f"{self.sparsity:g} is {share}; choose a number that divides {len(rows)}, or a "
                    "higher sparsity"
                )
            zeros = smallest(own.flatten(), own.numel() - share).reshape(own.shape)
            kept[processor :: self.processors] = ~zeros
        return kept.reshape(scores.shape)
