"""What all sharing of weights has in common: a codebook that is trained, and who takes what."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.represent import Grid, fitted
from laconic.share.line import Floats

Clusters = tuple[NDArray[np.int32], Floats]
"""For each value the place of its centroid, from 1 (0: the value becomes zero); the centroids."""


class Codebook(Grid):
    """Gives the non-zero weights the values of a codebook; zero stays zero.

    The codebook is trained, each centroid with the summed gradient of its members, while the
    assignments stay as `fit` chose them (arXiv:1510.00149, section 3.3). With `by` the weights
    have importances h, so that ``Σ h (w - c)²`` is what is small.

    A subclass implements `cluster`.
    """

    learnt: ClassVar[tuple[str, ...]] = ("assignments", "codebook")
    placed: ClassVar[tuple[str, ...]] = ("assignments",)
    assignments: Tensor | None
    codebook: nn.Parameter | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("assignments", None)
        self.register_parameter("codebook", None)
        self._importances: Tensor | None = None
        self._planned: tuple[Tensor, Floats] | None = None

    def by(self, importances: Tensor) -> Self:
        """Weigh the squared errors in the next `fit`: h ≥ 0, in the weight's shape.

        Choi et al., arXiv:1612.01543, section 3: h is the diagonal of the Hessian, and a centroid
        ``c = Σ h w / Σ h``.

        Examples:
            >>> from laconic.share import Share
            >>> step = Share(bits=1).by(torch.tensor([3.0, 1.0]))
            >>> step.fit(torch.tensor([1.0, 5.0]))
            >>> step.codebook.tolist()
            [2.0]
        """
        self._importances = importances
        return self

    def fit(self, weight: Tensor) -> None:
        """Cluster the non-zero weights; `codebook` holds the centroids, ``[clusters]``.

        Raises:
            UsageError: importances of another shape, NaN, infinite, negative, or all 0.
        """
        if self._planned is not None:
            (assignments, centroids), self._planned = self._planned, None
            self.keep(assignments, centroids, weight)
            return
        flat = weight.float().flatten().cpu().numpy()
        kept = flat != 0
        values = flat[kept]
        importances = self.importances(weight, kept)
        if importances is not None and importances.size and not importances.any():
            raise UsageError(
                f"all {importances.size} importances are 0: these weights do not matter to the "
                "loss; prune them, or leave the importances out"
            )
        places, centroids = np.zeros(kept.shape, np.int32), np.empty(0)
        if len(values):
            places[kept], centroids = self.cluster(values, importances, len(kept))
        self.keep(torch.from_numpy(places).reshape(weight.shape), centroids, weight)

    def plan(self, assignments: Tensor, centroids: Floats) -> None:
        """Let the next `fit` take these, chosen with other weights (`plan_jointly`)."""
        self._planned = assignments, centroids

    @property
    def is_weighed(self) -> bool:
        """Whether `by` gave something for the next `fit`."""
        return self._importances is not None

    def keep(self, assignments: Tensor, centroids: Floats, weight: Tensor) -> None:
        """Take these as what was learnt, in the weight's dtype and on its device."""
        self.assignments = assignments.to(weight.device)
        self.codebook = nn.Parameter(torch.from_numpy(centroids).to(weight))

    @abstractmethod
    def cluster(
        self, values: NDArray[np.float32], importances: Floats | None, count: int
    ) -> Clusters:
        """The clusters of non-zero values, at least one.

        Args:
            values: flat.
            importances: theirs; None: all are 1.
            count: of the weights together with those that are zero.
        """

    def importances(
        self, weight: Tensor, kept: NDArray[np.bool_], label: str = ""
    ) -> Floats | None:
        """What `by` gave, once, for the weights that are clustered.

        Raises:
            UsageError: of another shape, NaN, infinite or negative; `label` begins the message.
        """
        label = f"{label}: " if label else ""
        given, self._importances = self._importances, None
        if given is None:
            return None
        if given.shape != weight.shape:
            raise UsageError(
                f"{label}the importances have the shape {list(given.shape)}, the weight "
                f"{list(weight.shape)}"
            )
        own: Floats = given.detach().double().flatten().cpu().numpy()[kept]
        bad = int((~np.isfinite(own)).sum())
        if bad:
            raise UsageError(f"{label}{bad} of {own.size} importances are NaN or infinite")
        if (own < 0).any():
            raise UsageError(
                f"{label}{int((own < 0).sum())} of {own.size} importances are negative, down to "
                f"{own.min():g}; a squared error has no negative weight: clamp them"
            )
        return own

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
