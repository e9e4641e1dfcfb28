"""Weight sharing: the weights of a layer take few values, which are trained (arXiv:1510.00149)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.represent import Grid, fitted
from laconic.share.kmeans import STARTS, kmeans, midpoints

MAX_BITS = 16


class Share(Grid):
    """Replaces the non-zero weights by the nearest of ``2^bits - 1`` centroids; zero stays zero.

    Han, Mao, Dally, arXiv:1510.00149, section 3: k-means over the layer's remaining weights;
    then the centroids are trained, each with the summed gradient of its members, while the
    assignments stay as they are. Zero counts as one of the ``2^bits`` values (the paper's
    released files do the same; its text gives zero no code of its own).

    Args:
        bits: 1 to 16.
        start: ``"linear"``, ``"density"`` or ``"forgy"``.

    Raises:
        UsageError: bits outside 1..16, or an unknown start.

    Examples:
        >>> step = Share(bits=2)
        >>> step.fit(torch.tensor([0.0, 1.0, 1.2, -5.0, 5.0]))
        >>> step(torch.zeros(5)).tolist()
        [0.0, 1.100000023841858, 1.100000023841858, -5.0, 5.0]
    """

    learnt = ("assignments", "codebook")
    placed = ("assignments",)
    assignments: Tensor | None
    codebook: nn.Parameter | None

    def __init__(self, bits: int, start: str = "linear") -> None:
        super().__init__()
        if not 1 <= bits <= MAX_BITS:
            raise UsageError(f"bits {bits} is outside 1..{MAX_BITS}")
        if start not in STARTS:
            raise UsageError(f"no start is named {start!r}; there are: {', '.join(STARTS)}")
        self.bits = bits
        self.start = start
        self.register_buffer("assignments", None)
        self.register_parameter("codebook", None)

    def fit(self, weight: Tensor) -> None:
        """Cluster the non-zero weights; `codebook` holds the centroids, ``[clusters]``."""
        flat = weight.float().flatten()
        kept = flat != 0
        values = flat[kept].cpu().numpy()
        centroids = kmeans(values, 2**self.bits - 1, self.start) if len(values) else np.empty(0)
        boundaries = torch.from_numpy(midpoints(centroids)).to(flat.device)
        nearest = torch.bucketize(flat, boundaries, right=True, out_int32=True) + 1
        self.assignments = torch.where(kept, nearest, 0).to(torch.int32).reshape(weight.shape)
        self.codebook = nn.Parameter(torch.from_numpy(centroids).to(weight))

    def codes(self, weight: Tensor) -> Tensor:
        """The assignments, 0 for zero and i + 1 for centroid i; they are fixed by `fit`."""
        return fitted(self, "assignments")

    def values(self, codes: Tensor) -> Tensor:
        """Centroids looked up; the gradient of a centroid is the sum over its members."""
        codebook = fitted(self, "codebook")
        # + 0.0 turns a centroid of -0.0 into 0.0.
        table = torch.cat([codebook.new_zeros(1), codebook]) + 0.0
        return table.index_select(0, codes.flatten()).reshape(codes.shape)

    def forward(self, weight: Tensor) -> Tensor:
        """The centroid of each weight."""
        return self.values(self.codes(weight))
