"""Each 3×3 kernel keeps one of a few patterns."""

from __future__ import annotations

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.prune.mask import Mask, to_add

CENTRE = 4


class PrunePatterns(Mask):
    """Keeps of each 3×3 kernel the entries of one pattern, out of a small library.

    Kernel pattern pruning of PatDNN (Niu et al., arXiv:2001.00138, section 4): a kernel's natural
    pattern is its centre and the best others; the library is the `patterns` natural patterns that
    most kernels have (of equally many the one whose entries, read as a number, are lower); each
    kernel then gets the pattern of the library that keeps the most: the largest sum of scores.

    Departures: the library is this layer's, there the whole network's; the sum is of magnitudes
    where no other scores are given, there of squares (``by(weight.square())`` gives theirs); the
    pattern is chosen once, there ADMM moves the weights towards it. For connectivity pruning, the
    other half of the paper, see `PruneBlocks`.

    Args:
        patterns: how many the library has at most, 1 or more; the paper finds 6 to 8 enough.
        entries: of a pattern, its centre included, from 1 to 8.

    Raises:
        UsageError: an argument is out of range; in `fit`, the weight has no 3×3 kernels.

    Examples:
        >>> step = PrunePatterns(patterns=1, entries=2)
        >>> step.fit(torch.arange(9.0).reshape(1, 1, 3, 3))
        >>> step.mask.int().flatten().tolist()
        [0, 0, 0, 0, 1, 0, 0, 0, 1]
    """

    def __init__(self, patterns: int = 8, entries: int = 4) -> None:
        super().__init__()
        if patterns < 1 or not 1 <= entries <= 8:
            raise UsageError(
                f"{patterns} patterns of {entries} entries; there must be 1 or more, each of 1 to 8"
            )
        self.patterns = patterns
        self.entries = entries

    def keep(self, scores: Tensor) -> Tensor:
        """The entries of each kernel's pattern."""
        if scores.ndim != 4 or scores.shape[2:] != (3, 3):
            raise UsageError(
                f"a weight of shape {list(scores.shape)} has no 3x3 kernels [outputs, inputs, 3, "
                "3]; leave this layer out"
            )
        kernels = scores.reshape(-1, 9).double()
        present = kernels > -torch.inf
        if not bool(present.any()):
            return torch.zeros_like(scores, dtype=torch.bool)
        natural = self._natural(kernels[present.any(1)])
        found, counts = natural.unique(dim=0, return_counts=True)  # type: ignore[no-untyped-call]
        # unique sorts the rows, so a stable sort by count leaves equals in their order.
        most = counts.argsort(descending=True, stable=True)[: self.patterns]
        library: Tensor = found[most]
        best = (to_add(kernels) @ library.double().T).argmax(1)
        return library[best].reshape(scores.shape)

    def _natural(self, kernels: Tensor) -> Tensor:
        """Centre and best others of each kernel, ``[kernels, 9]``; of equals the later stays."""
        kernels = kernels.clone()
        kernels[:, CENTRE] = torch.inf
        highest = kernels.argsort(dim=1, stable=True)[:, 9 - self.entries :]
        return torch.zeros_like(kernels, dtype=torch.bool).scatter(1, highest, True)
