"""Stages that choose or learn masks while they train, and what follows from masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

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
from laconic.recipe.pruning import check_prune, scores_of
from laconic.recipe.scoring import Choice
from laconic.represent import represent_layers, weights
from laconic.saliency import Scores
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
    clip_norm: float | None = None,
    scope: str = "layer",
    saliency: Choice = "magnitude",
    examples: int = 1024,
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
        clip_norm: of the gradients.
        scope: over what the zeros are counted, a key of `SCOPES`; a table is by layer already.
        saliency: what scores, of the network as it would be without these masks; its cost is paid
            at each choice.
        examples: training examples that the saliency may look at.
    """
    chosen = by_layer(context.model, layers, {"sparsity": sparsity})
    finals = {name: arguments["sparsity"] for name, arguments in chosen.items()}
    gradual = Gradual(
        finals, initial=initial, begin=begin, end=end, frequency=frequency, scope=scope,
        scores=Scored(context, saliency, examples),
    )  # fmt: skip
    # Counted over several layers, the final sparsity of each is known at the end.
    alone = scope == "layer"
    masks = {name: Prune(final if alone else 0.0) for name, final in finals.items()}
    represent_layers(context.model, masks)
    train(
        context,
        [gradual],
        epochs=epochs,
        learning_rate=learning_rate,
        optimizer=optimizer,
        schedule=schedule,
        weight_decay=weight_decay,
        clip_norm=clip_norm,
    )
    if not alone:
        _say_what_is(context.model, list(finals))


@dataclass(frozen=True)
class Scored:
    """Scores of a saliency by its name, the same in every process: those of the first one."""

    context: Context
    saliency: Choice
    examples: int

    def __call__(self, model: nn.Module, names: list[str]) -> Scores:
        """Of a network that is not the run's own."""
        return scores_of(replace(self.context, model=model), names, self.saliency, self.examples)

    @property
    def configuration(self) -> dict[str, Any]:
        """The recipe's words."""
        return {"saliency": self.saliency, "examples": self.examples}


def _say_what_is(model: nn.Module, names: list[str]) -> None:
    """Give each weight a step with the sparsity that a scope over several left it."""
    present = weights(model)
    steps = {}
    for name in names:
        kept = present[name] != 0
        zeros = kept.numel() - int(kept.sum())
        share = zeros / kept.numel() if zeros < kept.numel() else 0.0
        steps[name] = Prune(share).by(kept.float())
    represent_layers(model, steps)


def check_agp(
    *,
    sparsity: float | dict[str, float],
    epochs: int,
    initial: float,
    begin: int | float,
    end: int | float,
    frequency: int,
    layers: Layers,
    scope: str,
    saliency: Choice,
    examples: int,
    **arguments: Any,
) -> None:
    """Raise what gradual pruning would raise of these arguments."""
    check_training(epochs=epochs, **arguments)
    check_prune(sparsity=sparsity, scope=scope, layers=layers, saliency=saliency, examples=examples)
    if epochs < 1:
        raise UsageError(f"epochs is {epochs}; gradual pruning needs 1 or more")
    check_schedule([], initial, begin, end, frequency)
    check_choices(
        lambda sparsity: check_schedule([sparsity], initial, begin, end, frequency),
        {"sparsity": sparsity},
    )


def check_agp_length(
    steps: Callable[[], int], *, epochs: int, initial: float, begin: int | float,
    end: int | float, frequency: int, **arguments: Any,
) -> None:  # fmt: skip
    """Raise what gradual pruning would raise of a training of so many steps an epoch."""
    Gradual({}, initial=initial, begin=begin, end=end, frequency=frequency).span(steps() * epochs)


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
