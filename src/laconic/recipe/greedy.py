"""The stage that removes a few channels at a time while it trains (Fisher pruning)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.recipe.context import Context, Layers
from laconic.recipe.cutting import check_cut, chosen_groups, makers
from laconic.recipe.loop import check_training
from laconic.recipe.pruning import scores_of
from laconic.recipe.scoring import Choice
from laconic.surgery import Cut, Groups, Units, remove, unfuse, unit_scores
from laconic.surgery.cut import without
from laconic.surgery.remove import set_zero
from laconic.train import Moment, Shortened, Task, fit


class HoldZero:
    """A callback that keeps what a cut will take away at zero."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Nothing."""

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Momentum and weight decay of removed weights go nowhere."""
        set_zero(model, self.cut)

    @property
    def configuration(self) -> dict[str, Any]:
        """Which tensors."""
        return {"tensors": sorted(self.cut.tensors)}


def greedy_cut_stage(
    context: Context,
    *,
    fraction: float,
    layers: Layers = "*",
    saliency: Choice = "fisher-channels",
    per_round: int = 1,
    steps: int = 100,
    learning_rate: float = 8e-4,
    optimizer: str = "sgd",
    weight_decay: float = 0.0,
    examples: int = 512,
) -> None:
    """Train some steps, remove the channels that matter least, and so on (arXiv:1801.05787).

    Theis, Korshunova, Tejani, Huszár: the channel with the lowest Fisher score of all layers goes,
    the scores are measured anew. The paper accumulates them over the training steps; here they are
    measured on `examples` at the end of each round. ``{kind = "fisher-channels", mac_price = …}``
    is its FLOP term.

    Args:
        context: the run.
        fraction: of the units of all groups together.
        layers: patterns for layers whose rows make the channels.
        saliency: of channels.
        per_round: units that go at a time.
        steps: of training between; at most those of an epoch.
        learning_rate: the paper's released settings by default.
        optimizer: of each round, begun anew.
        weight_decay: as in `fit`.
        examples: training examples that the saliency looks at in each round.
    """
    unfuse(context.model)
    groups = Groups(context.model, context.task.example_input)
    names = chosen_groups(groups, layers)
    scored = makers(context.model, groups, names)
    wanted = _wanted(groups, names, fraction)
    gone: dict[str, list[int]] = {}
    cut = Cut()
    for number in range(-(-wanted // per_round)):
        fit(
            context.model,
            Shortened(context.task, train_batches=steps),
            epochs=1,
            learning_rate=learning_rate,
            optimizer=optimizer,
            weight_decay=weight_decay,
            seed=context.seed + number,
            fabric=context.fabric,
            callbacks=[HoldZero(cut)],
            on_progress=context.on_progress,
        )
        rows = scores_of(context, scored, saliency, examples)
        count = min(per_round, wanted - sum(map(len, gone.values())))
        _extend(gone, unit_scores(groups, rows), names, count)
        cut, _ = without(groups, gone)
        set_zero(context.model, cut)
    units: Units = {name: sorted(indices) for name, indices in gone.items()}
    remove(context.model, context.task.example_input, units, groups)


def _extend(
    gone: dict[str, list[int]], scores: dict[str, Tensor], names: list[str], count: int
) -> None:
    """Add the `count` lowest of all units that are left, in place; one of each group stays."""
    for _ in range(count):
        lowest: list[tuple[float, str, int]] = []
        for name in names:
            own = scores[name].clone()
            own[gone.get(name, [])] = torch.inf
            if len(gone.get(name, [])) < len(own) - 1:
                place = int(own.argmin())
                lowest.append((float(own[place]), name, place))
        _, name, place = min(lowest, key=lambda one: one[0])
        gone.setdefault(name, []).append(place)


def _wanted(groups: Groups, names: list[str], fraction: float) -> int:
    """How many units go.

    Raises:
        UsageError: more than there are without one of each group.
    """
    total = sum(groups[name].size for name in names)
    wanted = round(fraction * total)
    if wanted > total - len(names):
        raise UsageError(
            f"fraction {fraction:g} of the {total} units of {', '.join(names)} is {wanted}; one of "
            f"each group stays, so at most {total - len(names)} can go; ask for a smaller fraction"
        )
    return wanted


def rehearse_greedy(
    model: nn.Module, task: Task, *, fraction: float, layers: Layers, **arguments: Any
) -> None:
    """Count the units that would go."""
    unfuse(model)
    groups = Groups(model, task.example_input)
    _wanted(groups, chosen_groups(groups, layers), fraction)


def check_greedy(
    *, fraction: float, saliency: Choice, per_round: int, steps: int, examples: int,
    learning_rate: float, optimizer: str, weight_decay: float, **arguments: Any,
) -> None:  # fmt: skip
    """Raise what the stage would raise of these arguments."""
    check_cut(fraction=fraction, scope="global", saliency=saliency, round_to=1, examples=examples)
    if per_round < 1 or steps < 1:
        raise UsageError(f"per_round is {per_round} and steps is {steps}; both must be 1 or more")
    check_training(
        epochs=1, schedule="constant", learning_rate=learning_rate, optimizer=optimizer,
        weight_decay=weight_decay,
    )  # fmt: skip


STAGES: dict[str, Callable[..., None]] = {"greedy-cut": greedy_cut_stage}
CHECKS: dict[str, Callable[..., None]] = {"greedy-cut": check_greedy}
REHEARSALS: dict[str, Callable[..., None]] = {"greedy-cut": rehearse_greedy}
