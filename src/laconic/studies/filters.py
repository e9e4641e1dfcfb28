"""How many filters Li et al. remove from residual networks (arXiv:1608.08710, table 2)."""

from __future__ import annotations

from dataclasses import dataclass

WIDTHS = (16, 32, 64)
"""Filters of a convolution in each of the three groups of blocks."""


@dataclass(frozen=True)
class Filters:
    """How much of each group of blocks goes; the first convolution of a block alone is pruned.

    What stays is rounded down, as in the authors' and Liu et al.'s code: 14 of 16, 28 of 32 and 57
    of 64 at 10 %.
    """

    depth: int
    parts: tuple[float, float, float]
    """Of the filters, for each group of blocks."""
    skip: frozenset[int]
    """Convolutions that are left alone; 1 is the first of the network, a block has two."""

    def removed(self) -> dict[str, int]:
        """Layer → how many of its filters go.

        Examples:
            >>> sum(LI["resnet56-A"].removed().values())
            97
        """
        blocks = (self.depth - 2) // 6
        found = {}
        for group, (width, part) in enumerate(zip(WIDTHS, self.parts, strict=True)):
            for block in range(blocks):
                if 2 * (group * blocks + block + 1) not in self.skip:
                    found[f"layer{group + 1}.{block}.conv1"] = width - int(width * (1 - part))
        return found

    def fractions(self) -> dict[str, float]:
        """Layer → the fraction of its filters that goes, for the stage ``cut``."""
        return {
            name: count / WIDTHS[int(name[len("layer")]) - 1]
            for name, count in self.removed().items()
        }

    def share(self) -> float:
        """Of all filters that could go."""
        total = (self.depth - 2) // 6 * sum(WIDTHS)
        return sum(self.removed().values()) / total


LI = {
    "resnet56-A": Filters(56, (0.1, 0.1, 0.1), frozenset({16, 20, 38, 54})),
    "resnet56-B": Filters(56, (0.6, 0.3, 0.1), frozenset({16, 18, 20, 34, 38, 54})),
    "resnet20-A": Filters(20, (0.1, 0.1, 0.1), frozenset({8, 14, 18})),
    "resnet20-B": Filters(20, (0.6, 0.3, 0.1), frozenset({6, 8, 14, 18})),
}
"""Those of ResNet-56 are the paper's. ResNet-20 has none there: the same fractions, and as there
the first block of the second and third group and the last of the third are left alone, in B the
last of the first too."""
