"""Optimal Brain Damage: the diagonal of the second derivative."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.gradients import mean_over_examples, output_curvature
from laconic.saliency.saliency import Saliency, Scores


class OBD(Saliency):
    """``s_k = h_kk w_k² / 2``, LeCun, Denker, Solla, "Optimal Brain Damage", NIPS 1989.

    h_kk is the diagonal of the Gauss-Newton matrix (their Levenberg-Marquardt approximation),
    averaged over the examples. LeCun et al. carry diagonals alone back through the
    layers, which is exact where no two units of a layer reach the same output; here the diagonal
    is that of the whole Gauss-Newton matrix, from the Jacobian of every output. An example costs
    as many backward passes as the loss has curved directions: classes less one.

    Raises:
        UnsupportedError: an example has more than 2048 outputs (a sequence of words, say).
    """

    needs_data = True

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Any kind of layer, any loss that is convex in the outputs."""
        diagonal = mean_over_examples(model, names, data, output_curvature(data))
        present = weights(model)
        return {name: diagonal[name] * present[name].square() / 2 for name in names}
