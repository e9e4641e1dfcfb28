"""|w|·‖x‖: magnitude times the norm of the inputs that the weight meets (arXiv:2306.11695)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.inputs import input_sums
from laconic.saliency.layers import for_each_weight
from laconic.saliency.saliency import Saliency, Scores


class Wanda(Saliency):
    """``S_ij = |W_ij| · ‖X_j‖₂``, Sun, Liu, Bair, Kolter, arXiv:2306.11695, section 3.

    X_j is input column j over all examples and positions; of a convolution, the input that one
    place of the kernel meets. S² is what removing the weight alone adds to the squared error of
    the layer's outputs. The paper compares weights within an output (row) only; here who prunes
    decides over what is compared.
    """

    needs_data = True

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Linear and convolutional layers alone."""
        sums, _ = input_sums(model, names, data, _squares, self)
        present = weights(model)
        return {
            name: present[name].abs()
            * for_each_weight(present[name], sums[name].sqrt()).to(present[name])
            for name in names
        }


def _squares(rows: Tensor) -> Tensor:
    return rows.square().sum(1)
