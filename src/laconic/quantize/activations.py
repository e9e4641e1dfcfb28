"""Uniform quantization of activations: with a range from calibration, or of each batch."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from laconic.errors import MismatchError, UsageError
from laconic.quantize.clipping import parse_clip
from laconic.quantize.observers import Clipped, MinMax, MovingAverage, Observer
from laconic.quantize.quantizer import ActivationQuantizer
from laconic.quantize.uniform import Affine, Uniform, check_bits
from laconic.represent import straight_through

BYTE = 8
"""Bits of the integers of QuantizeLinear at the opset of our programs."""
OBSERVERS = ("ema", "min-max")


class OnGrid(ActivationQuantizer):
    """What has a scale and a zero point: integers from 0 to 2^bits − 1, less z, times the scale.

    In a program of 8 bits or fewer it is QuantizeLinear and DequantizeLinear, behind a Clip where
    there are fewer than 8; else Div, Round, Clip and Mul. Both compute what torch computes.
    """

    bits: int
    scale: Tensor
    zero_point: Tensor

    @property
    def most(self) -> int:
        """The largest integer; the smallest is 0."""
        return int(2**self.bits - 1)

    def zero_of(self, zero_point: Tensor) -> Tensor:
        """A zero point in the dtype that a file holds it in."""
        return zero_point.to(torch.uint8 if self.bits <= BYTE else torch.int32)

    def as_operators(self, values: Tensor) -> Tensor:
        """The grid values as the program computes them."""
        zero = self.zero_point.to(torch.float32)
        if self.bits > BYTE:
            return to_grid(values, self.scale, 0.0 - zero, self.most - zero)
        if self.bits < BYTE:
            values = torch.clamp(values, -zero * self.scale, (self.most - zero) * self.scale)
        arguments = (self.scale, self.zero_point)
        codes = torch.onnx.ops.symbolic(
            "QuantizeLinear", (values, *arguments), dtype=torch.uint8, shape=values.shape
        )
        return torch.onnx.ops.symbolic(
            "DequantizeLinear", (codes, *arguments), dtype=values.dtype, shape=values.shape
        )

    def check_loaded(self, name: str, saved: Tensor, path: str) -> None:
        """A zero point is on the grid, a scale is positive and finite."""
        if name == "zero_point" and not 0 <= int(saved) <= self.most:
            raise MismatchError(
                f"{path}: the zero point {int(saved)} is outside 0..{self.most}, the integers of "
                f"{self.bits} bits"
            )
        if name == "scale" and not (bool(torch.isfinite(saved)) and float(saved) > 0):
            raise MismatchError(f"{path}: the scale {float(saved):g} is not positive and finite")


class Static(OnGrid):
    """``scale · (clamp(round(x / scale) + z, 0, 2^bits − 1) − z)``; the range is known beforehand.

    Jacob et al., arXiv:1712.05877, equation 1 and section 3: real value = scale · (q − z), with an
    integer zero point z; the range includes 0. What is never negative, as behind a ReLU, gets
    z = 0. Rounding is to the nearest, ties to even. The gradient is 1 inside the range and 0
    outside.

    Before training a calibration sets the range (so that the paper's start without quantization
    is not needed). With ``observer = "ema"`` the range follows the batches in training, by moving
    averages of their ends, and is frozen in eval mode; with ``"min-max"`` it stays.

    Args:
        bits: 2 to 16.
        symmetric: as far below zero as above, with z = 2^(bits−1).
        observer: ``"ema"`` or ``"min-max"``.
        clip: how a calibration narrows the range, a key of `laconic.quantize.CLIPS`; training moves
            such a range toward the ends of its batches, unless the observer is ``"min-max"``.
        decay: of the moving averages in training.

    Raises:
        UsageError: bits outside 2..16, an unknown observer or clip, a decay outside [0, 1).

    Examples:
        >>> quantizer = Static(bits=2).eval()
        >>> quantizer.reach(0.0, 3.0)
        >>> quantizer(torch.tensor([-1.0, 0.6, 1.5, 9.0]))
        tensor([0., 1., 2., 3.])
    """

    learnt: ClassVar[tuple[str, ...]] = ("scale", "zero_point", "low", "high")
    unpacked: ClassVar[tuple[str, ...]] = ("low", "high")
    low: Tensor | None
    high: Tensor | None

    def __init__(
        self,
        bits: int = 8,
        symmetric: bool = False,
        observer: str = "ema",
        clip: str = "none",
        decay: float = 0.99,
    ) -> None:
        super().__init__()
        check_bits(bits)
        if observer not in OBSERVERS:
            raise UsageError(
                f"no observer is named {observer!r}; there are: {', '.join(OBSERVERS)}"
            )
        if not 0 <= decay < 1:
            raise UsageError(f"decay {decay:g} is outside [0, 1); 0.99 is usual")
        parse_clip(clip)
        self.bits = bits
        self.symmetric = symmetric
        self.observer = observer
        self.clip = clip
        self.decay = decay
        self.watched: Observer | None = None
        for name in self.learnt:
            self.register_buffer(name, None)

    def _grid(self) -> Affine | Uniform:
        return Uniform(self.bits) if self.symmetric else Affine(self.bits)

    def see(self, values: Tensor) -> None:
        """One batch of calibration."""
        check_float32(values)
        if self.watched is None:
            if self.clip != "none":
                self.watched = Clipped(self.clip, self._grid())
            else:
                self.watched = MovingAverage() if self.observer == "ema" else MinMax()
        self.watched.see(values)

    def settle(self) -> None:
        """The range that was seen becomes the grid's."""
        watched, self.watched = self.watched or MinMax(), None
        self.reach(*watched.range())

    def reach(self, low: float, high: float) -> None:
        """Let the grid reach from `low` to `high`, widened to 0; z is rounded to an integer.

        Raises:
            UsageError: it would reach beyond float32, or nowhere.
        """
        self._reach(torch.tensor(min(low, 0.0)), torch.tensor(max(high, 0.0)))
        ends = self.scale * self.most
        if not bool(torch.isfinite(ends)) or low == high == 0:
            raise UsageError(f"no grid of {self.bits} bits reaches from {low:g} to {high:g}")

    def _reach(self, low: Tensor, high: Tensor) -> None:
        """Scale and zero point, without a look at the values, for every step of training."""
        self.low, self.high = low, high
        scale, lowest, _ = self._grid().ranges(low[None], high[None])
        tiny = torch.finfo(torch.float32).tiny
        self.scale = torch.where(scale > 0, scale.clamp(min=tiny), 1.0)[0]
        middle = torch.full_like(lowest, 2 ** (self.bits - 1))
        zero_point = middle if self.symmetric else -lowest
        self.zero_point = self.zero_of(zero_point[0])

    def forward(self, values: Tensor) -> Tensor:
        """The nearest grid values; in training the range follows the batch first."""
        check_float32(values)
        if self.training and self.observer == "ema" and values.numel():
            low, high = torch.aminmax(values.detach())
            before, kept = self._ends(), self.decay
            self._reach(
                (kept * before[0] + (1 - kept) * low).clamp(max=0.0),
                (kept * before[1] + (1 - kept) * high).clamp(min=0.0),
            )
        if torch.onnx.is_in_onnx_export():
            return self.as_operators(values)
        zero = self.zero_point.to(torch.float32)
        return to_grid(values, self.scale, 0.0 - zero, self.most - zero)

    def _ends(self) -> tuple[Tensor, Tensor]:
        """The moving averages; out of a file, which has none, those of the grid."""
        if self.low is None or self.high is None:
            zero = self.zero_point.to(torch.float32)
            return -zero * self.scale, (self.most - zero) * self.scale
        return self.low, self.high


