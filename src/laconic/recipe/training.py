"""Stages that prune while they train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from laconic.errors import StageError, UsageError
from laconic.prune import (
    ACTIVATIONS,
    Gradual,
    Proximal,
    Prune,
    Threshold,
    WeightPenalty,
    check_strengths,
    drop_dead_neurons,
)
from laconic.prune.gradual import check_schedule
from laconic.recipe.arguments import each_choice
from laconic.recipe.context import Arguments, Context, Layers, by_layer
from laconic.recipe.rewind import Keep, check_rewind, kept_path, rewind_stage
from laconic.represent import represent_layers, weights
from laconic.train import SCHEDULES, Callback, Objective, Penalised, TaskLoss, fit
from laconic.train.optimizers import known, make_optimizer

Strengths = dict[str, float | dict[str, float]]
"""Norm → its strength on all weights, or by pattern."""


def train(
    context: Context,
    callbacks: Sequence[Callback] = (),
    objective: Objective | None = None,
    **arguments: Any,
) -> None:
    """`laconic.train.fit` with what the context says of seed, processes, checkpoint, progress."""
    fit(
        context.model,
        context.task,
        seed=context.seed,
        fabric=context.fabric,
        checkpoint=context.checkpoint,
        on_progress=context.on_progress,
        callbacks=callbacks,
        objective=objective,
        **arguments,
    )


def check_training(*, epochs: int, **arguments: Any) -> None:
    """Raise what training would raise of these arguments (see `laconic.train.fit`)."""
    known("schedule", SCHEDULES, arguments["schedule"])
    make_optimizer(
        nn.Linear(1, 1),
        arguments["optimizer"],
        arguments["learning_rate"],
        arguments["weight_decay"],
        {},
    )
    if epochs < 0:
        raise UsageError(f"epochs is {epochs}; 1 or more are needed")


def fit_stage(
    context: Context,
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
    penalties: Strengths | None = None,
    proximal: Strengths | None = None,
    keep_step: int | None = None,
) -> None:
    """Train what the chains leave free (see `laconic.train.fit`).

    Args:
        context: the run.
        epochs: and the next four: see `laconic.train.fit`.
        learning_rate: of the first step.
        optimizer: of the training.
        schedule: of the learning rate.
        weight_decay: of the training.
        penalties: norms added to the loss: name (`laconic.prune.REGULARISERS`) → strength, for
            all weights or by pattern: ``{l1 = 1e-5, filters = {"conv*" = 1e-4}}``.
        proximal: norms whose proximal step follows each update, likewise: exact zeros, which are
            held at zero from then on.
        keep_step: after so many updates the network is kept, for ``rewind`` to go back to.
    """
    model = context.model
    terms = [WeightPenalty(norm, own) for norm, own in by_norm(model, penalties)]
    steps = [Proximal(norm, own) for norm, own in by_norm(model, proximal)]
    keep = [] if keep_step is None else [Keep(keep_step, kept_path(context), context.fabric)]
    train(
        context,
        [*steps, *keep],
        Penalised(TaskLoss(), terms) if terms else None,
        epochs=epochs,
        learning_rate=learning_rate,
        optimizer=optimizer,
        schedule=schedule,
        weight_decay=weight_decay,
    )
    if steps:
        hold_zeros(model, steps)


def by_norm(model: nn.Module, given: Strengths | None) -> list[tuple[str, dict[str, float]]]:
    """The strength of each norm on each weight; L1 first.

    The proximal step of L1 and a group norm together is that of L1, then that of the groups
    (Simon et al., A Sparse-Group Lasso, 2013).
    """
    found = []
    for norm, strength in sorted((given or {}).items(), key=lambda item: item[0] != "l1"):
        chosen = by_layer(model, "*", {"strength": strength})
        found.append((norm, {name: own["strength"] for name, own in chosen.items()}))
    return found


def hold_zeros(model: nn.Module, steps: list[Proximal]) -> None:
    """Keep at zero what proximal steps made zero.

    Raises:
        StageError: they made nothing zero, or a whole layer.
    """
    present = weights(model)
    held = {}
    for step in steps:
        for name in step.strengths:
            zeros = int((present[name] == 0).sum())
            if zeros == present[name].numel() and step.norm != "depth":
                raise StageError(
                    f"{name}: all its {zeros} weights became zero; lower the strength of "
                    f"{step.norm} ({step.strengths[name]:g}), or leave this layer out"
                )
            if zeros:
                held[name] = Threshold(0.0)
    if not held:
        given = ", ".join(f"{step.norm} {max(step.strengths.values()):g}" for step in steps)
        raise StageError(f"the proximal steps made no weight zero; raise the strengths ({given})")
    represent_layers(model, held)


def check_fit(
    *,
    penalties: Strengths | None,
    proximal: Strengths | None,
    keep_step: int | None,
    optimizer: str,
    **arguments: Any,
) -> None:
    """Raise what training would raise of these arguments."""
    if keep_step is not None and keep_step < 1:
        raise UsageError(f"keep_step is {keep_step}; 1 is the first step")
    check_training(optimizer=optimizer, **arguments)
    for given in (penalties, proximal):
        for norm, strength in (given or {}).items():
            check_strengths(norm, [c["strength"] for c in each_choice({"strength": strength})])
    if proximal and optimizer != "sgd":
        raise UsageError(
            f"proximal steps leave no weight at zero with {optimizer!r}, which moves each by about "
            'the learning rate whatever its gradient; take optimizer = "sgd"'
        )


def drop_neurons_stage(context: Context, *, layers: list[str], activation: str = "relu") -> None:
    """Zero what is left of dead neurons (see `laconic.prune.drop_dead_neurons`).

    Args:
        context: the run.
        layers: in the order of the forward pass: ``["fc1", "fc2", "fc3"]``.
        activation: between them: ``"relu"`` or ``"none"``.
    """
    names = [name for layer in layers for name in weights(context.model, layer)]
    drop_dead_neurons(context.model, names, activation)


def check_drop_neurons(*, layers: list[str], activation: str) -> None:
    """Raise what dropping would raise of these arguments."""
    known("activation", ACTIVATIONS, activation)


def agp_stage(
    context: Context,
    *,
    sparsity: float | dict[str, float],
    epochs: int,
    layers: Layers = "*",
    initial: float = 0.0,
    begin: int | float = 0.0,
    end: int | float = 0.75,
    frequency: int = 100,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
) -> None:
    """Train while the sparsity rises along a cubic curve; pruned weights may come back until then.

    Args:
        context: the run.
        sparsity: at the end, for all layers, or a table by pattern.
        epochs: of the training.
        layers: which layers a single sparsity is for.
        initial: the sparsity before `begin`.
        begin: first choice of masks: a fraction of the stage, or a whole number of steps.
        end: last choice, likewise; later steps train what is left.
        frequency: steps from choice to choice.
        learning_rate: and the others: see `laconic.train.fit`.
        optimizer: of the training.
        schedule: of the learning rate.
        weight_decay: of the training.
    """
    chosen = by_layer(context.model, layers, {"sparsity": sparsity})
    finals = {name: arguments["sparsity"] for name, arguments in chosen.items()}
    gradual = Gradual(finals, initial=initial, begin=begin, end=end, frequency=frequency)
    represent_layers(context.model, {name: Prune(final) for name, final in finals.items()})
    train(
        context,
        [gradual],
        epochs=epochs,
        learning_rate=learning_rate,
        optimizer=optimizer,
        schedule=schedule,
        weight_decay=weight_decay,
    )


def check_agp(
    *,
    sparsity: float | dict[str, float],
    epochs: int,
    initial: float,
    begin: int | float,
    end: int | float,
    frequency: int,
    **arguments: Any,
) -> None:
    """Raise what gradual pruning would raise of these arguments."""
    check_training(epochs=epochs, **arguments)
    if epochs < 1:
        raise UsageError(f"epochs is {epochs}; gradual pruning needs 1 or more")
    finals = [choice["sparsity"] for choice in each_choice({"sparsity": sparsity})]
    check_schedule(finals, initial, begin, end, frequency)


STAGES: dict[str, Callable[..., None]] = {
    "fit": fit_stage,
    "agp": agp_stage,
    "drop-neurons": drop_neurons_stage,
    "rewind": rewind_stage,
}
CHECKS: dict[str, Callable[..., None]] = {
    "fit": check_fit,
    "agp": check_agp,
    "drop-neurons": check_drop_neurons,
    "rewind": check_rewind,
}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    "agp": lambda arguments: [
        {key: arguments[key] for key in ("sparsity", "layers") if key in arguments}
    ],
    "fit": lambda arguments: [
        {"strength": strength}
        for key in ("penalties", "proximal")
        for strength in arguments.get(key, {}).values()
    ],
    "drop-neurons": lambda arguments: [{"layers": layer} for layer in arguments["layers"]],
}
