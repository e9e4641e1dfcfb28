"""Grids whose steps do not depend on the weights: WRPN, fixed point, dynamic fixed point."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.quantize.follow import Follower, Moment
from laconic.quantize.scaled import LinearGrid
from laconic.quantize.uniform import MAX_BITS, check_bits


class FixedGrid(LinearGrid):
    """A linear grid with one scale that a subclass gives."""

    def set_range(self, weight: Tensor, scale: float, lowest: int, highest: int) -> None:
        """Take this scale and these codes.

        Raises:
            UsageError: an end is beyond the weight's dtype.
        """
        for end in (lowest, highest):
            if not torch.isfinite(torch.tensor(end * scale).to(weight.dtype)):
                raise UsageError(
                    f"{self} reaches from {lowest * scale:g} to {highest * scale:g}, beyond "
                    f"{weight.dtype}"
                )
        self.scale = torch.full((1,), scale, device=weight.device)
        self.lowest = torch.full((1,), lowest, dtype=torch.int32, device=weight.device)
        self.highest = torch.full((1,), highest, dtype=torch.int32, device=weight.device)


class WRPN(FixedGrid):
    """Cuts weights to [−1, 1] and rounds magnitudes to ``bits − 1`` bits: wide networks.

    Mishra, Nurvitadhi, Cook, Marr, arXiv:1709.01134, section 4: ``w = round(clip(w, −1, 1) ·
    (2^(k−1) − 1)) / (2^(k−1) − 1)``, gradients straight through. The scale is that of the range,
    not of the weights: what is below half a step becomes 0, so that a layer in front of a BatchNorm
    may want to be multiplied first, which that takes back. The paper widens layers (2 to 3 times
    the filters) to win back what low precision loses; the zoo has wide networks.

    Args:
        bits: 2 to 16, k of the paper.

    Raises:
        UsageError: bits outside 2..16; every weight would become 0.

    Examples:
        >>> step = WRPN(bits=3)
        >>> step.fit(torch.ones(1))
        >>> step(torch.tensor([0.5, -0.7, 0.1, 9.0]))
        tensor([ 0.6667, -0.6667,  0.0000,  1.0000])
    """

    def __init__(self, bits: int) -> None:
        check_bits(bits)
        super().__init__()
        self.bits = bits

    def fit(self, weight: Tensor) -> None:
        """The same grid for every weight."""
        top = 2 ** (self.bits - 1) - 1
        self.set_range(weight, 1 / top, -top, top)
        refuse_zeros(weight, self(weight.detach()), f"half a step is {0.5 / top:g}; take more bits")


class FixedPoint(FixedGrid):
    """Qm.n: a sign, m integer and n fraction bits; steps of 2^−n, saturating.

    Codes from −2^(m+n) to 2^(m+n) − 1 (two's complement); rounding to nearest, ties to even.

    Args:
        integer_bits: m; below 0 where all weights are small (Q−2.9 reaches ±1/4).
        fraction_bits: n.

    Raises:
        UsageError: ``1 + m + n`` bits outside 2..16; every weight would become 0.

    Examples:
        >>> step = FixedPoint(integer_bits=1, fraction_bits=2)
        >>> step.fit(torch.ones(1))
        >>> step(torch.tensor([0.6, -5.0, 5.0]))
        tensor([ 0.5000, -2.0000,  1.7500])
    """

    def __init__(self, integer_bits: int, fraction_bits: int) -> None:
        bits = 1 + integer_bits + fraction_bits
        if not 2 <= bits <= MAX_BITS or abs(fraction_bits) > 100:
            raise UsageError(
                f"Q{integer_bits}.{fraction_bits} has {bits} bits with its sign, outside "
                f"2..{MAX_BITS}"
            )
        super().__init__()
        self.integer_bits = integer_bits
        self.fraction_bits = fraction_bits

    def fit(self, weight: Tensor) -> None:
        """The same grid for every weight."""
        reach = 2 ** (self.integer_bits + self.fraction_bits)
        step = 2.0**-self.fraction_bits
        self.set_range(weight, step, -reach, reach - 1)
        cure = f"half a step is {step / 2:g}; take more fraction bits"
        refuse_zeros(weight, self(weight.detach()), cure)


class DynamicFixedPoint(Follower, FixedGrid):
    """Fixed point whose range follows the weights by powers of two while they train.

    Courbariaux, Bengio, David, arXiv:1412.7024, sections 5 and 7: a group of numbers, here one
    weight, shares a scaling factor. Where more than `overflow` of them lie beyond the range, it is
    doubled; where no more than that would lie beyond half of it, it is halved; looked at after
    every `every` updates. Weights have `bits` in propagation and `update_bits` in updates: in
    training `Follow` rounds the latent weight to that finer grid of the same range. Departures: the
    first range is the smallest that keeps the overflow (the paper trains in high precision for it);
    overflow is counted in the weight that the update leaves, not over all updates since; outputs
    and gradients are not rounded here.

    Args:
        bits: of propagation, 2 to 16.
        update_bits: of updates, from `bits` to 24.
        overflow: the largest share beyond the range, r_max.
        every: updates from look to look; the paper's 10,000 examples are 100 batches of 100.

    Raises:
        UsageError: an argument out of range.

    Examples:
        >>> step = DynamicFixedPoint(bits=3)
        >>> step.fit(torch.tensor([0.9, -0.3]))
        >>> step(torch.tensor([0.9, -0.3, -7.0]))
        tensor([ 0.7500, -0.2500, -1.0000])
    """

    def __init__(
        self, bits: int = 10, update_bits: int = 12, overflow: float = 1e-4, every: int = 100
    ) -> None:
        check_bits(bits)
        if not bits <= update_bits <= MAX_UPDATE_BITS:
            raise UsageError(f"update_bits {update_bits} is outside {bits}..{MAX_UPDATE_BITS}")
        if not 0 <= overflow < 1:
            raise UsageError(f"overflow {overflow:g} is outside [0, 1); the paper has 1e-4")
        if every < 1:
            raise UsageError(f"every is {every} updates; at least 1 is needed")
        super().__init__()
        self.bits = bits
        self.update_bits = update_bits
        self.overflow = overflow
        self.every = every

    def fit(self, weight: Tensor) -> None:
        """The smallest range, a power of two, beyond which no more than `overflow` lie."""
        magnitudes = weight.detach().float().abs().flatten().sort(descending=True).values
        beyond = int(self.overflow * len(magnitudes))
        largest = float(magnitudes[beyond]) if len(magnitudes) else 0.0
        # The largest code is a step below the range; below 2^-126 are subnormal numbers.
        exponent = math.frexp(largest)[1] if largest else 0
        self._set_exponent(weight, max(exponent, LEAST + self.bits))

    def _set_exponent(self, weight: Tensor, exponent: int) -> None:
        reach = 2 ** (self.bits - 1)
        self.set_range(weight, 2.0**exponent / reach, -reach, reach - 1)

    @property
    def exponent(self) -> int:
        """The range is ±2^exponent."""
        return round(math.log2(float(self._shaped("scale", 0)))) + self.bits - 1

    def confined(self, latent: Tensor, moment: Moment) -> Tensor:
        """Double or halve the range when it is time, then round to the grid of updates."""
        exponent = self.exponent
        if moment.done % self.every == 0 and latent.numel():
            magnitudes = latent.float().abs()
            if self._share(magnitudes, exponent) > self.overflow:
                self._set_exponent(latent, exponent + 1)
            elif (
                exponent > LEAST + self.bits
                and self._share(magnitudes, exponent - 1) <= self.overflow
            ):
                self._set_exponent(latent, exponent - 1)
        reach = 2 ** (self.update_bits - 1)
        step = math.ldexp(1.0, self.exponent - self.update_bits + 1)
        codes = torch.round(latent.float() / step).clamp(-reach, reach - 1)
        return (codes * step).to(latent.dtype)

    @staticmethod
    def _share(magnitudes: Tensor, exponent: int) -> float:
        return float((magnitudes > 2.0**exponent).float().mean())

    def follow(self, weight: Tensor, moment: Moment) -> None:
        """Nothing: the range is chosen before latent weights are rounded."""


MAX_UPDATE_BITS = 24
LEAST = -126
"""No step is a subnormal number, which an engine may take for 0."""


def refuse_zeros(weight: Tensor, restricted: Tensor, cure: str) -> None:
    """Refuse a grid on which nothing is left.

    Raises:
        UsageError: the weight has other values than 0, and what was made of it has none.
    """
    if bool(weight.any()) and not bool(restricted.any()):
        raise UsageError(
            f"all {weight.numel()} weights would be 0: the largest magnitude is "
            f"{float(weight.detach().abs().max()):g}, {cure}"
        )
