"""Uniform grids: equally spaced values, integers times a scale (arXiv:1712.05877)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.represent import Grid, fitted, straight_through
from laconic.represent.step import FileForm

MIN_BITS, MAX_BITS = 2, 16


class UniformGrid(Grid):
    """What symmetric and affine grids share: value = code · scale, straight-through training.

    Codes are counted from the zero point, so that code 0 is exactly 0.0 in both. The gradient
    passes where the latent weight is inside the range and is 0 outside (arXiv:1712.05877, 3).
    """

    form: ClassVar[FileForm] = "uniform"
    learnt = ("scale", "lowest", "highest")
    scale: Tensor | None
    lowest: Tensor | None
    highest: Tensor | None

    def __init__(self, bits: int, axis: int | None = None) -> None:
        super().__init__()
        if not MIN_BITS <= bits <= MAX_BITS:
            raise UsageError(f"bits {bits} is outside {MIN_BITS}..{MAX_BITS}")
        if axis is not None and axis < 0:
            raise UsageError(
                f"axis {axis} is negative; count from the front, or None for one scale"
            )
        self.bits = bits
        self.axis = axis
        for name in self.learnt:
            self.register_buffer(name, None)

    @abstractmethod
    def ranges(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scale, lowest and highest code for values from `low` ≤ 0 to `high` ≥ 0 (any shape)."""

    def fit(self, weight: Tensor) -> None:
        """Set the scale from the smallest and the largest value, of all or of each channel."""
        if self.axis is None:
            flat = weight.float().reshape(1, weight.numel())
        elif self.axis < weight.ndim:
            front = weight.float().movedim(self.axis, 0)
            flat = front.flatten(1) if weight.ndim > 1 else front[:, None]
        else:
            raise UsageError(f"axis {self.axis} does not exist in a shape of {list(weight.shape)}")
        # The range must include 0, or zero would have no code.
        zero = flat.new_zeros(len(flat), 1)
        bounded = torch.cat([flat, zero], 1)
        low, high = bounded.amin(1), bounded.amax(1)
        scale, lowest, highest = self.ranges(low, high)
        # A channel of zeros needs some scale; and not a subnormal one, which an engine may take
        # for 0, so that its products would differ from these.
        tiny = torch.finfo(torch.float32).tiny
        scale = torch.where(scale > 0, scale.clamp(min=tiny), 1.0)
        ends = torch.cat([lowest, highest]) * torch.cat([scale, scale])
        if not torch.isfinite(ends.to(weight.dtype)).all():
            raise UsageError(
                f"a grid of {self.bits} bits over values from {low.min():g} to {high.max():g} ends "
                f"beyond {weight.dtype}; scale the weights down"
            )
        self.scale = scale
        self.lowest, self.highest = lowest.to(torch.int32), highest.to(torch.int32)

    def along(self, name: str, dim: int) -> int | None:
        """A scale and its range for each channel go with the channel."""
        return 0 if dim == self.axis else None

    def _shaped(self, name: str, dimensions: int) -> Tensor:
        table = fitted(self, name)
        if self.axis is None:
            return table.reshape(())
        return table.reshape([len(table) if i == self.axis else 1 for i in range(dimensions)])

    def codes(self, weight: Tensor) -> Tensor:
        """Nearest codes (ties to even), saturating."""
        scale = self._shaped("scale", weight.ndim)
        codes = torch.round(weight.detach().float() / scale)
        low, high = self._shaped("lowest", weight.ndim), self._shaped("highest", weight.ndim)
        return torch.clamp(codes, low, high).to(torch.int32)

    def values(self, codes: Tensor) -> Tensor:
        """float32(code) · scale."""
        return codes.to(torch.float32) * self._shaped("scale", codes.ndim)

    def forward(self, weight: Tensor) -> Tensor:
        """The nearest grid value, straight through inside the range."""
        values = self.values(self.codes(weight)).to(weight.dtype)
        scale = self._shaped("scale", weight.ndim)
        position = weight.detach().float() / scale
        low, high = self._shaped("lowest", weight.ndim), self._shaped("highest", weight.ndim)
        inside = (position >= low - 0.5) & (position <= high + 0.5)
        return straight_through(weight, values, inside)

    def tables(self) -> dict[str, Tensor]:
        """``scale``, float32, and ``axis``, -1 for one scale."""
        axis = -1 if self.axis is None else self.axis
        return {"scale": fitted(self, "scale"), "axis": torch.tensor(axis)}


class Uniform(UniformGrid):
    """Symmetric grid: codes from ``-(2^(bits-1) - 1)`` to ``2^(bits-1) - 1`` (restricted range).

    Jacob et al., arXiv:1712.05877; scale = max|w| / (2^(bits-1) - 1).

    Args:
        bits: 2 to 16.
        axis: one scale for each index of this axis (0: per output channel); None: one for all.

    Raises:
        UsageError: bits outside 2..16, a negative axis, or one that the weight does not have.

    Examples:
        >>> step = Uniform(bits=3)
        >>> step.fit(torch.tensor([-3.0, 0.4, 1.2]))
        >>> step(torch.tensor([-3.0, 0.4, 1.2]))
        tensor([-3.,  0.,  1.])
    """

    def ranges(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Equal reach on both sides."""
        top = 2 ** (self.bits - 1) - 1
        scale = torch.maximum(-low, high) / top
        limit = torch.full_like(scale, top)
        return scale, -limit, limit


class Affine(UniformGrid):
    """Asymmetric grid: ``2^bits`` codes from the smallest to the largest value, with a zero point.

    Jacob et al., arXiv:1712.05877, equation 1: value = scale · (q - z), q in 0..2^bits-1. The
    codes here are q - z, so that 0 stands for 0.0; z is an integer, and the range includes 0.

    Args:
        bits: 2 to 16.
        axis: one scale and zero point for each index of this axis; None: one for all.

    Raises:
        UsageError: bits outside 2..16, a negative axis, or one that the weight does not have.

    Examples:
        >>> step = Affine(bits=2)
        >>> step.fit(torch.tensor([0.0, 1.0, 3.0]))
        >>> step(torch.tensor([0.2, 1.0, 9.0]))
        tensor([0., 1., 3.])
    """

    def ranges(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The whole range on 2^bits codes; the zero point is rounded to an integer."""
        top = 2**self.bits - 1
        scale = high / top - low / top  # their difference may be beyond float32
        zero_point = torch.round(-low / torch.where(scale > 0, scale, 1.0)).clamp(0, top)
        return scale, -zero_point, top - zero_point
