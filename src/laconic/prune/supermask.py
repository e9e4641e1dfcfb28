"""Masks that are learned while the weights stand still."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from laconic.prune.gradual import Moment
from laconic.represent import Grid, chains, fitted, straight_through
from laconic.represent.step import FileForm


class Supermask(Grid):
    """Keeps a learned part of the signs of a weight, all with one magnitude: values −α, 0 and α.

    Zhou, Lan, Liu, Yosinski, arXiv:1905.01067, section 5: each place has a score s and is kept
    with probability σ(s), m ~ Bern(σ(s)); the gradient of m is taken for that of σ(s) (straight
    through). The weight stands still and counts by its sign alone (signed constant), times its
    deviation and the dynamic rescale, α = deviation · (number of weights) / (number kept), which
    the gradient does not pass. Scores begin at 0; those of zeros are −∞.

    `Draw`, a callback, draws the mask before each step of a training, so that every process and
    a training that was killed have the same one. Without a draw, and in eval mode always, a place
    is kept where σ(s) ≥ ½, which `settle` makes the outcome of one draw; from then on the scores
    get no gradient, so that what trains the rest keeps the mask. Departures: the deviation
    is about 0, not about the mean; the paper averages accuracies over several draws, but a file
    holds one network, so there is one mask.

    Examples:
        >>> weight, step = torch.tensor([1.0, -1.0, 1.0, -1.0]), Supermask()
        >>> step.fit(weight)
        >>> _ = step.scores.data.copy_(torch.tensor([3.0, -3.0, -3.0, 3.0]))
        >>> step(weight).tolist()
        [2.0, 0.0, 0.0, -2.0]
    """

    form: ClassVar[FileForm] = "uniform"
    learnt = ("scores", "deviation", "settled")
    placed = ("scores",)
    scores: nn.Parameter | None
    deviation: Tensor | None
    settled: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("scores", None)
        self.register_buffer("deviation", None)
        self.register_buffer("settled", None)
        self.drawn: Tensor | None = None
        """What `Draw` drew for the present step; no part of the state."""

    def fit(self, weight: Tensor) -> None:
        """Scores of 0, not settled, and the root mean square of the values that are not zero."""
        present = weight != 0
        squares = weight[present].double().square()
        self.deviation = (squares.sum() / max(1, len(squares))).sqrt().float()
        self.settled = torch.tensor(False, device=weight.device)
        self.scores = nn.Parameter(torch.where(present, 0.0, -torch.inf).to(weight.dtype))

    @property
    def kept(self) -> Tensor:
        """True where a place is kept: as drawn in training, where σ(s) ≥ ½ otherwise."""
        if self.training and self.drawn is not None and not fitted(self, "settled"):
            return self.drawn
        return fitted(self, "scores").detach() >= 0

    @property
    def scale(self) -> Tensor:
        """α, float32, a scalar."""
        scores = fitted(self, "scores").detach()
        rescale = (scores > -torch.inf).sum() / self.kept.sum().clamp(min=1)
        finest = torch.finfo(scores.dtype)
        # Not 0, nor what an engine or the weight's dtype would take for 0.
        smallest = max(torch.finfo(torch.float32).tiny, finest.tiny * finest.eps)
        return (fitted(self, "deviation") * rescale).clamp(min=smallest)

    def codes(self, weight: Tensor) -> Tensor:
        """The signs of what is kept."""
        return (torch.sign(weight.detach()) * self.kept).to(torch.int32)

    def values(self, codes: Tensor) -> Tensor:
        """float32(code) · α."""
        return codes.to(torch.float32) * self.scale

    def tables(self) -> dict[str, Tensor]:
        """``scale``, float32, one; ``axis``, -1 for one scale."""
        return {"scale": self.scale.reshape(1), "axis": torch.tensor(-1)}

    def forward(self, weight: Tensor) -> Tensor:
        """The signed constant where it is kept; a gradient goes to scores that are not settled."""
        values = self.values(self.codes(weight)).to(weight.dtype)
        if fitted(self, "settled"):
            return values
        signed = torch.sign(weight.detach()) * self.scale.to(weight.dtype)
        expected = torch.sigmoid(fitted(self, "scores")) * signed
        return straight_through(expected, values, torch.ones_like(self.kept))


class Draw:
    """A callback that draws the masks of every `Supermask` before each step.

    Args:
        seed: of all draws; the same seed and step give the same masks.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @property
    def configuration(self) -> dict[str, Any]:
        """The seed."""
        return {"seed": self.seed}

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Draw; on the CPU, so that masks do not depend on the device."""
        generator = Generator().manual_seed((self.seed * 1_000_003 + moment.step) % 2**63)
        for step in supermasks(model):
            probability = torch.sigmoid(fitted(step, "scores").detach())
            draw = torch.rand(probability.shape, generator=generator)
            step.drawn = draw.to(probability.device) < probability

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Forget the draw."""
        for step in supermasks(model):
            step.drawn = None


def settle(model: nn.Module, seed: int) -> None:
    """Make one last draw of every `Supermask` that is not settled the mask that stays, in place.

    A score near 0 says that a place may be kept or not; σ(s) ≥ ½ for all of them keeps too many
    of one kind together (29 % errors on MNIST where a draw has 5.7 %). The signs of the scores
    become those of the draw, their magnitudes stay.

    Args:
        model: after training.
        seed: of the draw.
    """
    generator = Generator().manual_seed(seed % 2**63)
    with torch.no_grad():
        for step in supermasks(model):
            if fitted(step, "settled"):
                continue
            scores = fitted(step, "scores")
            draw = torch.rand(scores.shape, generator=generator).to(scores.device)
            size = scores.abs().clamp(min=1e-6)
            scores.copy_(torch.where(draw < torch.sigmoid(scores), size, -size))
            fitted(step, "settled").fill_(True)


def supermasks(model: nn.Module) -> list[Supermask]:
    """Every Supermask of a model, in the order of its weights."""
    return [step for steps in chains(model).values() for step in steps if type(step) is Supermask]
