"""Multiples of one spacing, as many as the weight needs: an entropy coder makes them short."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.represent import Grid, fitted
from laconic.represent.step import FileForm

MAX_CODE = 2**23
"""Beyond it neighbouring codes are no different floats."""


class Spaced(Grid):
    """Rounds to the nearest multiple of a spacing, which is trained along with the weights.

    A uniform grid without a range: how many bits a weight takes is not said beforehand but comes
    from how often each code appears (entropy-coded scalar quantization; Choi et al.,
    arXiv:1612.01543, section 5; the latent integers of Oktay et al., arXiv:1906.06624). The
    gradient passes straight through to the weight everywhere, and the spacing gets that of learned
    step sizes, ``∂ŵ/∂Δ = round(w/Δ) − w/Δ`` (Esser et al., arXiv:1902.08153, equation 3), of its
    logarithm, so that it stays positive and any optimizer moves it by a ratio.

    Args:
        spacing: Δ, in the weight's unit; of the start.

    Raises:
        UsageError: a spacing that is not positive and finite, so small that a code of the weight
            is beyond 2^23, or so large that all are 0.

    Examples:
        >>> step = Spaced(0.5)
        >>> step.fit(torch.tensor([0.2, -0.9, 2.3]))
        >>> step(torch.tensor([0.2, -0.9, 2.3])).tolist()
        [0.0, -1.0, 2.5]
    """

    form: ClassVar[FileForm] = "uniform"
    learnt = ("log_spacing",)
    log_spacing: nn.Parameter | None

    def __init__(self, spacing: float) -> None:
        super().__init__()
        # A subnormal float32 may be taken for 0 by an engine.
        smallest = torch.finfo(torch.float32).tiny
        if not (spacing >= smallest and math.isfinite(spacing)):
            raise UsageError(f"spacing {spacing:g} is not a positive number; 0.01 is usual")
        self.spacing = spacing
        self.register_parameter("log_spacing", None)

    def fit(self, weight: Tensor) -> None:
        """Begin with the spacing that was asked for."""
        largest = float(weight.abs().max()) if weight.numel() else 0.0
        if largest > self.spacing * MAX_CODE:
            raise UsageError(
                f"the largest magnitude {largest:g} is {largest / self.spacing:.3g} spacings of "
                f"{self.spacing:g}; codes go up to 2^23: take a larger spacing, or clip the weight"
            )
        if 0 < largest <= self.spacing / 2:
            raise UsageError(
                f"all {weight.numel()} weights would be 0: the largest magnitude is {largest:g}, "
                f"the spacing {self.spacing:g}; take a smaller one"
            )
        self.log_spacing = nn.Parameter(torch.tensor(math.log(self.spacing)).to(weight.device))
        if not bool(torch.isfinite(self.values(self.codes(weight)).to(weight.dtype)).all()):
            raise UsageError(
                f"multiples of {self.spacing:g} near {largest:g} are beyond {weight.dtype}; scale "
                "the weights down"
            )

    @property
    def present(self) -> Tensor:
        """Δ as it stands, float32, a scalar."""
        return fitted(self, "log_spacing").detach().exp()

    def codes(self, weight: Tensor) -> Tensor:
        """Nearest integers, ties to even."""
        return torch.round(weight.detach().float() / self.present).to(torch.int32)

    def values(self, codes: Tensor) -> Tensor:
        """float32(code) · Δ."""
        return codes.to(torch.float32) * self.present

    def forward(self, weight: Tensor) -> Tensor:
        """The nearest multiple."""
        values = self.values(self.codes(weight)).to(weight.dtype)
        found: Tensor = _Rounded.apply(weight, fitted(self, "log_spacing"), values)  # type: ignore[no-untyped-call]
        return found

    def tables(self) -> dict[str, Tensor]:
        """``scale``, float32, and ``axis`` -1: one for the weight."""
        return {"scale": self.present.reshape(1), "axis": torch.tensor(-1)}


class _Rounded(torch.autograd.Function):
    """The rounded weight; gradients to the weight and to the logarithm of the spacing."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, log_spacing: Tensor, values: Tensor) -> Tensor:
        """`values`."""
        ctx.save_for_backward(weight, values)
        ctx.has_spacing = log_spacing.requires_grad
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        """Straight through, and Δ · ∂ŵ/∂Δ summed over the weight."""
        weight, values = ctx.saved_tensors
        (gradient,) = gradients
        along = (gradient * (values - weight)).sum().float() if ctx.has_spacing else None
        return gradient, along, None
