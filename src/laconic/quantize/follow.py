"""Grids that go with their latent weights while these train: scales chosen anew at each update."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from laconic.represent import chains, latents


class Moment(Protocol):
    """Where training stands; `laconic.train.Moment` is one."""

    @property
    def step(self) -> int:
        """Updates before this one, from 0."""
        ...

    @property
    def done(self) -> int:
        """Updates that are made after this one, as the schedule counts."""
        ...


class Follower:
    """A part of a Step that `Follow` tells of each update; each method may be overridden."""

    def draw(self, weight: Tensor, generator: Generator) -> None:
        """Before the forward pass: what is random in it, for a latent weight of this shape."""

    def settle(self) -> None:
        """After the update: forget what was drawn."""

    def confined(self, latent: Tensor, moment: Moment) -> Tensor:
        """After the update: the latent weight with which training goes on."""
        return latent

    def follow(self, weight: Tensor, moment: Moment) -> None:
        """After that: learn again from the weight that comes into the step; by default `fit`."""
        self.fit(weight)  # type: ignore[attr-defined]


class Follow:
    """A callback for networks whose chains have a `Follower`: they learn again at each update.

    A threshold or a scale that a paper derives from the present weights (α of XNOR-Net, Δ of TWN)
    is what `fit` derives from them; a stochastic sign draws before each step; latent weights stay
    inside what a grid confines them to. The training stages of recipes add it by themselves.

    Args:
        seed: of what is drawn; the same seed and step give the same draws in every process.

    Examples:
        >>> from laconic.quantize import Binary
        >>> from laconic.represent import represent
        >>> from laconic.train import Moment
        >>> layer = nn.Linear(2, 1)
        >>> step = represent(layer, Binary())
        >>> _ = nn.init.constant_(layer.parametrizations.weight.original, -3.0)
        >>> Follow().after_step(layer, Moment(0, 1, 10, 0, 0.1))
        >>> layer.weight.tolist()  # α of the latent weights, which were confined to ±1
        [[-1.0, -1.0]]
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @property
    def configuration(self) -> dict[str, Any]:
        """The seed."""
        return {"seed": self.seed}

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Draw, on the CPU, so that draws do not depend on the device."""
        generator = Generator().manual_seed((self.seed * 1_000_003 + moment.step) % 2**63)
        found = latents(model)
        for name, steps in chains(model).items():
            for step in steps:
                if isinstance(step, Follower):
                    step.draw(found[name].detach(), generator)

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Confine the latent weights, then let each step learn from what comes into it."""
        found = latents(model)
        with torch.no_grad():
            for name, steps in chains(model).items():
                own = [step for step in steps if isinstance(step, Follower)]
                for step in own:
                    step.settle()
                    found[name].copy_(step.confined(found[name], moment))
                weight = found[name].detach()
                for part in steps if own else ():
                    if isinstance(part, Follower):
                        part.follow(weight, moment)
                    weight = part(weight)


def has_followers(model: nn.Module) -> bool:
    """Whether `Follow` would have anything to do."""
    return any(isinstance(step, Follower) for steps in chains(model).values() for step in steps)
