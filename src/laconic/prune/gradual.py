"""Gradual pruning: the sparsity rises while the network trains, and masks may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

from laconic.errors import UsageError
from laconic.prune.magnitude import Prune, check_sparsity
from laconic.represent import chains, entering, fitted


class Moment(Protocol):
    """Where training stands; `laconic.train.Moment` is one."""

    @property
    def step(self) -> int:
        """Updates before this one, from 0."""
        ...

    @property
    def steps(self) -> int:
        """Updates in the whole training."""
        ...

    @property
    def learning_rate(self) -> float:
        """Of this step."""
        ...


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
    the final one, so that the chain is then what ``Prune(final).fit(latent)`` gives.

    Args:
        sparsities: weight name → final sparsity ``s_f``; each weight has a `Prune` in its chain.
        initial: ``s_i``; of weights that have more zeros already, those stay.
        begin: ``t₀``: a whole number of updates, or a fraction of the training.
        end: ``t₀ + nΔt``, likewise.
        frequency: ``Δt``, in updates.

    Raises:
        UsageError: a sparsity outside [0, 1), one that falls, or a schedule that ends before it
            begins; in training also one that ends after it.

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
    ) -> None:
        check_schedule(list(sparsities.values()), initial, begin, end, frequency)
        self.sparsities = sparsities
        self.initial = initial
        self.begin = begin
        self.end = end
        self.frequency = frequency

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("initial", "begin", "end", "frequency")
        return {"sparsities": dict(self.sparsities)} | {name: getattr(self, name) for name in names}

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Set the initial masks, before the first update alone."""
        begin, end = self.span(moment.steps)
        if moment.step == 0:
            self._choose(model, -begin / (end - begin))

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Choose the masks again when it is time."""
        begin, end = self.span(moment.steps)
        updates = moment.step + 1
        on_time = (updates - begin) % self.frequency == 0 or updates == end
        if begin <= updates <= end and on_time:
            self._choose(model, (updates - begin) / (end - begin))

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
        found = chains(model)
        for name, final in self.sparsities.items():
            steps = [step for step in found.get(name, []) if isinstance(step, Prune)]
            if not steps:
                raise UsageError(f"{name}: its chain has no Prune, whose mask could be chosen")
            now = Prune(cubic(self.initial, final, done))
            now.fit(entering(model, name, steps[-1]))
            # In place: two names of a tied weight share the step, and the optimizer sees nothing.
            fitted(steps[-1], "mask").copy_(fitted(now, "mask"))


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
        if place < 0 or (isinstance(place, float) and place > 1):
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
