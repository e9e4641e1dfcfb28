"""Gradual pruning: the sparsity rises while the network trains, and masks may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.prune.magnitude import Prune, check_sparsity
from laconic.prune.scope import SCOPES
from laconic.represent import chains, fitted, plain_before, weights


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

    @property
    def steps(self) -> int:
        """Updates in the whole training."""
        ...

    @property
    def learning_rate(self) -> float:
        """Of this step."""
        ...


class Scorer(Protocol):
    """Scores weights again and again while the network trains; the lowest go first."""

    def __call__(self, model: nn.Module, names: list[str]) -> Mapping[str, Tensor]:
        """Scores of these weights, in their shapes, of a network without chains."""
        ...

    @property
    def configuration(self) -> dict[str, Any]:
        """What scores, as JSON data."""
        ...


class Magnitudes:
    """|w|."""

    @property
    def configuration(self) -> dict[str, Any]:
        """Its name."""
        return {"kind": "magnitude"}

    def __call__(self, model: nn.Module, names: list[str]) -> Mapping[str, Tensor]:
        """The magnitudes."""
        present = weights(model)
        return {name: present[name].abs() for name in names}


def cubic(initial: float, final: float, done: float) -> float:
    """``s_f + (s_i − s_f)(1 − done)³``, equation 1 of arXiv:1710.01878; `done` is cut to [0, 1].

    Examples:
        >>> cubic(0.0, 0.5, 0.5), cubic(0.2, 0.8, -3.0), cubic(0.2, 0.8, 1.0)
        (0.4375, 0.2, 0.8)
    """
    left = (1.0 - min(1.0, max(0.0, done))) ** 3
    return final * (1.0 - left) + initial * left


class Gradual:
    """A callback that chooses the masks of `Prune` steps again while the sparsity rises (AGP).

    Zhu, Gupta, arXiv:1710.01878, section 3. Every `frequency` updates from `begin` to `end` each
    weight's mask is chosen anew by the magnitudes of its **latent** values: a pruned weight comes
    back when kept ones have shrunk below it. Before `begin` the sparsity is `initial`; the update
    at `end` (a last, shorter interval where `frequency` does not divide the span) sets exactly
    the final one. Where a task gives fewer batches in a later epoch than in the first, a choice
    that would fall between its end and the next epoch is made at its end.

    The paper chooses in each layer by magnitudes; with `scores` another criterion sees the network
    as it would be without these masks, with `scope` the zeros are counted over several layers.

    Args:
        sparsities: weight name → final sparsity ``s_f``; each weight has a `Prune` in its chain.
        initial: ``s_i``; of weights that have more zeros already, those stay.
        begin: ``t₀``: a whole number of updates, or a fraction of the training.
        end: ``t₀ + nΔt``, likewise.
        frequency: ``Δt``, in updates.
        scope: a key of `SCOPES`; any but ``"layer"`` asks for the same sparsity of all.
        scores: what scores; the same in every process.

    Raises:
        UsageError: a sparsity outside [0, 1), one that falls, several with a `scope` over all, or
            a schedule that ends before it begins; in training also one that ends after it.

    Examples:
        >>> Gradual({"fc1.weight": 0.9}, begin=0.75, end=0.25)
        Traceback (most recent call last):
        ...
        laconic.errors.UsageError: the schedule begins at 0.75 and ends at 0.25; end must be larger
    """

    def __init__(
        self,
        sparsities: Mapping[str, float],
        *,
        initial: float = 0.0,
        begin: int | float = 0.0,
        end: int | float = 0.75,
        frequency: int = 100,
        scope: str = "layer",
        scores: Scorer | None = None,
    ) -> None:
        check_schedule(list(sparsities.values()), initial, begin, end, frequency)
        if scope not in SCOPES:
            raise UsageError(f"no scope is named {scope!r}; there are: {', '.join(SCOPES)}")
        if scope != "layer" and len(set(sparsities.values())) > 1:
            raise UsageError(f"sparsities by layer contradict the scope {scope!r}")
        self.sparsities = sparsities
        self.initial = initial
        self.begin = begin
        self.end = end
        self.frequency = frequency
        self.scope = scope
        self.scores = scores or Magnitudes()

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("initial", "begin", "end", "frequency", "scope")
        return {
            "sparsities": dict(self.sparsities),
            **{name: getattr(self, name) for name in names},
            "scores": self.scores.configuration,
        }

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Set the initial masks, before the first update alone."""
        begin, end = self.span(moment.steps)
        if moment.step == 0:
            self._choose(model, -begin / (end - begin))

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Choose the masks again when it is time."""
        begin, end = self.span(moment.steps)
        updates = min(moment.done, end)
        # The last choice that the schedule has up to here.
        choice = end if updates == end else updates - (updates - begin) % self.frequency
        if choice >= begin and choice > moment.step:
            self._choose(model, (choice - begin) / (end - begin))

    def span(self, steps: int) -> tuple[int, int]:
        """The updates after which pruning begins and ends, in a training of `steps`.

        Raises:
            UsageError: it ends after the training, or within its first interval.
        """
        begin, end = (
            place if isinstance(place, int) else round(place * steps)
            for place in (self.begin, self.end)
        )
        if end > steps:
            raise UsageError(
                f"the schedule ends at step {end}, but the training has {steps} steps; train "
                "longer, or give a fraction such as end = 0.75"
            )
        if end - begin < self.frequency:
            raise UsageError(
                f"the schedule goes from step {begin} to step {end}, less than one interval of "
                f"{self.frequency} steps, so nothing is gradual; lower frequency, or give "
                "fractions such as begin = 0.0 and end = 0.75"
            )
        return begin, end

    def _choose(self, model: nn.Module, done: float) -> None:
        found, steps = chains(model), {}
        for name in self.sparsities:
            own = [step for step in found.get(name, []) if isinstance(step, Prune)]
            if not own:
                raise UsageError(f"{name}: its chain has no Prune, whose mask could be chosen")
            steps[name] = own[-1]
        network = plain_before(model, steps)
        present = weights(network)
        scores = self.scores(network, list(steps))
        for name, kept in self._masks(network, scores, done).items():
            # In place: two names of a tied weight share the step, and the optimizer sees nothing.
            fitted(steps[name], "mask").copy_(kept.to(present[name].device) & (present[name] != 0))

    def _masks(
        self, network: nn.Module, scores: Mapping[str, Tensor], done: float
    ) -> dict[str, Tensor]:
        scope = SCOPES[self.scope]
        now = {name: cubic(self.initial, s, done) for name, s in self.sparsities.items()}
        if self.scope != "layer":
            return scope.masks(network, scores, next(iter(now.values())))
        return {
            name: mask
            for name, sparsity in now.items()
            for mask in scope.masks(network, {name: scores[name]}, sparsity).values()
        }


def check_schedule(
    finals: list[float], initial: float, begin: int | float, end: int | float, frequency: int
) -> None:
    """Refuse what no training could follow.

    Raises:
        UsageError: see `Gradual`.
    """
    check_sparsity(initial)
    for final in finals:
        check_sparsity(final)
        if final <= initial:
            raise UsageError(
                f"the sparsity goes from {initial:g} to {final:g}; the last must be the larger"
            )
    for name, place in (("begin", begin), ("end", end)):
        if not place >= 0 or (isinstance(place, float) and place > 1):
            raise UsageError(
                f"{name} is {place!r}; give a fraction of the training from 0.0 to 1.0, or a whole "
                "number of steps"
            )
    if type(begin) is type(end) and end <= begin:
        raise UsageError(
            f"the schedule begins at {begin!r} and ends at {end!r}; end must be larger"
        )
    if frequency < 1:
        raise UsageError(f"frequency is {frequency} steps; at least 1 is needed")
