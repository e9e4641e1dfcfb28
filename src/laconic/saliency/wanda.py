"""|w|·‖x‖: magnitude times the norm of the inputs that the weight meets (arXiv:2306.11695)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.inputs import input_sums
from laconic.saliency.readers import in_its_shape
from laconic.saliency.saliency import Saliency, Scores


class Wanda(Saliency):
    """``S_ij = |W_ij| · ‖X_j‖₂``, Sun, Liu, Bair, Kolter, arXiv:2306.11695, section 3.

    X_j is input column j over all examples and positions; of a convolution, the input that one
    place of the kernel meets; of an LSTM or GRU x_t or h_{t−1}; of an embedding, whose inputs are
    one-hot, the root of how often the row was used. S² is what removing the weight alone adds to
    the squared error of what the layer adds up. The paper compares weights within an output (row)
    only; here who prunes decides over what is compared.
    """

    needs_data = True

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Layers whose inputs can be read: see `laconic.saliency.readers`."""
        sums, _ = input_sums(model, names, data, _squares, self, one_hot=True)
        present = weights(model)
        return {name: present[name].abs() * sums[name].sqrt().to(present[name]) for name in names}


def _squares(layer: nn.Module, weight: Tensor, rows: Tensor) -> Tensor:
    return in_its_shape(layer, weight, rows.square().sum(1))
