"""Taylor: what the first derivative says that removing would change."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.gradients import mean_gradient
from laconic.saliency.saliency import Saliency, Scores


class Taylor(Saliency):
    """``|g · w|``: the first-order change of the mean loss without the weight.

    Molchanov et al., arXiv:1906.10771 (whose score is the square, in the same order);
    arXiv:1611.06440 has it for channels, see `TaylorChannels`. g is the gradient over all examples
    together; the mean over examples of (g_n · w)² is `Fisher`.
    """

    needs_data = True

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """Any kind of layer, any loss."""
        gradients = mean_gradient(model, names, data)
        present = weights(model)
        return {name: (gradients[name] * present[name]).abs() for name in names}
