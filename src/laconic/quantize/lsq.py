"""LSQ: weights on a uniform grid whose step is trained with them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from laconic.quantize.learned_range import TINY, learned_step
from laconic.quantize.scaled import ScaledGrid
from laconic.quantize.uniform import check_bits
from laconic.represent import fitted


class LSQ(ScaledGrid):
    """``clamp(round(w / s), −2^(b−1), 2^(b−1) − 1) · s`` with a trained step s.

    Esser et al., arXiv:1902.08153, section 2: the gradient of s is ``round(w/s) − w/s`` inside the
    range, −Q_N below and Q_P above, times ``1 / √(N · Q_P)`` with N the number of weights; that of
    w is 1 inside and 0 outside. s begins at ``2⟨|w|⟩ / √Q_P``. Departures: the mean is over the
    weights that are not zero, so that pruning does not change it; where that step makes every
    weight 0, as with 2 bits those of one magnitude, s begins at ``max|w| / Q_P``.

    Args:
        bits: 2 to 16; the paper keeps the first and the last layer at 8.

    Raises:
        UsageError: bits outside 2..16.

    Examples:
        >>> step = LSQ(bits=3)
        >>> step.fit(torch.tensor([-3.0, 0.5, 1.0, 1.5]))
        >>> step(torch.tensor([-3.0, 0.5, 1.0, 1.5])).unique().numel() <= 8
        True
    """

    def __init__(self, bits: int) -> None:
        check_bits(bits)
        super().__init__()
        self.bits = bits
        del self._buffers["scale"]
        self.register_parameter("scale", None)

    @property
    def _ends(self) -> tuple[Tensor, Tensor]:
        device = fitted(self, "scale").device
        top = 2.0 ** (self.bits - 1)
        return torch.tensor(-top, device=device), torch.tensor(top - 1, device=device)

    def fit(self, weight: Tensor) -> None:
        """The paper's first step."""
        kept = weight[weight != 0].abs().double()
        mean = float(kept.mean()) if len(kept) else 1.0
        top = 2 ** (self.bits - 1) - 1
        step = max(TINY, 2 * mean / math.sqrt(top))
        self.scale = nn.Parameter(torch.tensor([step], device=weight.device))
        if len(kept) and not bool(self.codes(weight).any()):
            self.scale = nn.Parameter((kept.max().float() / top).clamp(min=TINY).reshape(1))

    def codes(self, weight: Tensor) -> Tensor:
        """Nearest codes (ties to even), saturating."""
        low, high = self._ends
        steps = torch.round(weight.detach().float() / self._step())
        return torch.clamp(steps, low, high).to(torch.int32)

    def values(self, codes: Tensor) -> Tensor:
        """float32(code) · s."""
        return codes.to(torch.float32) * self._step()

    def _step(self) -> Tensor:
        return fitted(self, "scale").detach().clamp(min=TINY).reshape(())

    def forward(self, weight: Tensor) -> Tensor:
        """The nearest grid value, with the paper's gradients of weight and step."""
        low, high = self._ends
        step = fitted(self, "scale").reshape(())
        values = learned_step(weight.float(), step, low, high, weight.numel())
        return (values + 0.0).to(weight.dtype)  # no minus zero

    def tables(self) -> dict[str, Tensor]:
        """``scale``, float32, and ``axis``, -1: one scale."""
        return {"scale": self._step().reshape(1), "axis": torch.tensor(-1)}
