"""Movement: weights that training pulls towards zero score low (arXiv:2005.07683)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.descent import check_learning_rate, descent
from laconic.saliency.saliency import Saliency, Scores


class Movement(Saliency):
    """``S_i = −Σ_t w_i(t) · ∂L/∂w_i (t)``, Sanh, Wolf, Rush, arXiv:2005.07683, section 4.

    Positive where steps make the weight larger. The paper learns the scores during fine-tuning, of
    a network that is masked by them meanwhile (straight through); here they are measured along
    `descent`, dense: one step a batch, on a copy. Choose many examples, of the task to which the
    network shall go.

    Args:
        learning_rate: of the steps.

    Raises:
        UsageError: `learning_rate` is not positive.
    """

    needs_data = True

    def __init__(self, learning_rate: float = 1e-3) -> None:
        check_learning_rate(learning_rate)
        self.learning_rate = learning_rate

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Any kind of layer, any loss."""
        present = weights(model)
        scores = {name: torch.zeros_like(present[name]) for name in names}
        for step in descent(model, names, data, self.learning_rate):
            for name in names:
                scores[name] -= step[name].before * step[name].gradient
        return scores
