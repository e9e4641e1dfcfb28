"""The Fisher information of each weight, from the examples' own targets or from drawn ones."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.gradients import mean_over_examples, sampled_loss
from laconic.saliency.saliency import Saliency, Scores


class Fisher(Saliency):
    """``½ F_kk w_k²`` with the empirical Fisher ``F_kk = 1/N Σ_n (∂L_n/∂w_k)²``.

    Theis et al., arXiv:1801.05787, for single weights: what removing the weight adds
    to the loss where the network is trained to the end. L_n is the loss of one example with its
    own target; it is squared before it is averaged.
    """

    needs_data = True

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Any kind of layer, any loss."""

        def loss(outputs: Tensor, targets: Tensor) -> Tensor:
            return data.loss(outputs, targets)[None]

        return _half_information(model, names, mean_over_examples(model, names, data, loss))


class TrueFisher(Saliency):
    """``½ F_kk w_k²`` with the Fisher information itself: targets drawn from the network, y ~ p.

    Kunstner, Balles, Hennig, arXiv:1905.12558, say how the two differ: the empirical one weighs
    the examples that the network gets wrong. The expectation over y is estimated by one draw an
    example; `OBD` has it exactly, at a backward pass a class.

    Args:
        seed: of the draws.
    """

    needs_data = True

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Any kind of layer; the loss must be the cross entropy of logits."""
        loss = sampled_loss(data, self.seed)
        return _half_information(model, names, mean_over_examples(model, names, data, loss))


def _half_information(model: nn.Module, names: Sequence[str], information: Scores) -> Scores:
    present = weights(model)
    return {name: information[name] * present[name].square() / 2 for name in names}
