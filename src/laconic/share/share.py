"""Weight sharing: the weights of a layer take few values, which are trained (arXiv:1510.00149)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from laconic.errors import UsageError
from laconic.represent import fitted
from laconic.share.codebook import Clusters, Codebook
from laconic.share.kmeans import STARTS, kmeans, midpoints
from laconic.share.line import Floats
from laconic.share.optimum import MOST_CLUSTERS

MAX_BITS = 16


class Share(Codebook):
    """Replaces the non-zero weights by the nearest of ``2^bits - 1`` centroids; zero stays zero.

    Han, Mao, Dally, arXiv:1510.00149, section 3: k-means over the layer's remaining weights;
    then the centroids are trained, each with the summed gradient of its members, while the
    assignments stay as they are. Zero counts as one of the ``2^bits`` values (the paper's
    released files do the same; its text gives zero no code of its own). Where fewer distinct
    values than centroids are left, each is a centroid, and nothing is lost.

    With `by`: the Hessian-weighted k-means of Choi et al., arXiv:1612.01543, section 3.

    Args:
        bits: 1 to 16; with the start ``"optimal"`` to 10.
        start: ``"linear"``, ``"density"``, ``"forgy"``, or ``"optimal"``: the exact
            one-dimensional optimum.

    Raises:
        UsageError: bits outside their range, or an unknown start.

    Examples:
        >>> step = Share(bits=2)
        >>> step.fit(torch.tensor([0.0, 1.0, 1.2, -5.0, 5.0]))
        >>> step(torch.zeros(5)).tolist()
        [0.0, 1.100000023841858, 1.100000023841858, -5.0, 5.0]
    """

    def __init__(self, bits: int, start: str = "linear") -> None:
        super().__init__()
        most = MAX_BITS if start != "optimal" else MOST_CLUSTERS.bit_length() - 1
        if not 1 <= bits <= most:
            raise UsageError(f"bits {bits} is outside 1..{most}")
        if start not in STARTS:
            raise UsageError(f"no start is named {start!r}; there are: {', '.join(STARTS)}")
        self.bits = bits
        self.start = start

    def cluster(
        self, values: NDArray[np.float32], importances: Floats | None, count: int
    ) -> Clusters:
        """k-means; each value has its nearest centroid."""
        centroids = kmeans(values, 2**self.bits - 1, self.start, importances)
        nearest = np.searchsorted(midpoints(centroids), values, side="right") + 1
        return nearest.astype(np.int32), centroids


class ShareNearest(Share):
    """As `Share`, but each weight takes the nearest centroid anew while they are trained.

    The step of Lloyd's algorithm between the updates of training: a centroid still gets the
    summed gradient of its members (arXiv:1510.00149, equation 3), the latent weight the gradient
    of its centroid straight through (arXiv:1308.3432), and a weight that comes nearer to another
    centroid goes over to it. Zero stays zero, and gets no gradient.

    Args:
        bits: as for `Share`.
        start: as for `Share`.

    Examples:
        >>> step = ShareNearest(bits=2)
        >>> step.fit(torch.tensor([0.0, 1.0, 1.2, -5.0, 5.0]))
        >>> step(torch.tensor([0.0, 4.0, 1.2, -5.0, 5.0]))[1].item()
        5.0
    """

    learnt: ClassVar[tuple[str, ...]] = ("codebook",)
    placed: ClassVar[tuple[str, ...]] = ()

    def keep(self, assignments: Tensor, centroids: Floats, weight: Tensor) -> None:
        """The centroids alone."""
        super().keep(assignments, centroids, weight)
        self.assignments = None

    def renew(self, weight: Tensor) -> None:
        """Give the codebook the centroids of k-means over other values, in place.

        It keeps its size, and so do an optimizer's moments: of fewer centroids the last repeats.
        """
        codebook, fresh = fitted(self, "codebook"), type(self)(**self.configuration)
        fresh.fit(weight)
        found = fitted(fresh, "codebook").detach()
        if len(found):
            places = torch.arange(len(codebook), device=found.device).clamp(max=len(found) - 1)
            codebook.data.copy_(found[places])

    def codes(self, weight: Tensor) -> Tensor:
        """0 for zero and i + 1 for centroid i, the nearest; between two of them the larger."""
        codebook = fitted(self, "codebook").detach()
        if not len(codebook):
            return torch.zeros_like(weight, dtype=torch.int32)
        # float64: between neighbouring numbers of the weight's dtype there is room for a middle.
        ordered, order = codebook.double().sort()
        middles = (ordered[1:] + ordered[:-1]) / 2
        place = torch.bucketize(weight.detach().double().contiguous(), middles, right=True)
        return torch.where(weight != 0, order[place] + 1, 0).to(torch.int32)

    def forward(self, weight: Tensor) -> Tensor:
        """The nearest centroid; gradients go to it and to the latent weight."""
        moving = (weight - weight.detach()) * (weight.detach() != 0)  # 0, with a gradient
        return self.values(self.codes(weight)) + moving
