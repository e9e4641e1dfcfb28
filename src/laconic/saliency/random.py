"""Random scores: the control that every criterion must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, nn

from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.saliency import Saliency, Scores


class Random(Saliency):
    """Uniform scores in [0, 1) that say nothing.

    Args:
        seed: the same seed gives the same scores.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Drawn on the CPU, so that they do not depend on the device."""
        generator = Generator().manual_seed(self.seed)
        present = weights(model)
        return {
            name: torch.rand(present[name].shape, generator=generator).to(present[name].device)
            for name in names
        }