class Dynamic(ActivationQuantizer):
    """The grid of `Static`, over the range that each example, or each batch, has at run time.

    Nothing is calibrated; the program computes the range itself, by ReduceMin and ReduceMax.

    Args:
        bits: 2 to 16.
        per: ``"sample"``: each example (each index of the first dimension) has its own range, so
            that results do not depend on what else is in the batch; or ``"batch"``.

    Raises:
        UsageError: bits outside 2..16, or another `per`.

    Examples:
        >>> Dynamic(bits=2)(torch.tensor([[0.0, 1.4, 3.0], [0.0, 0.1, 0.3]]))
        tensor([[0.0000, 1.0000, 3.0000],
                [0.0000, 0.1000, 0.3000]])
    """

    def __init__(self, bits: int = 8, per: str = "sample") -> None:
        super().__init__()
        check_bits(bits)
        if per not in ("sample", "batch"):
            raise UsageError(f'per is {per!r}; it is "sample" or "batch"')
        self.bits = bits
        self.per = per

    def forward(self, values: Tensor) -> Tensor:
        """The nearest values of a grid over the range of `values`."""
        check_float32(values)
        fixed = values.detach()
        dims = list(range(1 if self.per == "sample" and values.ndim > 1 else 0, values.ndim))
        low = torch.amin(fixed, dims, keepdim=True).clamp(max=0.0)
        high = torch.amax(fixed, dims, keepdim=True).clamp(min=0.0)
        most = float(2**self.bits - 1)
        scale = (high - low) / most
        scale = torch.where(scale > 0, scale, 1.0)
        zero = torch.round(-low / scale)
        return to_grid(values, scale, 0.0 - zero, most - zero)


def to_grid(values: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """``clamp(round(x / scale), low, high) · scale``, straight through between the ends.

    Plain operators where torch writes the network down: exports have no gradient.
    """
    steps = values.detach() / scale
    nearest = torch.maximum(torch.minimum(torch.round(steps), high), low) * scale
    if torch.compiler.is_exporting() or not values.requires_grad:
        return nearest
    inside = (steps >= low - 0.5) & (steps <= high + 0.5)
    return straight_through(values, nearest, inside)


def check_float32(values: Tensor) -> None:
    """Refuse what the exported program could not compute in the same way.

    Raises:
        UsageError: the values are not float32.
    """
    if values.dtype != torch.float32:
        raise UsageError(
            f"activations of {values.dtype} come here; they are quantized in float32: "
            "take model.float()"
        )
