"""Stages that prune while they train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from laconic.errors import UsageError
from laconic.prune import Gradual, Prune
from laconic.prune.gradual import check_schedule
from laconic.recipe.arguments import each_choice
from laconic.recipe.context import Arguments, Context, Layers, by_layer
from laconic.represent import represent_layers
from laconic.train import SCHEDULES, Callback, Objective, fit
from laconic.train.optimizers import known, make_optimizer


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
) -> None:
    """Train what the chains leave free (see `laconic.train.fit`)."""
    train(
        context,
        epochs=epochs,
        learning_rate=learning_rate,
        optimizer=optimizer,
        schedule=schedule,
        weight_decay=weight_decay,
    )


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


STAGES: dict[str, Callable[..., None]] = {"fit": fit_stage, "agp": agp_stage}
CHECKS: dict[str, Callable[..., None]] = {"fit": check_training, "agp": check_agp}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    "agp": lambda arguments: [
        {key: arguments[key] for key in ("sparsity", "layers") if key in arguments}
    ],
}
