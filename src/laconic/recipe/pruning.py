"""Stages that make weights zero: how many, over what they are counted, and by which scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn

from laconic.errors import UsageError
from laconic.prune import SCOPES, Mask, Prune
from laconic.recipe.arguments import check_choices, with_arguments_of
from laconic.recipe.context import Arguments, Context, Layers, by_layer
from laconic.recipe.scoring import Choice, check_saliency, make_saliency, training_data
from laconic.represent import represent_layers, weights
from laconic.saliency import Magnitude, Scores
from laconic.train import Task, step_names
from laconic.train.optimizers import known


def prune_stage(
    context: Context,
    *,
    sparsity: float | dict[str, float],
    layers: Layers = "*",
    scope: str = "layer",
    saliency: Choice = "magnitude",
    examples: int = 1024,
) -> None:
    """Set the weights that matter least to zero: a fraction for all layers, or a table by pattern.

    Args:
        context: the run.
        sparsity: fraction of zeros, or ``{"conv*": 0.3, "fc*": 0.9}``.
        layers: which layers are pruned.
        scope: over what the zeros are counted, a key of `SCOPES`; a table is by layer already.
        saliency: what scores them, a key of `SALIENCIES`, or ``{kind = "random", seed = 3}``.
        examples: training examples that the saliency may look at.
    """
    steps: dict[str, Prune]
    if isinstance(sparsity, dict):
        chosen = by_layer(context.model, layers, {"sparsity": sparsity})
        scores = scores_of(context, list(chosen), saliency, examples)
        steps = {name: Prune(**own).by(scores[name]) for name, own in chosen.items()}
    else:
        names = list(weights(context.model, layers))
        scores = scores_of(context, names, saliency, examples)
        steps = SCOPES[scope].steps(context.model, scores, sparsity)
    represent_layers(context.model, steps)


def scores_of(context: Context, names: Sequence[str], saliency: Choice, examples: int) -> Scores:
    """Scores of these weights, the same in every process: those of the first one."""
    data = training_data(context, examples)
    scores = make_saliency(saliency).scores(context.model, names, data)
    return context.fabric.broadcast(scores)


def mask_stage(kind: str, step: type[Mask]) -> Callable[..., None]:
    """A stage that puts a mask on every matching layer, chosen by a saliency.

    Its arguments are the mask's own, which may be tables by pattern, and those of `prune_stage`.
    """

    def run(
        context: Context,
        *,
        layers: Layers = "*",
        saliency: Choice = "magnitude",
        examples: int = 1024,
        **arguments: Any,
    ) -> None:
        chosen = by_layer(context.model, layers, arguments)
        steps = {name: step(**own) for name, own in chosen.items()}
        if not isinstance(make_saliency(saliency), Magnitude):
            # A mask looks at magnitudes by itself, and may ask more of the weights: their σ.
            scores = scores_of(context, list(chosen), saliency, examples)
            for name, own_step in steps.items():
                own_step.by(scores[name])
        represent_layers(context.model, steps)

    return with_arguments_of(run, kind, step)


def check_prune(*, sparsity: float | dict[str, float], scope: str, **arguments: Any) -> None:
    """Raise what pruning would raise of these arguments."""
    known("scope", SCOPES, scope)
    if isinstance(sparsity, dict) and scope != "layer":
        raise UsageError(f"a table of sparsities is by layer; scope {scope!r} contradicts it")
    check_mask(Prune, sparsity=sparsity, **arguments)


def check_mask(
    step: type[Mask], *, layers: Layers, saliency: Choice, examples: int, **arguments: Any
) -> None:
    """Raise what the mask's constructor, or its saliency's, would raise of these arguments."""
    check_saliency(saliency, per_channel=False)
    if examples < 1:
        raise UsageError(f"a saliency looks at {examples} examples; it needs at least 1")
    check_choices(step, arguments)


def rehearse_mask(
    step: type[Mask], model: nn.Module, task: Task, *, layers: Layers, saliency: Choice,
    examples: int, scope: str = "layer", **arguments: Any,
) -> None:  # fmt: skip
    """Put the masks on, in place, chosen by magnitudes: shapes and counts must fit in any case."""
    if scope == "layer":
        chosen = by_layer(model, layers, arguments)
        represent_layers(model, {name: step(**own) for name, own in chosen.items()})


def _tables(arguments: Arguments) -> Arguments:
    """What names layers: a saliency may be a table too, but not by pattern."""
    return {k: v for k, v in arguments.items() if k not in ("saliency", "examples", "scope")}


MASKS = {kind: step for kind, step in step_names().items() if issubclass(step, Mask)}

STAGES: dict[str, Callable[..., None]] = {
    **{kind: mask_stage(kind, step) for kind, step in MASKS.items()},
    "prune": prune_stage,
}
CHECKS: dict[str, Callable[..., None]] = {
    **{kind: partial(check_mask, step) for kind, step in MASKS.items()},
    "prune": check_prune,
}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    kind: lambda arguments: [_tables(arguments)] for kind in MASKS
}

BY_VALUES = ("threshold", "quality-threshold")
"""Masks of which nothing is known before the weights are."""
REHEARSALS: dict[str, Callable[..., None]] = {
    kind: partial(rehearse_mask, step) for kind, step in MASKS.items() if kind not in BY_VALUES
}
