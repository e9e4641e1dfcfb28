"""Activations of few bits, gradients of few bits, and signs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from laconic.errors import UnsupportedError
from laconic.quantize.activations import OnGrid, check_float32
from laconic.quantize.quantizer import ActivationQuantizer
from laconic.quantize.uniform import check_bits
from laconic.represent import straight_through


class DoReFaActivation(OnGrid):
    """``round(clip(x, 0, 1) · (2^k − 1)) / (2^k − 1)``; the gradient of x is 1 in [0, 1].

    Zhou et al., arXiv:1606.06160, section 2.4, with the clip to [0, 1] as the bounded activation
    before (there ``h(x) = min(max(x, 0), 1)``). Nothing is calibrated.

    Args:
        bits: 1 to 16, k of the paper.

    Raises:
        UsageError: bits outside 1..16.

    Examples:
        >>> DoReFaActivation(bits=1)(torch.tensor([-2.0, 0.2, 0.7, 5.0])).tolist()
        [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(self, bits: int = 4) -> None:
        super().__init__()
        check_bits(bits, least=1)
        self.bits = bits
        self.register_buffer("scale", torch.tensor(1 / self.most))
        self.register_buffer("zero_point", self.zero_of(torch.tensor(0.0)))

    def forward(self, values: Tensor) -> Tensor:
        """One of 2^k values from 0 to 1."""
        check_float32(values)
        if torch.onnx.is_in_onnx_export():
            return self.as_operators(values)
        fixed = values.detach()
        nearest = torch.clamp(torch.round(fixed / self.scale), 0, self.most) * self.scale
        if torch.compiler.is_exporting():
            return nearest
        return straight_through(values, nearest, (fixed >= 0) & (fixed <= 1))


class WRPNActivation(DoReFaActivation):
    """The same grid, in WRPN's words: clipped to [0, 1], k bits, all of them for the magnitude.

    Mishra et al., arXiv:1709.01134, section 4; the network has more filters in return.

    Args:
        bits: 1 to 16.
    """


class DoReFaGradient(ActivationQuantizer):
    """Lets values pass, and puts their gradient on 2^k random values on its way back.

    Zhou et al., arXiv:1606.06160, equation 12:
    ``2 m (round((dr/2m + ½ + N) (2^k − 1)) / (2^k − 1) − ½)``, ``m = max|dr|`` over each example,
    and noise ``N = σ / (2^k − 1)``, σ uniform in ±½, so that it is right in the mean. It stands
    behind a layer (``place = "output"``); in eval mode and in files it is nothing.

    Args:
        bits: 2 to 16.

    Raises:
        UsageError: bits outside 2..16.
    """

    def __init__(self, bits: int = 6) -> None:
        super().__init__()
        check_bits(bits)
        self.bits = bits

    def forward(self, values: Tensor) -> Tensor:
        """The values themselves."""
        if not self.training or torch.compiler.is_exporting():
            return values
        result: Tensor = _Gradient.apply(values, 2**self.bits - 1)  # type: ignore[no-untyped-call]
        return result


class _Gradient(torch.autograd.Function):
    """Nothing forwards; equation 12 backwards."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, most: int) -> Tensor:
        ctx.most = most
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return quantized_gradient(gradient, ctx.most), None


def quantized_gradient(gradient: Tensor, most: int) -> Tensor:
    """Equation 12 of arXiv:1606.06160 with 2^k − 1 = `most`; shape ``[batch, …]``."""
    dims = list(range(1, gradient.ndim))
    twice = 2 * (gradient.abs().amax(dims, keepdim=True) if dims else gradient.abs())
    safe = torch.where(twice > 0, twice, 1.0)
    noise = torch.rand_like(gradient) - 0.5
    # Rounding ends at 0 and at `most`: the noise alone may reach half a step beyond.
    codes = torch.round((gradient / safe + 0.5) * most + noise).clamp(0, most)
    return torch.where(twice > 0, safe * (codes / most - 0.5), 0.0)


EDGE = 1e-5
"""What is so little below 0 counts as 0: sums of signs are often 0, and rounding blurs that."""


class SignActivation(ActivationQuantizer):
    """``+1`` where x ≥ 0, else ``−1``; the gradient of x is 1 where |x| ≤ 1 and 0 elsewhere.

    Hubara et al., Binarized Neural Networks, arXiv:1602.02830, sections 1.1 and 1.3. With weights
    of ±α in the same layer the runtime multiplies bits. BatchNorm belongs before it. Departure: the
    edge is at −1e-5, so that sums of as many +α as −α have the same sign in every engine.

    Examples:
        >>> SignActivation()(torch.tensor([-0.5, 0.0, 2.0])).tolist()
        [-1.0, 1.0, 1.0]
    """

    def forward(self, values: Tensor) -> Tensor:
        """The signs."""
        fixed = values.detach()
        signs = torch.sign(fixed + EDGE)
        signs = torch.where(signs == 0, 1.0, signs)
        if torch.compiler.is_exporting():
            return signs
        return straight_through(values, signs, fixed.abs() <= 1)


class Xnor(SignActivation):
    """Signs before a convolution or linear layer, and the mean magnitude K of the inputs behind it.

    Rastegari et al., XNOR-Net, arXiv:1603.05279, equation 11: ``I ∗ W ≈ (sign(I) ⊛ sign(W)) ⊙ K α``
    with ``K = A ∗ k``, A the mean of |I| over channels and k a box of 1/(w h); α belongs to the
    weights (the Step `Binary`). The order of a block is BatchNorm, this with its layer, pooling
    (section 3.2). Where zeros pad the border, K is the mean over the inputs that are there, which
    is the scale that fits best: a padded zero has no sign and counts in neither sum. K has the
    gradient of |x|; the signs pass it where |x| ≤ 1. A bias is added after K.
    """

    scales_outputs = True

    def __init__(self) -> None:
        super().__init__()
        self.magnitude: Tensor | None = None
        """A of the call on its way, between the layer's two hooks."""

    def forward(self, values: Tensor) -> Tensor:
        """The signs; A is kept for `scale_output`."""
        check_float32(values)
        feature = 1 if values.ndim > 2 else -1
        self.magnitude = values.abs().mean(feature, keepdim=True)
        return super().forward(values)

    def scale_output(self, layer: Any, result: Tensor) -> Tensor:
        """The layer's sums times K."""
        magnitude, self.magnitude = self.magnitude, None
        assert magnitude is not None  # forward ran before
        factor = magnitude
        if isinstance(layer, nn.Conv2d):
            padded = layer.padding if isinstance(layer.padding, tuple) else None
            whole = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
            if padded is None or not whole:
                raise UnsupportedError(
                    f"{layer}: K needs one group, no dilation and a padding of zeros in numbers"
                )
            factor = functional.avg_pool2d(
                magnitude, layer.kernel_size, layer.stride, padded, count_include_pad=False
            )
        elif not isinstance(layer, nn.Linear):
            raise UnsupportedError(f"{layer}: K is of Conv2d and Linear")
        if layer.bias is None:
            return result * factor
        bias: Tensor = layer.bias.reshape(-1, *[1] * (result.ndim - 2))
        return (result - bias) * factor + bias
