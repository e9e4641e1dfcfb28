"""Quantizers of activations whose range or step is trained with the weights."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.quantize.activation import activations
from laconic.quantize.activations import OnGrid, check_float32, to_grid
from laconic.quantize.observers import MinMax
from laconic.quantize.uniform import check_bits

TINY = torch.finfo(torch.float32).tiny


class _Trained(OnGrid):
    """A grid whose scale follows from one trained number; files hold the scale alone."""

    def keep_up(self) -> None:
        """Set scale and zero point from what is trained."""
        raise NotImplementedError


def keep_up(module: _Trained, prefix: str, keep_vars: bool) -> None:
    """Before a state dict is made: the scale is that of the trained number as it stands."""
    if module.is_calibrated:
        module.keep_up()


class PACT(_Trained):
    """``round(clamp(x, 0, α) · (2^k − 1) / α) · α / (2^k − 1)`` with a trained α.

    Choi et al., arXiv:1805.06085, equations 1 to 3. The gradient of x is 1 in [0, α]; that of α is
    1 where x ≥ α, else 0. Of negative values nothing is left: it belongs behind a ReLU, or in the
    place of one. α begins at `start`, or at the largest value that calibration sees. `AlphaDecay`
    is the paper's L2 on α.

    Args:
        bits: 1 to 16, k of the paper.
        start: α at the beginning; 10 in the paper. None: from calibration.

    Raises:
        UsageError: bits outside 1..16, or a start that is not positive.

    Examples:
        >>> quantizer = PACT(bits=2, start=3.0)
        >>> quantizer(torch.tensor([-1.0, 0.6, 1.4, 9.0])).tolist()
        [0.0, 1.0, 1.0, 3.0]
    """

    learnt: ClassVar[tuple[str, ...]] = ("scale", "zero_point", "alpha")
    unpacked: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: Tensor | None

    def __init__(self, bits: int = 4, start: float | None = None) -> None:
        super().__init__()
        check_bits(bits, least=1)
        if start is not None and not 0 < start < math.inf:
            raise UsageError(f"start {start:g} is not a positive number; 10 is the paper's α")
        self.bits = bits
        self.start = start
        self.watched: MinMax | None = None
        for name in ("scale", "zero_point"):
            self.register_buffer(name, None)
        self.register_parameter("alpha", None)
        self.register_state_dict_pre_hook(keep_up)  # type: ignore[no-untyped-call]
        if start is not None:
            self._begin(start)

    def _begin(self, alpha: float) -> None:
        self.alpha = nn.Parameter(torch.tensor(alpha))
        self.keep_up()

    def see(self, values: Tensor) -> None:
        """One batch of calibration."""
        check_float32(values)
        self.watched = self.watched or MinMax()
        self.watched.see(values)

    def settle(self) -> None:
        """α is the largest value that was seen."""
        watched, self.watched = self.watched or MinMax(), None
        _, high = watched.range()
        if high <= 0:
            raise UsageError(
                f"no value above 0 came here in calibration (the largest is {high:g}); PACT keeps "
                "positive values alone: leave this layer out"
            )
        self._begin(high)

    def keep_up(self) -> None:
        """scale = α / (2^k − 1), z = 0."""
        if self.alpha is not None:
            self.scale = self.alpha.detach().clamp(min=TINY) / self.most
            self.zero_point = self.zero_of(torch.zeros_like(self.scale))

    def forward(self, values: Tensor) -> Tensor:
        """The nearest of 2^k values from 0 to α."""
        check_float32(values)
        if torch.onnx.is_in_onnx_export():
            return self.as_operators(values)
        self.keep_up()
        zero = torch.zeros_like(self.scale)
        if torch.compiler.is_exporting() or self.alpha is None:
            return to_grid(values, self.scale, zero, zero + self.most)
        result: Tensor = _Pact.apply(values, self.alpha, self.scale, self.most)  # type: ignore[no-untyped-call]
        return result


class _Pact(torch.autograd.Function):
    """The grid forwards; equation 3 backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor, scale: Tensor, most: int) -> Tensor:
        ctx.save_for_backward(x, alpha)
        return torch.clamp(torch.round(x / scale), 0, most) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, alpha = ctx.saved_tensors
        (gradient,) = gradients
        above = x >= alpha
        inside = (x >= 0) & ~above
        return torch.where(inside, gradient, 0.0), gradient[above].sum(), None, None


