"""Weights of one bit: signs, alone or times a mean magnitude."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from laconic.quantize.follow import Follower, Moment
from laconic.quantize.scaled import ScaledGrid, by_scale, safe_scale
from laconic.represent import fitted, straight_through


class Sign(Follower, ScaledGrid):
    """Replaces each weight by its sign, ±1; trained further, deterministic BinaryConnect.

    Courbariaux, Bengio, David, arXiv:1511.00363, equation 1: the gradient of the sign is taken for
    that of the latent weight, which `Follow` confines to [−1, 1] after each update (section 2.4);
    outside, the gradient is 0. Weight decay leaves the latent weights alone. Departures: a weight
    that is exactly 0 stays 0 (the paper's sign(0) is +1), so that pruned weights stay pruned; no
    learning rate is scaled by the layer's initialisation (section 2.5).

    Examples:
        >>> step = Sign()
        >>> step.fit(torch.zeros(3))
        >>> step(torch.tensor([-0.3, 0.0, 2.0]))
        tensor([-1.,  0.,  1.])
    """

    decays = False

    def __init__(self) -> None:
        super().__init__()

    def fit(self, weight: Tensor) -> None:
        """The scale is 1."""
        self.scale = torch.ones(1, device=weight.device)

    def codes(self, weight: Tensor) -> Tensor:
        """The signs."""
        return torch.sign(weight.detach()).to(torch.int32)

    def forward(self, weight: Tensor) -> Tensor:
        """±1, straight through where the latent weight is in [−1, 1]."""
        values = self.values(self.codes(weight)).to(weight.dtype)
        return straight_through(weight, values, weight.detach().abs() <= 1)

    def confined(self, latent: Tensor, moment: Moment) -> Tensor:
        """Cut to [−1, 1]."""
        return latent.clamp(-1, 1)


class StochasticSign(Sign):
    """Draws ±1 in training, +1 with p = clip((w + 1)/2, 0, 1); the sign otherwise (BinaryConnect).

    Courbariaux, Bengio, David, arXiv:1511.00363, equations 2 and 3. `Follow` draws before each
    step, so that every process and a training that was killed have the same signs; without it, and
    in eval mode always, this is `Sign`. BatchNorm has seen what was drawn: measure its statistics
    again behind the training (stage ``recalibrate``). Departure: the paper tests this form with the
    latent weights; a file of signs is tested with the signs (its first method).

    Examples:
        >>> step = StochasticSign()
        >>> step.fit(torch.zeros(1))
        >>> step.draw(torch.zeros(4), Generator().manual_seed(0))
        >>> step(torch.tensor([0.2, 0.2, -0.2, 0.0]))
        tensor([ 1., -1.,  1.,  0.])
    """

    def __init__(self) -> None:
        super().__init__()
        self.drawn: Tensor | None = None
        """Uniform numbers for the present step; no part of the state."""

    def draw(self, weight: Tensor, generator: Generator) -> None:
        """A number in [0, 1) for each place."""
        self.drawn = torch.rand(weight.shape, generator=generator).to(weight.device)

    def settle(self) -> None:
        """Back to the sign."""
        self.drawn = None

    def codes(self, weight: Tensor) -> Tensor:
        """The signs, or those drawn; 0 for 0."""
        if not self.training or self.drawn is None:
            return super().codes(weight)
        up = self.drawn < (weight.detach().float() + 1) / 2
        return torch.where(up, 1, -1).mul(weight.detach() != 0).to(torch.int32)


class Binary(Follower, ScaledGrid):
    """Replaces each weight by α · sign(w), α the mean magnitude: binary-weight networks.

    Rastegari et al., XNOR-Net, arXiv:1603.05279, section 3.1: α = ‖W‖₁ / n is the best scale for
    the signs. With ``axis = 0`` each filter has its own, as there. In training `Follow` chooses α
    anew from the latent weights after each update and confines these to [−1, 1]; the gradient is
    the paper's, ``∂C/∂w = ∂C/∂w̃ · (1/n + α · 1_{|w| < 1})``, in which α is differentiated for its
    own weight alone. With ``released`` training is that of the authors' code: the gradient times
    ``n · (1 − 1/c)``, c the input channels (left out where there is one), and latent weights are
    centred over the input channels after each update. Weight decay leaves them alone. Departure: a
    weight that is exactly 0 stays 0 and does not count in α.

    Args:
        axis: one α for each index of this axis; None: one for all.
        released: train as the authors' code does.

    Raises:
        UsageError: a negative axis, or one that the weight does not have.

    Examples:
        >>> step = Binary(axis=0)
        >>> step.fit(torch.tensor([[1.0, -3.0], [0.5, 0.0]]))
        >>> step(torch.tensor([[1.0, -3.0], [0.5, 0.0]]))
        tensor([[ 2.0000, -2.0000],
                [ 0.5000,  0.0000]])
    """

    decays = False

    def __init__(self, axis: int | None = None, released: bool = False) -> None:
        super().__init__(axis)
        self.released = released

    def fit(self, weight: Tensor) -> None:
        """α: the mean magnitude of what is not zero."""
        self.scale = safe_scale(mean_magnitude(by_scale(weight, self.axis).flatten(1)))

    def codes(self, weight: Tensor) -> Tensor:
        """The signs."""
        return torch.sign(weight.detach()).to(torch.int32)

    def forward(self, weight: Tensor) -> Tensor:
        """±α, with the gradient of the paper, or of its code."""
        values = self.values(self.codes(weight)).to(weight.dtype)
        if not weight.requires_grad:
            return values
        latent = weight.detach()
        count = latent.numel() / max(1, fitted(self, "scale").numel())
        alpha = self._shaped("scale", latent.ndim).to(latent.dtype)
        factor = 1 / max(1, count) + alpha * (latent.abs() < 1)
        if self.released:
            channels = latent.shape[1] if latent.ndim > 1 else 1
            factor = factor * count * (1 - 1 / channels if channels > 1 else 1.0)
        return straight_through(weight * factor, values, torch.ones_like(latent, dtype=torch.bool))

    def confined(self, latent: Tensor, moment: Moment) -> Tensor:
        """Cut to [−1, 1]; as released, centred over the input channels first."""
        if self.released and latent.ndim > 1 and latent.shape[1] > 1:
            latent = latent - latent.mean(1, keepdim=True)
        return latent.clamp(-1, 1)


class Ternary(Follower, ScaledGrid):
    """Replaces each weight by −α, 0 or α: ternary weight networks.

    Li, Zhang, Liu, arXiv:1605.04711, equations 4 to 6: what is at most Δ = 0.7 · mean|w| in
    magnitude becomes 0, α is the mean magnitude of the rest. In training `Follow` chooses both anew
    after each update; the gradient passes to every latent weight. Departure: weights that are
    exactly 0 do not count in the mean, or pruning would lower Δ.

    Args:
        axis: one Δ and α for each index of this axis (0: for each filter); None: one for all.

    Raises:
        UsageError: a negative axis, or one that the weight does not have.

    Examples:
        >>> step = Ternary()
        >>> step.fit(torch.tensor([-1.0, 0.2, 1.8, 1.0]))
        >>> step(torch.tensor([-1.0, 0.2, 1.8, 0.5]))  # Δ is 0.7
        tensor([-1.2667,  0.0000,  1.2667,  0.0000])
    """

    learnt = ("scale", "threshold")
    threshold: Tensor | None
    """Δ, float64."""

    def __init__(self, axis: int | None = None) -> None:
        super().__init__(axis)

    def fit(self, weight: Tensor) -> None:
        """Δ from all weights, α from those beyond it."""
        flat = by_scale(weight, self.axis).flatten(1)
        threshold = 0.7 * mean_magnitude(flat, torch.float64)
        beyond = flat.double().abs() > threshold[:, None]
        self.threshold = threshold
        self.scale = safe_scale(mean_magnitude(flat * beyond))

    def codes(self, weight: Tensor) -> Tensor:
        """The signs of what is beyond Δ."""
        beyond = weight.detach().double().abs() > self._shaped("threshold", weight.ndim)
        return (torch.sign(weight.detach()) * beyond).to(torch.int32)

    def forward(self, weight: Tensor) -> Tensor:
        """−α, 0 or α, straight through everywhere."""
        values = self.values(self.codes(weight)).to(weight.dtype)
        return straight_through(weight, values, torch.ones_like(weight, dtype=torch.bool))


def mean_magnitude(flat: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Of what is not zero in each row ``[rows, n]``; 0 where nothing is.

    In float64: the mean of equal floats is that float, so that a second fit changes nothing.
    """
    total = flat.double().abs().sum(1)
    return (total / (flat != 0).sum(1).clamp(min=1)).to(dtype)
