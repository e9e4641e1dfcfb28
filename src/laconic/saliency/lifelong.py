"""The importances b_i of lifelong learning: EWC, synaptic intelligence and MAS.

They tell how much an old task minds that a weight moves, and serve here to tell how much it minds
that the weight goes. All give ``b_i · |θ_i|^power``: with power 2 what a quadratic penalty with
b_i says of moving θ_i to 0, with power 0 b_i itself.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.descent import check_learning_rate, descent
from laconic.saliency.gradients import mean_over_examples, sampled_loss
from laconic.saliency.saliency import Saliency, Scores


class Importance(Saliency):
    """``b_i · |θ_i|^power``; a subclass says what b_i is.

    Args:
        power: 0 or more.

    Raises:
        UsageError: `power` is negative.
    """

    needs_data = True

    def __init__(self, power: float = 2) -> None:
        if not power >= 0:
            raise UsageError(f"power {power:g} is negative; 2 weighs by θ², 0 leaves b alone")
        self.power = power

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """The importances, weighed."""
        found = self.importance(model, names, data)
        present = weights(model)
        return {name: found[name] * present[name].abs() ** self.power for name in names}

    @abstractmethod
    def importance(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """b_i, 0 or more."""


class EWC(Importance):
    """``b_i = E[(∂log p(y | x) / ∂θ_i)²]``, y drawn from the network: Kirkpatrick et al.,
    arXiv:1612.00796 (elastic weight consolidation).

    Any kind of layer; the loss must be the cross entropy of logits.

    Args:
        power: see the module.
        seed: of the draws.
    """

    def __init__(self, power: float = 2, seed: int = 0) -> None:
        super().__init__(power)
        self.seed = seed

    def importance(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """The diagonal of the Fisher information."""
        return mean_over_examples(model, names, data, sampled_loss(data, self.seed))


class MAS(Importance):
    """``b_i = 1/N Σ_n |∂‖F(x_n)‖² / ∂θ_i|``: Aljundi et al., arXiv:1711.09601 (memory aware
    synapses, the variant by the squared norm of the outputs, which is theirs).

    Any kind of layer; no targets are looked at.
    """

    def importance(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """The mean sensitivity of the outputs' squared norm."""
        return mean_over_examples(model, names, data, _squared_norm, torch.abs)


class SynapticIntelligence(Importance):
    """``b_i = max(ω_i, 0) / (Δθ_i² + ξ)``: Zenke, Poole, Ganguli, arXiv:1703.04200.

    ``ω_i = −Σ_t g_i(t) (θ_i(t+1) − θ_i(t))`` is the part of weight i in the fall of the loss along
    a training, Δθ_i how far it went. The training is that of `descent`, from the weights as they
    are now, not the one that made them, as no record of that is kept: give many examples.

    Args:
        power: see the module.
        learning_rate: of the steps.
        damping: ξ, which bounds b_i where a weight hardly moved.

    Raises:
        UsageError: `learning_rate` or `damping` is not positive.
    """

    def __init__(
        self, power: float = 2, learning_rate: float = 1e-3, damping: float = 1e-3
    ) -> None:
        super().__init__(power)
        check_learning_rate(learning_rate)
        if not damping > 0:
            raise UsageError(f"damping {damping:g} is not positive; 0.001 is usual")
        self.learning_rate = learning_rate
        self.damping = damping

    def importance(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """The path integral of the loss, by weight."""
        start = weights(model)
        fall = {name: torch.zeros_like(start[name]) for name in names}
        last = start
        for step in descent(model, names, data, self.learning_rate):
            for name in names:
                fall[name] -= step[name].gradient * (step[name].after - step[name].before)
            last = {name: step[name].after for name in names}
        return {
            name: fall[name].clamp(min=0) / ((last[name] - start[name]).square() + self.damping)
            for name in names
        }


def _squared_norm(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.square().sum()[None]
