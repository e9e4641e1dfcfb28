"""Stages that choose or learn masks while they train, and what follows from masks."""

from __future__ import annotations

from typing import Any

from laconic.errors import UsageError
from laconic.prune import (
    ACTIVATIONS,
    Draw,
    Gradual,
    Prune,
    Supermask,
    drop_dead_neurons,
    settle,
    supermasks,
)
from laconic.prune.gradual import check_schedule
from laconic.recipe.arguments import check_choices
from laconic.recipe.context import Context, Layers, by_layer
from laconic.recipe.loop import check_training, train
from laconic.represent import represent_layers, weights
from laconic.train.optimizers import known


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
    check_schedule([], initial, begin, end, frequency)
    check_choices(
        lambda sparsity: check_schedule([sparsity], initial, begin, end, frequency),
        {"sparsity": sparsity},
    )


def supermask_stage(
    context: Context,
    *,
    epochs: int,
    layers: Layers = "*",
    learning_rate: float = 0.2,
    optimizer: str = "adam",
    schedule: str = "cosine",
) -> None:
    """Learn which signs of each weight to keep; nothing but the scores is trained.

    Args:
        context: the run.
        epochs: and the others: see `laconic.train.fit`.
        layers: which get a mask; all other parameters stand still too.
        learning_rate: of the scores, which are of the order of 1.
        optimizer: of the scores.
        schedule: of the learning rate.
    """
    model = context.model
    represent_layers(model, {name: Supermask() for name in weights(model, layers)})
    scores = {id(step.scores) for step in supermasks(model)}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in scores]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        train(
            context,
            [Draw(context.seed)],
            epochs=epochs,
            learning_rate=learning_rate,
            optimizer=optimizer,
            schedule=schedule,
        )
        settle(model, context.seed)
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def check_supermask(*, epochs: int, layers: Layers, **arguments: Any) -> None:
    """Raise what learning a mask would raise of these arguments."""
    check_training(epochs=epochs, weight_decay=0.0, **arguments)


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
