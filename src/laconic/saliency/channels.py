"""Scores of whole channels by what they do: Fisher, Taylor and the share of zero activations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.represent import weights
from laconic.saliency.activations import gate_gradients, outputs_of
from laconic.saliency.data import Data
from laconic.saliency.saliency import Saliency, Scores


class FisherChannels(Saliency):
    """``Δ_c = 1/(2N) Σ_n (Σ_ij a_nij g_nij)²``, Theis, Korshunova, Tejani, Huszár,
    arXiv:1801.05787.

    a is the response of channel c at place (i, j) for example n and g the gradient of that
    example's loss: summed over space before it is squared, squared before it is averaged; equal to
    ``½ E[(∂L/∂gate_c)²]`` for a gate on the channel. The paper accumulates while it fine-tunes and
    removes one channel at a time; here a score is of the network as it is.

    Args:
        mac_price: β of the paper, in loss for each multiply-add of an example: ``Δ_c − β · MACs``
            makes the channels of costly layers go earlier. Counted are the multiply-adds that make
            the channel, not those of the next layer that use it.

    Raises:
        UsageError: `mac_price` is negative.
    """

    needs_data = True
    per_channel = True

    def __init__(self, mac_price: float = 0.0) -> None:
        if not mac_price >= 0:
            raise UsageError(f"mac_price {mac_price:g} is negative; 0 leaves the cost out")
        self.mac_price = mac_price

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Linear and convolutional layers alone, any loss."""
        sums: Scores = {}
        macs: dict[str, int] = {}
        count = 0
        present = weights(model)
        for gradients in gate_gradients(model, names, data, self):
            for name, (gradient, positions) in gradients.items():
                sums[name] = sums.get(name, 0) + gradient.square()
                macs[name] = positions * present[name][0].numel()
            count += 1
        return {
            name: total / (2 * count) - self.mac_price * macs[name] for name, total in sums.items()
        }


class TaylorChannels(Saliency):
    """``Θ_c = 1/N Σ_n |1/M Σ_ij a_nij g_nij|``, Molchanov et al., arXiv:1611.06440, equation 8.

    M is the number of places of the response. The paper rescales the scores of each layer to a
    norm of 1 where layers are compared (`l2`); these are as measured.
    """

    needs_data = True
    per_channel = True

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Linear and convolutional layers alone, any loss."""
        sums: Scores = {}
        count = 0
        for gradients in gate_gradients(model, names, data, self):
            for name, (gradient, positions) in gradients.items():
                sums[name] = sums.get(name, 0) + gradient.abs() / positions
            count += 1
        return {name: total / count for name, total in sums.items()}


class APoZ(Saliency):
    """``1 − APoZ``: the share of a channel's activations that are above zero.

    Hu, Peng, Tai, Tang, "Network Trimming", arXiv:1607.03250: APoZ_c is the average percentage of
    zeros after the ReLU, over examples and places; channels with the highest go first, so the
    score is what is missing to 1. A functional ReLU leaves no module to look at: counted is where
    the response itself is above zero, which is the same for a ReLU right after it and for one after
    an addition or another activation says only how often the channel is positive. The paper takes
    validation examples, these are training ones.
    """

    needs_data = True
    per_channel = True

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Linear and convolutional layers alone."""
        positive: dict[str, Tensor] = {}
        count = dict.fromkeys(names, 0)
        seen: dict[int, tuple[str, Tensor]] = {}

        def look(name: str, call: int, response: Tensor) -> None:
            seen[call] = name, response.reshape(-1, response.shape[-1]) > 0

        with torch.no_grad():
            for _ in outputs_of(model, names, data, look, self):
                for name, active in seen.values():
                    positive[name] = positive.get(name, 0) + active.sum(0)
                    count[name] += len(active)
                seen.clear()
        return {name: positive[name] / count[name] for name in names}
