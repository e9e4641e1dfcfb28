"""Uniform grids: equally spaced values, integers times a scale (arXiv:1712.05877)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.quantize.clipping import clip_ends, parse_clip
from laconic.quantize.scaled import LinearGrid, by_scale, safe_scale

MIN_BITS, MAX_BITS = 2, 16


class UniformGrid(LinearGrid):
    """What symmetric and affine grids share: a range from the values, which may be clipped.

    Codes are counted from the zero point, so that code 0 is exactly 0.0 in all of them. A range
    includes 0; values beyond a clipped one saturate.
    """

    is_symmetric: ClassVar[bool] = True
    """Whether a range reaches as far below zero as above."""

    def __init__(self, bits: int, axis: int | None = None, clip: str = "none") -> None:
        check_bits(bits)
        super().__init__(axis)
        if parse_clip(clip)[0] == "average" and axis is not None:
            raise UsageError(
                "clip 'average' takes the mean over the channels, which then have one scale; "
                f"leave out axis {axis}, or clip otherwise"
            )
        self.bits = bits
        self.clip = clip

    @property
    def steps(self) -> int:
        """Equal steps from the lowest code to the highest."""
        return (1 << self.bits) - 1

    @abstractmethod
    def ranges(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scale, lowest and highest code for values from `low` ≤ 0 to `high` ≥ 0 (any shape)."""

    def fit(self, weight: Tensor) -> None:
        """Set the scale from where the values end, or are clipped, of all or of each channel."""
        low, high = clip_ends(self.clip, by_scale(weight, self.axis), self)
        scale, lowest, highest = self.ranges(low, high)
        scale = safe_scale(scale)
        ends = torch.cat([lowest, highest]) * torch.cat([scale, scale])
        if not torch.isfinite(ends.to(weight.dtype)).all():
            raise UsageError(
                f"a grid of {self.bits} bits over values from {low.min():g} to {high.max():g} ends "
                f"beyond {weight.dtype}; scale the weights down"
            )
        self.scale = scale
        self.lowest, self.highest = lowest.to(torch.int32), highest.to(torch.int32)


class Uniform(UniformGrid):
    """Symmetric grid: codes from ``-(2^(bits-1) - 1)`` to ``2^(bits-1) - 1`` (restricted range).

    Jacob et al., arXiv:1712.05877; scale = max|w| / (2^(bits-1) - 1).

    Args:
        bits: 2 to 16.
        axis: one scale for each index of this axis (0: the output channels of linear layers and
            convolutions, also depthwise ones; 1: those of transposed convolutions); None: one for
            all.
        clip: where the range ends, `laconic.quantize.CLIPS`: ``"sigma:2.5"``.

    Raises:
        UsageError: bits outside 2..16, a negative axis, or one that the weight does not have; no
            such clip.

    Examples:
        >>> step = Uniform(bits=3)
        >>> step.fit(torch.tensor([-3.0, 0.4, 1.2]))
        >>> step(torch.tensor([-3.0, 0.4, 1.2]))
        tensor([-3.,  0.,  1.])
    """

    @property
    def steps(self) -> int:
        """One less than of other grids, which have a code more below zero."""
        return (1 << self.bits) - 2

    def ranges(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Equal reach on both sides."""
        top = 2 ** (self.bits - 1) - 1
        scale = torch.maximum(-low, high) / top
        limit = torch.full_like(scale, top)
        return scale, -limit, limit


class UniformFull(UniformGrid):
    """Symmetric grid of all ``2^bits`` codes, from ``-2^(bits-1)`` to ``2^(bits-1) - 1``.

    The full range of Distiller: scale = max|w| / ((2^bits - 1) / 2), so that max|w| lies half a
    step beyond the highest code, to which it saturates; the lowest lies half a step beyond -max|w|.

    Args:
        bits: 2 to 16.
        axis: as of `Uniform`.
        clip: as of `Uniform`.

    Raises:
        UsageError: as `Uniform`.

    Examples:
        >>> step = UniformFull(bits=2)
        >>> step.fit(torch.tensor([-3.0, 0.4, 1.2]))
        >>> step(torch.tensor([-3.0, 0.4, 1.2, 3.0]))
        tensor([-4.,  0.,  2.,  2.])
    """

    def ranges(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Equal reach on both sides, half a step inside the lowest code."""
        scale = torch.maximum(-low, high) / ((2**self.bits - 1) / 2)
        limit = torch.full_like(scale, 2 ** (self.bits - 1))
        return scale, -limit, limit - 1


class Affine(UniformGrid):
    """Asymmetric grid: ``2^bits`` codes from the smallest to the largest value, with a zero point.

    Jacob et al., arXiv:1712.05877, equation 1: value = scale · (q - z), q in 0..2^bits-1. The
    codes here are q - z, so that 0 stands for 0.0; z is an integer inside the grid, as the range
    includes 0.

    Args:
        bits: 2 to 16.
        axis: one scale and zero point for each index of this axis, as of `Uniform`; None: one for
            all.
        clip: as of `Uniform`.

    Raises:
        UsageError: as `Uniform`.

    Examples:
        >>> step = Affine(bits=2)
        >>> step.fit(torch.tensor([0.0, 1.0, 3.0]))
        >>> step(torch.tensor([0.2, 1.0, 9.0]))
        tensor([0., 1., 3.])
    """

    is_symmetric = False

    def ranges(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The whole range on 2^bits codes; the zero point is rounded to an integer."""
        top = 2**self.bits - 1
        scale = high / top - low / top  # their difference may be beyond float32
        zero_point = torch.round(-low / torch.where(scale > 0, scale, 1.0)).clamp(0, top)
        return scale, -zero_point, top - zero_point


def check_bits(bits: int, least: int = MIN_BITS) -> None:
    """Refuse a number of bits that no grid here has.

    Raises:
        UsageError: it is outside 2..16, or what `least` says.
    """
    if not least <= bits <= MAX_BITS:
        raise UsageError(f"bits {bits} is outside {least}..{MAX_BITS}")
