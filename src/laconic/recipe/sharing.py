"""Stages that share weights: by whose importance errors are weighed, over which weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from laconic.errors import UsageError
from laconic.recipe.arguments import check_choices, with_arguments_of
from laconic.recipe.context import Arguments, Context, Layers, by_layer
from laconic.recipe.loop import check_training, train
from laconic.recipe.scoring import Choice, check_saliency, make_saliency, training_data
from laconic.represent import represent_layers, weights
from laconic.saliency import OBD, SALIENCIES, Fisher, Saliency, Scores, TrueFisher
from laconic.saliency.lifelong import Importance
from laconic.share import Codebook, Recluster, ShareNearest, plan_jointly
from laconic.train import step_names
from laconic.train.optimizers import known

OWN_ARGUMENTS = ("saliency", "examples", "damping", "scope")
"""Of the stages, not of their steps."""
SCOPES = {"layer": "a codebook for each weight", "global": "one codebook for all"}
HALF_SQUARES = (OBD, Fisher, TrueFisher)
"""Saliencies that are ½ h w²."""


def codebook_stage(kind: str, step: type[Codebook]) -> Callable[..., None]:
    """A stage that lets every matching layer share its weights.

    Its arguments are the step's own, which may be tables by pattern, and ``layers``, ``saliency``
    (the name of one that says how much a squared error matters, or a table), ``examples``
    (training examples that it may look at), ``damping`` (of these importances, see `damped`) and
    ``scope`` (a key of `SCOPES`).
    """

    def run(
        context: Context,
        *,
        layers: Layers = "*",
        scope: str = "layer",
        saliency: Choice | None = None,
        examples: int = 1024,
        damping: float = 0.1,
        **arguments: Any,
    ) -> None:
        chosen = by_layer(context.model, layers, arguments)
        steps = {name: step(**own) for name, own in chosen.items()}
        if saliency is not None:
            found = curvatures(context, list(steps), saliency, examples)
            found = damped(found, damping, together=scope == "global")
            for name, own_step in steps.items():
                own_step.by(found[name])
        if scope == "global":
            present = weights(context.model)
            plan_jointly(steps, {name: present[name] for name in steps})
        represent_layers(context.model, steps)

    return with_arguments_of(run, kind, step)


def share_while_training_stage(
    context: Context,
    *,
    bits: int | dict[str, int],
    epochs: int,
    layers: Layers = "*",
    start: str = "linear",
    every: int = 100,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
) -> None:
    """Train, cluster, tie, repeat: weights share values that training and clustering move.

    Args:
        context: the run.
        bits: of the codes, for all layers, or a table by pattern.
        epochs: of the training.
        layers: which share.
        start: of k-means, see `laconic.share.Share`.
        every: updates from clustering to clustering.
        learning_rate: and the others: see `laconic.train.fit`.
        optimizer: of the training.
        schedule: of the learning rate.
        weight_decay: of the training.
        clip_norm: of the gradients.
    """
    chosen = by_layer(context.model, layers, {"bits": bits})
    steps = {name: ShareNearest(own["bits"], start) for name, own in chosen.items()}
    represent_layers(context.model, steps)
    train(
        context,
        [Recluster(list(steps), every)],
        epochs=epochs,
        learning_rate=learning_rate,
        optimizer=optimizer,
        schedule=schedule,
        weight_decay=weight_decay,
        clip_norm=clip_norm,
    )


def check_share_while_training(
    *, bits: int | dict[str, int], start: str, every: int, layers: Layers, **arguments: Any
) -> None:
    """Raise what sharing while training would raise of these arguments."""
    check_training(**arguments)
    Recluster([], every)
    check_choices(ShareNearest, {"bits": bits, "start": start})


def curvatures(context: Context, names: list[str], saliency: Choice, examples: int) -> Scores:
    """How much a squared error of each weight matters: h, where the saliency is a function of h w².

    The same in every process. Where a weight is zero its h is given as 0.
    """
    measured = curved(saliency)
    if isinstance(measured, Importance):
        measured = type(measured)(**{**measured.configuration, "power": 0})
    scores = measured.scores(context.model, names, training_data(context, examples))
    if isinstance(measured, HALF_SQUARES):
        present = weights(context.model)
        for name in names:
            squares = present[name].double().square()
            scores[name] = torch.where(squares > 0, 2 * scores[name].double() / squares, 0.0)
    found: Scores = context.fabric.broadcast(scores)
    return found


def damped(importances: Scores, damping: float, *, together: bool) -> Scores:
    """h plus `damping` times its mean, over each weight or over all `together`.

    A departure from arXiv:1612.01543, which takes h as it is. The diagonal of a network that is
    trained to the end lies in few weights; all others then follow these anywhere, farther than a
    second derivative says anything. What is 0 throughout stays 0.

    Examples:
        >>> damped({"w": torch.tensor([0.0, 4.0])}, 0.5, together=False)["w"].tolist()
        [1.0, 5.0]
    """
    means = {name: float(own.double().mean()) for name, own in importances.items()}
    if together:
        count = sum(own.numel() for own in importances.values())
        total = sum(own.numel() * means[name] for name, own in importances.items())
        means = dict.fromkeys(means, total / max(1, count))
    return {name: own + damping * means[name] for name, own in importances.items()}


def curved(choice: Choice) -> Saliency:
    """The saliency of a recipe, once it is one that knows the curvature.

    Raises:
        UsageError: it does not; the message names those that do.
    """
    made = make_saliency(choice)
    kinds = (*HALF_SQUARES, Importance)
    if not isinstance(made, kinds):
        fitting = [name for name, kind in SALIENCIES.items() if issubclass(kind, kinds)]
        raise UsageError(
            f"{made} does not say how much a squared error matters; those that do: "
            f"{', '.join(fitting)}"
        )
    return made


def check_codebook(
    step: type[Codebook],
    *,
    layers: Layers,
    scope: str,
    saliency: Choice | None,
    examples: int,
    damping: float,
    **arguments: Any,
) -> None:
    """Raise what the step's constructor, or its saliency's, would raise of these arguments."""
    known("scope", SCOPES, scope)
    tables = [name for name, value in arguments.items() if isinstance(value, dict)]
    if scope == "global" and tables:
        raise UsageError(f"a table of {tables[0]} is by layer; scope 'global' contradicts it")
    if examples < 1:
        raise UsageError(f"a saliency looks at {examples} examples; it needs at least 1")
    if not 0 <= damping < float("inf"):
        raise UsageError(f"damping {damping:g} is negative or infinite; 0.1 is usual")
    if saliency is not None:
        check_saliency(saliency, per_channel=False)
        curved(saliency)
    check_choices(step, arguments)


def _tables(arguments: Arguments) -> Arguments:
    """What names layers."""
    return {k: v for k, v in arguments.items() if k not in OWN_ARGUMENTS}


CODEBOOKS = {kind: step for kind, step in step_names().items() if issubclass(step, Codebook)}

STAGES: dict[str, Callable[..., None]] = {
    **{kind: codebook_stage(kind, step) for kind, step in CODEBOOKS.items()},
    "share-while-training": share_while_training_stage,
}
CHECKS: dict[str, Callable[..., None]] = {
    **{kind: partial(check_codebook, step) for kind, step in CODEBOOKS.items()},
    "share-while-training": check_share_while_training,
}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    **{kind: lambda arguments: [_tables(arguments)] for kind in CODEBOOKS},
    "share-while-training": lambda arguments: [
        {key: arguments[key] for key in ("bits", "layers") if key in arguments}
    ],
}