class AlphaDecay:
    """A penalty ``λ Σ α²`` over every `PACT` of a network (arXiv:1805.06085, section 3).

    In recipes the penalty ``alpha`` of ``fit``.

    Args:
        strength: λ, or a table of layers' paths; the paper takes that of the weight decay.

    Raises:
        UsageError: a strength is not positive.
    """

    def __init__(self, strength: float | dict[str, float]) -> None:
        for value in strength.values() if isinstance(strength, dict) else [strength]:
            if not value > 0:
                raise UsageError(f"alpha: strength {value:g} is not positive; 5e-4 is usual")
        self.strength = strength

    def __call__(self, model: nn.Module) -> Tensor:
        """The term, a scalar with a gradient.

        Raises:
            UsageError: no layer has a PACT, or none that the table names.
        """
        terms = []
        for path, _, quantizer in activations(model):
            if isinstance(quantizer, PACT) and quantizer.alpha is not None:
                given = self.strength
                own = given.get(path, 0.0) if isinstance(given, dict) else given
                if own:
                    terms.append(own * quantizer.alpha.square())
        if not terms:
            raise UsageError("no layer has a PACT whose α could decay; attach some first")
        return torch.stack(terms).sum()

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"strength": self.strength}


class LearnedStep(_Trained):
    """``clamp(round(x / s), −Q_N, Q_P) · s`` with a trained step s: LSQ for activations.

    Esser et al., arXiv:1902.08153, section 2: the gradient of s is ``round(x/s) − x/s`` inside the
    range, −Q_N below and Q_P above, times ``1 / √(N · Q_P)``, where N is the number of values of
    an example; that of x is 1 inside. s begins at ``2⟨|x|⟩ / √Q_P`` over the batches of
    calibration.

    Args:
        bits: 2 to 16.
        signed: whether values below 0 are kept: Q_N = 2^(bits−1) and Q_P = 2^(bits−1) − 1, else 0
            and 2^bits − 1. None: where calibration sees any.

    Raises:
        UsageError: bits outside 2..16.
    """

    learnt: ClassVar[tuple[str, ...]] = ("scale", "zero_point", "step")
    unpacked: ClassVar[tuple[str, ...]] = ("step",)
    step: Tensor | None

    def __init__(self, bits: int = 4, signed: bool | None = None) -> None:
        super().__init__()
        check_bits(bits)
        self.bits = bits
        self.signed = signed
        self.watched: MinMax | None = None
        self.magnitudes: list[float] = []
        for name in ("scale", "zero_point"):
            self.register_buffer(name, None)
        self.register_parameter("step", None)
        self.register_state_dict_pre_hook(keep_up)  # type: ignore[no-untyped-call]

    def see(self, values: Tensor) -> None:
        """One batch of calibration."""
        check_float32(values)
        self.watched = self.watched or MinMax()
        self.watched.see(values)
        self.magnitudes.append(float(values.detach().abs().mean(dtype=torch.float64)))

    def settle(self) -> None:
        """The step, and whether there are values below 0."""
        watched, self.watched = self.watched or MinMax(), None
        low, _ = watched.range()
        signed = low < 0 if self.signed is None else self.signed
        zero = 2 ** (self.bits - 1) if signed else 0
        mean = sum(self.magnitudes) / len(self.magnitudes)
        self.magnitudes = []
        self.zero_point = self.zero_of(torch.tensor(float(zero)))
        self.step = nn.Parameter(torch.tensor(2 * mean / math.sqrt(self.most - zero)))
        self.keep_up()

    def keep_up(self) -> None:
        """The scale is the step, kept above 0."""
        if self.step is not None:
            self.scale = self.step.detach().clamp(min=TINY)

    def forward(self, values: Tensor) -> Tensor:
        """The nearest grid values."""
        check_float32(values)
        if torch.onnx.is_in_onnx_export():
            return self.as_operators(values)
        self.keep_up()
        zero = self.zero_point.to(torch.float32)
        if torch.compiler.is_exporting() or self.step is None:
            return to_grid(values, self.scale, 0.0 - zero, self.most - zero)
        count = values[0].numel() if values.ndim else 1
        return learned_step(values, self.step, 0.0 - zero, self.most - zero, count)


class _LearnedStep(torch.autograd.Function):
    """The torch form of `learned_step`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: Tensor, high: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(x, step, low, high)
        ctx.count = count
        scale = step.clamp(min=TINY)
        nearest: Tensor = torch.maximum(torch.minimum(torch.round(x / scale), high), low) * scale
        return nearest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, step, low, high = ctx.saved_tensors
        (gradient,) = gradients
        position = x / step.clamp(min=TINY)
        bounded = torch.maximum(torch.minimum(position, high), low)
        inside = bounded == position
        slope = torch.where(inside, torch.round(position) - position, bounded)
        factor = 1 / math.sqrt(max(1, ctx.count) * float(high))
        own = (gradient * slope).sum() * factor
        return torch.where(inside, gradient, 0.0), own.reshape(step.shape), None, None, None


def learned_step(x: Tensor, step: Tensor, low: Tensor, high: Tensor, count: int) -> Tensor:
    """``clamp(round(x / s), low, high) · s`` with LSQ's gradients (arXiv:1902.08153, equation 3).

    Args:
        x: any shape.
        step: s, one number with a gradient.
        low: −Q_N.
        high: Q_P.
        count: N in the scale ``1/√(N · Q_P)`` of the step's gradient.
    """
    result: Tensor = _LearnedStep.apply(x, step, low, high, count)  # type: ignore[no-untyped-call]
    return result
