"""|w|: the magnitude of each weight (arXiv:1506.02626)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from laconic.represent import weights
from laconic.saliency.data import Data
from laconic.saliency.saliency import Saliency, Scores


class Magnitude(Saliency):
    """``|w|``, the criterion of Han et al., arXiv:1506.02626, section 3."""

    def measure(self, model: nn.Module, names: Sequence[str], data: Data) -> Scores:
        """The absolute values."""
        present = weights(model)
        return {name: present[name].abs() for name in names}
