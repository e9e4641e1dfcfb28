"""N:M sparsity: in every group of M neighbours at most N weights stay."""

from __future__ import annotations

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.prune.mask import Mask, rows_of


class PruneNM(Mask):
    """Keeps the `n` best of every `m` weights that stand side by side: 2:4, 1:2, 4:8.

    N:M as Zhou et al., arXiv:2102.04010, and NVIDIA's 2:4 (arXiv:2104.08378) count it: **n is what
    stays**, so ``n=1, m=4`` leaves a quarter. Groups lie along a row ``[inputs · kernel]`` of the
    weight, whose last axis runs fastest; a row must be a multiple of `m` long. (NVIDIA's hardware
    groups input channels of a convolution at one place of the kernel; for kernels of 1×1 and
    linear layers it is the same.) Every group has exactly ``m - n`` zeros or those that it has
    already; of equal scores the lower index goes first.

    Args:
        n: weights of a group that stay, from 1 to ``m - 1``.
        m: weights of a group.

    Raises:
        UsageError: n or m is out of range; in `fit`, the rows cannot be cut into groups of `m`.

    Examples:
        >>> step = PruneNM(2, 4)
        >>> step.fit(torch.tensor([[1.0, -4.0, 3.0, 2.0, 0.1, 0.2, 0.3, 0.4]]))
        >>> step.mask.int()
        tensor([[0, 1, 1, 0, 0, 0, 1, 1]], dtype=torch.int32)
    """

    def __init__(self, n: int = 2, m: int = 4) -> None:
        super().__init__()
        if not 1 <= n < m:
            raise UsageError(
                f"{n}:{m} keeps {n} of every {m} weights; n must be at least 1 and below m"
            )
        self.n = n
        self.m = m

    def keep(self, scores: Tensor) -> Tensor:
        """All but the lowest ``m - n`` of every group."""
        rows = rows_of(scores)
        if rows.shape[1] % self.m:
            raise UsageError(
                f"a row of {rows.shape[1]} weights cannot be cut into groups of {self.m}; choose "
                "an m that divides it, or leave this layer out"
            )
        groups = rows.reshape(-1, self.m)
        lowest = groups.argsort(dim=1, stable=True)[:, : self.m - self.n]
        kept = torch.ones_like(groups, dtype=torch.bool).scatter(1, lowest, False)
        return kept.reshape(scores.shape)
