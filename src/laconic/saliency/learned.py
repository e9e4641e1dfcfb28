"""Scores that a training has learned: those of a supermask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from laconic.errors import UnsupportedError
from laconic.represent import chains
from laconic.saliency.data import Data
from laconic.saliency.saliency import Saliency, Scores


class LearnedScores(Saliency):
    """``σ(s)``: how likely a learned mask keeps the weight (Zhou et al., arXiv:1905.01067).

    Read from the last step of the weight's chain that trains scores (``step.scores``, in the
    weight's shape), such as `laconic.prune.Supermask` after a training; 0 where nothing can be
    kept. It ranks what the mask only halves, so that any sparsity can be asked for.
    """

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Any kind of layer with such a step."""
        present, scores = chains(model), {}
        for name in names:
            learned = [getattr(step, "scores", None) for step in present.get(name, [])]
            trained = [each for each in learned if isinstance(each, nn.Parameter)]
            if not trained:
                raise UnsupportedError(
                    f"{name}: no step on it learns scores; train a supermask first, or leave this "
                    "layer out"
                )
            scores[name] = torch.sigmoid(trained[-1].detach())
        return scores
