"""Pruning to an exact number of zeros: the lowest scores, the smallest magnitudes by default."""

from __future__ import annotations

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.prune.mask import Mask


class Prune(Mask):
    """Sets the fraction `sparsity` of a weight, the smallest in magnitude, to zero.

    Han, Pool, Tran, Dally, arXiv:1506.02626, section 3. The count is exact:
    ``round(sparsity · n)`` zeros, or as many as there are already if those are more; of equal
    magnitudes the lower index goes first. (The paper thresholds at a multiple of the layer's
    standard deviation; a count says what one gets.) With `by` other scores than magnitudes
    decide.

    Args:
        sparsity: fraction of zeros, in [0, 1).

    Raises:
        UsageError: `sparsity` is outside [0, 1), or (in `fit`) rounds to every weight there is.

    Examples:
        >>> step = Prune(0.5)
        >>> step.fit(torch.tensor([0.1, -3.0, 2.0, -0.2]))
        >>> step(torch.tensor([0.1, -3.0, 2.0, -0.2]))
        tensor([ 0., -3.,  2.,  0.])
    """

    def __init__(self, sparsity: float) -> None:
        super().__init__()
        check_sparsity(sparsity)
        self.sparsity = sparsity

    def keep(self, scores: Tensor) -> Tensor:
        """All but the lowest ``round(sparsity · n)``."""
        zeros = zero_count(self.sparsity, scores, "weights")
        return ~smallest(scores.flatten(), zeros).reshape(scores.shape)


def check_sparsity(sparsity: float) -> None:
    """Refuse what is no fraction.

    Raises:
        UsageError: with the value that was probably meant.
    """
    if not 0 <= sparsity < 1:
        meant = next((s for s in (-sparsity, sparsity / 10, sparsity / 100) if 0 <= s < 1), 0.9)
        raise UsageError(f"sparsity {sparsity:g} is outside [0, 1); did you mean {meant:g}?")


def zero_count(sparsity: float, scores: Tensor, what: str) -> int:
    """``round(sparsity · n)``, the number of zeros among `scores`.

    Args:
        sparsity: fraction of zeros.
        scores: -inf for what is zero already.
        what: is scored, for the message: "weights".

    Raises:
        UsageError: that is all of them, and some are not zero yet.
    """
    zeros = round(sparsity * scores.numel())
    if zeros == scores.numel() and bool((scores > -torch.inf).any()):
        raise UsageError(
            f"sparsity {sparsity:g} of {scores.numel()} {what} rounds to {zeros} zeros, "
            "which is all of them; ask for less, or leave this layer out"
        )
    return zeros


def smallest(scores: Tensor, count: int) -> Tensor:
    """A mask of exactly `count` true entries: the smallest scores, ties by lower index.

    Examples:
        >>> smallest(torch.tensor([1.0, 0.0, 1.0, 2.0]), 2)
        tensor([ True,  True, False, False])
    """
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = torch.kthvalue(scores, count).values
    mask = scores < threshold
    ties = torch.nonzero(scores == threshold).flatten()
    mask[ties[: count - int(mask.sum())]] = True
    return mask
