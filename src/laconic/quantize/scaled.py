"""What grids of equal steps share: a value is an integer times a scale, one or one a channel."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.represent import Grid, fitted, straight_through
from laconic.represent.step import FileForm


class ScaledGrid(Grid):
    """value = float32(code) · scale; code 0 is exactly 0.0.

    A subclass calls this constructor and says in `fit` and `codes` what scale and codes are.
    """

    form: ClassVar[FileForm] = "uniform"
    learnt: ClassVar[tuple[str, ...]] = ("scale",)
    scale: Tensor | None

    def __init__(self, axis: int | None = None) -> None:
        super().__init__()
        if axis is not None and axis < 0:
            raise UsageError(
                f"axis {axis} is negative; count from the front, or None for one scale"
            )
        self.axis = axis
        for name in self.learnt:
            self.register_buffer(name, None)

    def along(self, name: str, dim: int) -> int | None:
        """A scale and its range for each channel go with the channel."""
        return 0 if dim == self.axis else None

    def _shaped(self, name: str, dimensions: int) -> Tensor:
        """A learnt table so that it broadcasts over a weight of so many dimensions."""
        table = fitted(self, name)
        if self.axis is None:
            return table.reshape(())
        return table.reshape([len(table) if i == self.axis else 1 for i in range(dimensions)])

    def values(self, codes: Tensor) -> Tensor:
        """float32(code) · scale."""
        return codes.to(torch.float32) * self._shaped("scale", codes.ndim)

    def tables(self) -> dict[str, Tensor]:
        """``scale``, float32, and ``axis``, -1 for one scale."""
        axis = -1 if self.axis is None else self.axis
        return {"scale": fitted(self, "scale"), "axis": torch.tensor(axis)}


class LinearGrid(ScaledGrid):
    """All integers of a range: the nearest code, saturating; straight-through training.

    The gradient passes where the latent weight is inside the range and is 0 outside
    (arXiv:1712.05877, 3).
    """

    learnt = ("scale", "lowest", "highest")
    lowest: Tensor | None
    highest: Tensor | None

    def codes(self, weight: Tensor) -> Tensor:
        """Nearest codes (ties to even), saturating."""
        scale = self._shaped("scale", weight.ndim)
        codes = torch.round(weight.detach().float() / scale)
        low, high = self._shaped("lowest", weight.ndim), self._shaped("highest", weight.ndim)
        return torch.clamp(codes, low, high).to(torch.int32)

    def forward(self, weight: Tensor) -> Tensor:
        """The nearest grid value, straight through inside the range."""
        values = self.values(self.codes(weight)).to(weight.dtype)
        scale = self._shaped("scale", weight.ndim)
        position = weight.detach().float() / scale
        low, high = self._shaped("lowest", weight.ndim), self._shaped("highest", weight.ndim)
        inside = (position >= low - 0.5) & (position <= high + 0.5)
        return straight_through(weight, values, inside)


def by_scale(weight: Tensor, axis: int | None) -> Tensor:
    """A weight as ``[scales, rows, values]``, float32: what has a scale of its own comes first.

    With one scale for all, rows are the output channels; else there is one row.

    Raises:
        UsageError: the weight has no such axis.

    Examples:
        >>> by_scale(torch.zeros(6, 3, 5, 5), None).shape
        torch.Size([1, 6, 75])
        >>> by_scale(torch.zeros(6, 3, 5, 5), 1).shape
        torch.Size([3, 1, 150])
    """
    if axis is None:
        rows = weight if weight.ndim > 1 else weight.reshape(1, -1)
        return rows.float().flatten(1)[None]
    if axis >= weight.ndim:
        raise UsageError(f"axis {axis} does not exist in a shape of {list(weight.shape)}")
    front = weight.float().movedim(axis, 0)
    return (front.flatten(1) if weight.ndim > 1 else front[:, None])[:, None]


def safe_scale(scale: Tensor) -> Tensor:
    """1 for a channel of zeros, which needs some scale; and no subnormal number.

    An engine may take a subnormal number for 0, so that its products would differ from these.
    """
    return torch.where(scale > 0, scale.clamp(min=torch.finfo(torch.float32).tiny), 1.0)
