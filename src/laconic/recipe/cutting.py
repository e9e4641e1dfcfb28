"""Stages that remove channels, neurons, heads and layers for real, and what follows a cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

from laconic.errors import StageError, UsageError
from laconic.measure.sensitivity import read_sensitivity
from laconic.recipe.arguments import check_choices
from laconic.recipe.context import Arguments, Context, Layers
from laconic.recipe.pruning import prune_stage, scores_of
from laconic.recipe.scoring import Choice, check_saliency, training_data
from laconic.represent import weights
from laconic.surgery import (
    Groups,
    Units,
    lowest_of_all,
    lowest_of_each,
    matching,
    outliers_of_each,
    recalibrate,
    remove,
    remove_dead,
    remove_layers,
    unfuse,
    unit_scores,
)
from laconic.surgery.choose import check_deviations, stays
from laconic.train import Task

CUT_SCOPES = ("group", "global")


def cut_stage(
    context: Context,
    *,
    fraction: float | dict[str, float],
    layers: Layers = "*",
    scope: str = "group",
    saliency: Choice = "l1",
    round_to: int = 1,
    examples: int = 1024,
) -> None:
    """Remove the channels, neurons or heads that score lowest, with all that is coupled to them.

    Attentions of torch are taken apart first (`laconic.surgery.unfuse`).

    Args:
        context: the run.
        fraction: of each group, or of all groups together; or a table by pattern.
        layers: patterns for layers whose rows make the channels.
        scope: ``"group"``: the fraction of each; ``"global"``: of all together.
        saliency: a saliency of channels, by name or as ``{kind = …, …}``.
        round_to: what stays of each group is a multiple of it.
        examples: how many training examples the saliency may look at.
    """
    unfuse(context.model)
    groups = Groups(context.model, context.task.example_input)
    wanted = _fractions(groups, fraction, layers)
    scores = group_scores(context, groups, wanted, saliency, examples)
    units: Units
    if scope == "global" and not isinstance(fraction, dict):
        units = lowest_of_all(groups, scores, fraction, round_to)
    else:
        units = lowest_of_each(scores, wanted, round_to)
    remove(context.model, context.task.example_input, units, groups)


def trim_stage(
    context: Context,
    *,
    layers: Layers = "*",
    saliency: Choice = "apoz",
    deviations: float = 1.0,
    round_to: int = 1,
    examples: int = 1024,
) -> None:
    """Remove what scores below its group's mean by more than a deviation (arXiv:1607.03250).

    Of APoZ, whose score is what is missing to 1: channels whose APoZ is above mean + σ. The paper
    trims a few layers, trains what is left, and so on: `trim` and `fit` in turns.

    Args:
        context: the run.
        layers: patterns for layers whose rows make the channels.
        saliency: a saliency of channels, by name or as ``{kind = …, …}``.
        deviations: how many.
        round_to: what stays of each group is a multiple of it, rounded up where there are so many.
        examples: how many training examples the saliency may look at.

    Raises:
        StageError: no channel of any group lies below.
        UsageError: a group is smaller than `round_to`.
    """
    unfuse(context.model)
    groups = Groups(context.model, context.task.example_input)
    names = chosen_groups(groups, layers)
    scores = group_scores(context, groups, names, saliency, examples)
    units = outliers_of_each(scores, deviations, round_to)
    if not units:
        raise StageError(
            f"none of the {sum(map(len, scores.values()))} channels scores below its group's mean "
            f"by more than {deviations:g} deviations; lower deviations, or leave the stage out"
        )
    remove(context.model, context.task.example_input, units, groups)


def group_scores(
    context: Context, groups: Groups, names: Iterable[str], saliency: Choice, examples: int
) -> dict[str, Tensor]:
    """Group → the scores of its units."""
    wanted = list(names)
    rows = scores_of(context, makers(context.model, groups, wanted), saliency, examples)
    scored = unit_scores(groups, rows)
    return {name: scored[name] for name in wanted}


def makers(model: nn.Module, groups: Groups, names: Iterable[str]) -> list[str]:
    """The weights whose rows make the channels of these groups."""
    known = weights(model)
    parts = [part for name in names for part in groups[name].slices if part.makes]
    return list(dict.fromkeys(part.tensor for part in parts if part.tensor in known))


def chosen_groups(groups: Groups, layers: Layers) -> list[str]:
    """The groups that patterns mean, in the order of the network.

    Raises:
        PatternError: a pattern matches no layer.
    """
    patterns = [layers] if isinstance(layers, str) else layers
    found = {name for pattern in patterns for name in matching(groups, pattern)}
    return [name for name in groups if name in found]


def _fractions(
    groups: Groups, fraction: float | dict[str, float], layers: Layers
) -> dict[str, float]:
    """Group → what is asked of it; with a table the last pattern that matches wins."""
    chosen = chosen_groups(groups, layers)
    if not isinstance(fraction, dict):
        return dict.fromkeys(chosen, fraction)
    found = {}
    for pattern, value in fraction.items():
        found.update(dict.fromkeys(matching(groups, pattern), value))
    return {name: found[name] for name in chosen if name in found}


def remove_layers_stage(context: Context, *, layers: list[str]) -> None:
    """Put an Identity in the place of whole modules: residual blocks, layers.

    Args:
        context: the run.
        layers: paths of modules, no patterns.
    """
    remove_layers(context.model, context.task.example_input, layers)


def rehearse_remove_layers(model: nn.Module, task: Task, *, layers: list[str]) -> None:
    """What the stage does, in place, so that what follows sees which layers there are."""
    remove_layers(model, task.example_input, layers)


def remove_dead_stage(context: Context, *, examples: int = 16) -> None:
    """Remove zero layers, filters of zeros and channels that nobody reads.

    Args:
        context: the run.
        examples: training examples on which the smaller network must compute the same.
    """
    inputs, _ = next(training_data(context, examples).batches())
    if not remove_dead(context.model, inputs):
        raise UsageError("nothing is dead: no unit of zeros could be spared")


def by_sensitivity_stage(
    context: Context, *, file: str, loss: float, saliency: Choice | None = None,
    examples: int = 1024,
) -> None:  # fmt: skip
    """Prune each layer as far as ``laconic sensitivity`` found that it loses no more than `loss`.

    Args:
        context: the run.
        file: what the analysis wrote; of weights, or of filters, which are then removed.
        loss: in the metric's unit, for each layer by itself.
        saliency: None: the one of the analysis.
        examples: training examples that the saliency may look at.
    """
    found = read_sensitivity(file)
    targets = found.targets(loss)
    scored_by = saliency or found.identity["saliency"]
    if found.identity["kind"] == "weights":
        prune_stage(context, sparsity=targets, saliency=scored_by, examples=examples)
    else:
        cut_stage(context, fraction=targets, saliency=scored_by, examples=examples)


def check_by_sensitivity(*, file: str, loss: float, saliency: Choice | None, examples: int) -> None:
    """Raise what the stage would raise of these arguments."""
    found = read_sensitivity(file)
    found.targets(loss)
    if saliency is not None:
        check_saliency(saliency, per_channel=found.identity["kind"] == "filters")
    check_examples(examples=examples)


def _layers_by_sensitivity(arguments: Arguments) -> list[Arguments]:
    """Of weights the layers of the analysis must be there; groups are known at the cut alone."""
    found = read_sensitivity(arguments["file"])
    if found.identity["kind"] != "weights":
        return []
    return [{"sparsity": found.targets(arguments["loss"])}]


def recalibrate_stage(context: Context, *, examples: int = 1024) -> None:
    """Measure the BatchNorm statistics again, on training examples.

    Args:
        context: the run.
        examples: how many.
    """
    recalibrate(context.model, (inputs for inputs, _ in training_data(context, examples).batches()))


def check_cut(
    *, fraction: float | dict[str, float], scope: str, saliency: Choice, round_to: int,
    examples: int, **arguments: Any,
) -> None:  # fmt: skip
    """Raise what the stage would raise of these arguments."""
    if scope not in CUT_SCOPES:
        raise UsageError(f"no scope is named {scope!r}; there are: {', '.join(CUT_SCOPES)}")
    if isinstance(fraction, dict) and scope != "group":
        raise UsageError(f"a table of fractions is by group; scope {scope!r} contradicts it")
    check_choices(_check_fraction, {"fraction": fraction})
    stays("a group", max(1, round_to), 0.0, round_to)
    check_saliency(saliency, per_channel=True)
    check_examples(examples=examples)


def check_trim(
    *, layers: Layers, saliency: Choice, deviations: float, round_to: int, examples: int
) -> None:
    """Raise what the stage would raise of these arguments."""
    check_deviations(deviations, round_to)
    check_saliency(saliency, per_channel=True)
    check_examples(examples=examples)


def _check_fraction(fraction: float) -> None:
    if not 0 <= fraction < 1:
        raise UsageError(f"fraction {fraction:g} is outside [0, 1)")


def check_examples(*, examples: int) -> None:
    """Refuse to look at nothing."""
    if examples < 1:
        raise UsageError(f"examples is {examples}; at least 1 is needed")


STAGES: dict[str, Callable[..., None]] = {
    "cut": cut_stage,
    "trim": trim_stage,
    "remove-layers": remove_layers_stage,
    "remove-dead": remove_dead_stage,
    "prune-by-sensitivity": by_sensitivity_stage,
    "recalibrate": recalibrate_stage,
}
CHECKS: dict[str, Callable[..., None]] = {
    "cut": check_cut,
    "trim": check_trim,
    "remove-dead": check_examples,
    "prune-by-sensitivity": check_by_sensitivity,
    "recalibrate": check_examples,
}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    "cut": lambda arguments: [
        {key: value for key, value in arguments.items() if key in ("fraction", "layers")}
    ],
    "prune-by-sensitivity": _layers_by_sensitivity,
    "trim": lambda arguments: [{"layers": arguments.get("layers", "*")}],
}
REHEARSALS: dict[str, Callable[..., None]] = {"remove-layers": rehearse_remove_layers}
"""What can be done to a copy of the network before the first stage, as it needs no training."""
FILES: dict[str, tuple[str, ...]] = {"prune-by-sensitivity": ("file",)}
"""Which arguments are files: a run knows them by what is in them."""
