"""Product and residual quantization: codes stand for runs of weights in a row."""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from laconic.errors import UnsupportedError, UsageError
from laconic.represent import Grid, fitted
from laconic.represent.step import FileForm
from laconic.share.line import Floats
from laconic.share.vectors import vector_kmeans

MOST_CODE_BITS = 12


class Segments(Grid):
    """Cuts rows into segments; a segment of a row takes an entry of the segment's codebooks.

    Rows are the indices of the first axis, columns all others together: a filter is a row, and
    with a `length` of 9 a 3×3 kernel is a segment. Code 0 stands for a segment of zeros, so that
    whole segments that are zero stay zero (pruned channels, kernels, blocks); one that is zero in
    part is refused, as its zeros would come back. The codebooks are trained, each entry with the
    summed gradient of the segments that have it; the codes stay as `fit` chose them.

    A subclass says by `depth` how many codebooks are added.
    """

    form: ClassVar[FileForm] = "products"
    learnt = ("assignments", "codebooks")
    assignments: Tensor | None
    codebooks: nn.Parameter | None

    def __init__(self, code_bits: int, length: int) -> None:
        super().__init__()
        if not 1 <= code_bits <= MOST_CODE_BITS:
            raise UsageError(f"code_bits {code_bits} is outside 1..{MOST_CODE_BITS}")
        if length < 1:
            raise UsageError(f"segments of {length} weights hold nothing; 4 is a usual length")
        self.code_bits = code_bits
        self.length = length
        self.register_buffer("assignments", None)
        self.register_parameter("codebooks", None)

    @property
    @abstractmethod
    def depth(self) -> int:
        """How many codebooks are added."""

    def fit(self, weight: Tensor) -> None:
        """Choose codes, ``[depth, rows, segments]``, and codebooks.

        The codebooks are ``[depth, segments, entries, length]``; where a segment has fewer
        distinct runs than entries, the others stay zero and unused.

        Raises:
            UsageError: rows that `length` does not divide, a segment that is zero in part, or
                sums beyond the dtype.
        """
        left = self._cut(weight)
        rows, segments, length = left.shape
        depth, most = self.depth, 2**self.code_bits - 1
        codes = np.zeros((depth, rows, segments), np.int32)
        books = np.zeros((depth, segments, most, length))
        used = 0
        for stage in range(depth):
            for segment in range(segments):
                points = left[:, segment]
                some = points.any(1)
                if not some.any():
                    continue
                entries, places = vector_kmeans(points[some], most)
                rounded = torch.from_numpy(entries).to(weight.dtype).double().numpy()
                codes[stage, some, segment] = places + 1
                books[stage, segment, : len(entries)] = rounded
                left[some, segment] -= rounded[places]
                used = max(used, len(entries))
        self.assignments = torch.from_numpy(codes).to(weight.device)
        self.codebooks = nn.Parameter(torch.from_numpy(books[:, :, :used]).to(weight))
        if not bool(torch.isfinite(self.forward(weight)).all()):
            raise UsageError(f"the sums of {depth} codebooks end beyond {weight.dtype}; scale down")

    def _cut(self, weight: Tensor) -> Floats:
        """The weight as ``[rows, segments, length]``, float64, a copy."""
        rows, columns = 1, weight.numel()
        if weight.ndim > 1:
            rows, columns = weight.shape[0], prod(weight.shape[1:])
        if columns % self.length:
            raise UsageError(
                f"a row of {columns} weights cannot be cut into segments of {self.length}; lengths "
                f"that divide it: {', '.join(map(str, _divisors(columns)))}"
            )
        cut = weight.double().cpu().numpy().reshape(rows, columns // self.length, self.length)
        zeros = cut == 0
        partly = int((zeros.any(-1) & ~zeros.all(-1)).sum())
        if partly:
            raise UsageError(
                f"{partly} of {rows * cut.shape[1]} segments of {self.length} weights are zero in "
                "part, and their zeros would come back; prune in blocks of this length "
                f"(prune-blocks, rows = 1, columns = {self.length}), or share after this pruning"
            )
        return np.array(cut)

    def along(self, name: str, dim: int) -> int | None:
        """Codes go with the rows.

        Raises:
            UnsupportedError: columns are removed, and codes stand for several of them.
        """
        if dim > 0:
            raise UnsupportedError(
                f"{self}: input channels cannot be removed from product codes; cut the network "
                "before its weights are quantized so"
            )
        return 1 if name == "assignments" else None

    def codes(self, weight: Tensor) -> Tensor:
        """The assignments, fixed by `fit`: 0 for zeros, i + 1 for entry i."""
        return fitted(self, "assignments")

    def values(self, codes: Tensor) -> Tensor:
        """Entries looked up and added in order, ``[rows, columns]``, in float32 at least."""
        books = fitted(self, "codebooks")
        depth, segments, entries, length = books.shape
        books = books.to(torch.promote_types(books.dtype, torch.float32))
        # + 0.0 turns entries of -0.0 into 0.0.
        tables = torch.cat([books.new_zeros(depth, segments, 1, length), books], 2) + 0.0
        first = torch.arange(segments, device=codes.device) * (entries + 1)
        found = [
            table.reshape(-1, length).index_select(0, (own + first).flatten())
            for table, own in zip(tables, codes, strict=True)
        ]
        total: Tensor = found[0]
        for more in found[1:]:
            total = total + more
        return total.reshape(codes.shape[1], segments * length)

    def forward(self, weight: Tensor) -> Tensor:
        """The quantized weight."""
        return self.values(self.codes(weight)).reshape(weight.shape).to(weight.dtype)

    def tables(self) -> dict[str, Tensor]:
        """``codebooks``, ``[depth, segments, entries, length]``."""
        return {"codebooks": fitted(self, "codebooks")}


class Product(Segments):
    """Product quantization: k-means of the sub-vectors in each column segment of a matrix.

    Gong, Liu, Yang, Bourdev, arXiv:1412.6115: ``W = [W¹, …, Wˢ]``, and the rows of
    each ``Wⁱ``, of m × `length`, take the nearest of its own 2^bits - 1 centroids (and zero). It
    pays where rows are many more than centroids: the codebooks hold as many numbers as that many
    rows.

    Args:
        code_bits: 1 to 12 for each segment of a row.
        length: weights in a segment; it divides the row.

    Raises:
        UsageError: arguments outside their range; in `fit` see `Segments`.

    Examples:
        >>> step = Product(code_bits=1, length=2)
        >>> step.fit(torch.tensor([[1.0, 2.0], [3.0, 2.0], [0.0, 0.0]]))
        >>> step(torch.zeros(3, 2)).tolist()
        [[2.0, 2.0], [2.0, 2.0], [0.0, 0.0]]
    """

    @property
    def depth(self) -> int:
        """One."""
        return 1


class Residual(Segments):
    """Residual quantization: what a codebook leaves is quantized by the next, and they are added.

    Gong, Liu, Yang, Bourdev, arXiv:1412.6115: ``w ≈ c¹ + c² + … + cᵗ``, each the
    nearest centroid of the residual that the ones before it left. The paper's vectors are whole
    rows; here any `length` that divides the row, the row's own among them.

    Args:
        code_bits: 1 to 12 for each segment and stage.
        length: weights in a segment; it divides the row.
        stages: t, 1 to 16.

    Raises:
        UsageError: arguments outside their range; in `fit` see `Segments`.

    Examples:
        >>> step = Residual(code_bits=1, length=2, stages=2)
        >>> step.fit(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
        >>> len(step.codebooks), step.codes(torch.zeros(2, 2)).shape
        (2, torch.Size([2, 2, 1]))
    """

    def __init__(self, code_bits: int, length: int, stages: int = 2) -> None:
        super().__init__(code_bits, length)
        if not 1 <= stages <= 16:
            raise UsageError(f"stages {stages} is outside 1..16")
        self.stages = stages

    @property
    def depth(self) -> int:
        """The stages."""
        return self.stages


def _divisors(number: int) -> list[int]:
    return [one for one in range(1, number + 1) if number % one == 0]
