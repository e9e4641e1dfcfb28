"""Bits as a term of the loss: what an entropy coder would take for the integers of a network."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.quantize.spaced import Spaced
from laconic.represent import chains, entering, latents

LEAST_SLOPE = 0.05
"""Bits that a larger magnitude costs more at the least: the rate never stops the shrinking."""


class Moment(Protocol):
    """Where training stands; `laconic.train.Moment` is one."""

    @property
    def step(self) -> int:
        """Updates before this one, from 0."""
        ...

    @property
    def steps(self) -> int:
        """Of the whole training."""
        ...


class EntropyPenalty:
    """``λ · bits`` of all weights on a `Spaced` grid: entropy-penalised training.

    Oktay, Ballé, Singh, Shrivastava, "Scalable Model Compression by Entropy Penalized
    Reparameterization", arXiv:1906.06624: latent integers, a density for each tensor learned along
    with them, and the loss plus λ times ``Σ −log₂ p``. A weight is zero with 1 − ν; else it has a
    sign and a magnitude k with ``(1 − θ) θ^(k−1)``. ν and θ are those under which the present
    integers are shortest, in closed form at every step.

    Departures. The paper's density is a small network that is trained, and noise stands for
    rounding; here rounding is straight-through (`Spaced`) and bits are interpolated linearly
    between integers, so that a latent weight between them is drawn to the nearer zero. A density
    without a form, a histogram say, finds itself confirmed by values at ±1 and ±2 and stops
    drawing them in; this one costs more the larger the magnitude.

    With `rows`, the ν of a matrix is a product of one for its row and one for its column (in a
    convolution: output and input channel): in a row that is nearly empty another weight costs more,
    so that rows and columns empty whole, which an adaptive coder sees.

    It is a Penalty and a Callback at once: as such it raises λ along the training.

    Args:
        strength: λ, in the loss's unit for a bit.
        ramp: part of the training over which λ rises from 0.
        rows: whether rows and columns have frequencies of their own.

    Raises:
        UsageError: a strength that is not positive, or a ramp outside [0, 1].

    Examples:
        >>> from laconic.represent import represent
        >>> layer = nn.Linear(4, 1, bias=False)
        >>> with torch.no_grad():
        ...     _ = layer.weight.copy_(torch.tensor([[0.0, 0.0, 0.0, 1.0]]))
        >>> _ = represent(layer, Spaced(1.0))
        >>> round(EntropyPenalty(1.0)(layer).item(), 1)  # 3 zeros and a one
        4.6
    """

    def __init__(self, strength: float, ramp: float = 0.5, *, rows: bool = False) -> None:
        if not (strength > 0 and math.isfinite(strength)):
            raise UsageError(f"strength {strength:g} is not positive; 1e-5 a bit is usual")
        if not 0 <= ramp <= 1:
            raise UsageError(f"ramp {ramp:g} is outside [0, 1]: a part of the training")
        self.strength = strength
        self.ramp = ramp
        self.rows = rows
        self.present = strength
        """λ as it is now."""

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"strength": self.strength, "ramp": self.ramp, "rows": self.rows}

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """λ rises in a straight line until the ramp is over."""
        done = moment.step / max(1, moment.steps)
        self.present = self.strength * (min(1.0, done / self.ramp) if self.ramp else 1.0)

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Nothing."""

    def __call__(self, model: nn.Module) -> Tensor:
        """The term, a scalar with a gradient."""
        found = [self.bits(latent, step) for latent, step in spaced_latents(model)]
        if not found:
            raise UsageError("no weight is on a grid that is Spaced; there are no bits to count")
        return self.present * torch.stack(found).sum()

    def bits(self, latent: Tensor, step: Spaced) -> Tensor:
        """Of one weight on its grid, interpolated between integers."""
        position = (latent.float() / step.log_spacing.exp()).abs()  # type: ignore[union-attr]
        with torch.no_grad():
            zero, first, next_ = prices(torch.round(position), rows=self.rows)
        inner = position.clamp(max=1)
        return (zero + first * inner + next_ * (position - inner)).sum()


def prices(magnitudes: Tensor, *, rows: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """What integers cost under the density that suits them: bits of zero, of one more, of another.

    A magnitude k costs ``zero`` if it is 0, else ``zero + first + (k − 1) · next``.

    Args:
        magnitudes: of the integers, any shape.
        rows: whether each index of the first two dimensions has a frequency of its own; the
            results then broadcast over the rest.

    Examples:
        >>> zero, first, more = prices(torch.tensor([0.0, 0.0, 0.0, 1.0]))
        >>> round(2 ** -zero.item(), 2)  # the share of zeros, half a count more of each kind
        0.7
    """
    nonzero = (magnitudes > 0).float()
    count = nonzero.sum()
    share = (count + 0.5) / (nonzero.numel() + 1)
    if rows and magnitudes.ndim > 1:
        share = _by_row(nonzero, share)
    # θ = 1 − 1/mean of the magnitudes that are not zero, with one more of magnitude 1.5.
    theta = 1 - (count + 1) / (magnitudes.sum() + 1.5)
    theta = theta.clamp(0.01, 0.99)
    zero = -torch.log2(1 - share)
    one = -torch.log2(share) + 1 - torch.log2(1 - theta)
    return zero, (one - zero).clamp(min=LEAST_SLOPE), (-torch.log2(theta)).clamp(min=LEAST_SLOPE)


def _by_row(nonzero: Tensor, share: Tensor) -> Tensor:
    """ν of each place: that of its row times that of its column over that of all.

    Each is drawn to the overall share by one count, so that an empty row is not impossible.
    """
    both = nonzero.flatten(2).sum(2) if nonzero.ndim > 2 else nonzero
    each = nonzero[0, 0].numel() if nonzero.numel() else 1
    row = (both.sum(1) + share) / (both.shape[1] * each + 1)
    column = (both.sum(0) + share) / (both.shape[0] * each + 1)
    found = (row[:, None] * column / share).clamp(1e-6, 0.98)
    return found.reshape(*found.shape, *[1] * (nonzero.ndim - 2))


def spaced_latents(model: nn.Module) -> list[tuple[Tensor, Spaced]]:
    """Every weight whose chain ends on a `Spaced` grid: what comes into it, and the grid.

    Behind a mask that is the masked latent weight, with its gradient.
    """
    found = []
    own = latents(model)
    for name, steps in chains(model).items():
        if isinstance(steps[-1], Spaced):
            value: Tensor = own[name]
            for step in steps[:-1]:
                value = step(value)
            found.append((value, steps[-1]))
    return found


def total_bits(model: nn.Module, *, rows: bool = False) -> float:
    """Bits of the present integers under the density that suits each weight.

    Args:
        model: with weights on `Spaced` grids.
        rows: see `EntropyPenalty`.
    """
    total = 0.0
    for name, steps in chains(model).items():
        last = steps[-1]
        if isinstance(last, Spaced):
            magnitudes = last.codes(entering(model, name, last)).abs().float()
            zero, first, more = prices(magnitudes, rows=rows)
            inner = magnitudes.clamp(max=1)
            total += float((zero + first * inner + more * (magnitudes - inner)).sum())
    return total
