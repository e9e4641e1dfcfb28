"""Weights on 2^k values between −1 and 1, by their tanh (DoReFa-Net)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from laconic.quantize.binary import mean_magnitude
from laconic.quantize.follow import Follower
from laconic.quantize.scaled import ScaledGrid, safe_scale
from laconic.quantize.uniform import check_bits
from laconic.represent import fitted, straight_through


class DoReFa(Follower, ScaledGrid):
    """``2 Q_k(tanh w / (2 max|tanh w|) + ½) − 1``: 2^bits values, evenly from −1 to 1.

    Zhou et al., arXiv:1606.06160, section 2.3, equations 8 and 9: Q_k rounds [0, 1] to multiples of
    1/(2^k − 1), straight through, so that the gradient of w is that of its value times
    ``(1 − tanh² w) / max|tanh w|``. One bit is ``sign(w) · E|w|`` with the gradient of w (equation
    7). In training `Follow` takes the maximum, or E|w|, of the present weights at each update.

    The values do not keep the weights' own size; the network behind must, as BatchNorm does. Codes
    are ``2 (2^k − 1) Q_k − (2^k − 1)``, all odd: the grid has no 0. Departures: a weight that is
    exactly 0 stays 0 all the same, a value more; the maximum has no gradient; a weight whose values
    are all on the grid stays as it is, so that twice is the same as once.

    Args:
        bits: 1 to 16, k of the paper.

    Raises:
        UsageError: bits outside 1..16.

    Examples:
        >>> step = DoReFa(bits=2)
        >>> step.fit(torch.tensor([-0.5, 0.1, 0.4]))
        >>> step(torch.tensor([-0.5, 0.1, 0.4]))
        tensor([-1.0000,  0.3333,  1.0000])
    """

    zero_beside: ClassVar[bool] = True
    """Whether 0 is a value beside the 2^bits of the grid."""
    learnt = ("scale", "reach")
    reach: Tensor | None
    """max|tanh w|; 1 of one bit."""

    def __init__(self, bits: int) -> None:
        check_bits(bits, least=1)
        super().__init__()
        self.bits = bits

    def fit(self, weight: Tensor) -> None:
        """E|w| of what is not zero for one bit, else max|tanh w|."""
        flat = weight.detach().float().reshape(1, -1)
        one = flat.new_ones(1)
        if self.bits == 1:
            self.scale, self.reach = safe_scale(mean_magnitude(flat)), one
        else:
            largest = flat.tanh().abs().amax(1) if flat.shape[1] else 0 * one
            self.scale, self.reach = one / (2**self.bits - 1), safe_scale(largest)

    def codes(self, weight: Tensor) -> Tensor:
        """Odd numbers up to ±(2^bits − 1), and 0 for 0."""
        weight = weight.detach()
        if self.bits == 1:
            return torch.sign(weight).to(torch.int32)
        own = self._odd(weight.float() / fitted(self, "scale").reshape(()), weight)
        if torch.equal(self.values(own).to(weight.dtype), weight):
            return own
        position = weight.float().tanh() / fitted(self, "reach").reshape(())
        return self._odd(position * (2**self.bits - 1), weight)

    def _odd(self, position: Tensor, weight: Tensor) -> Tensor:
        """The nearest odd numbers of the grid."""
        top = 2**self.bits - 1
        odd = torch.clamp(2 * torch.round((position + top) / 2) - top, -top, top)
        return (odd * (weight != 0)).to(torch.int32)

    def forward(self, weight: Tensor) -> Tensor:
        """The value of each weight, with the paper's gradient."""
        values = self.values(self.codes(weight)).to(weight.dtype)
        everywhere = torch.ones_like(weight, dtype=torch.bool)
        if self.bits == 1 or not weight.requires_grad:
            return straight_through(weight, values, everywhere)
        slope = 1 - weight.detach().float().tanh().square()
        slope = slope / fitted(self, "reach").reshape(())
        most = min(torch.finfo(dtype).max for dtype in (weight.dtype, slope.dtype))
        slope = slope.clamp(max=most).to(weight.dtype)
        return straight_through(weight * slope, values, everywhere)
