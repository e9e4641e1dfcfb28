"""The stage `entropy`: training that pays for every bit of the file."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from laconic.errors import UsageError
from laconic.quantize import EntropyPenalty, Spaced
from laconic.recipe.context import Arguments, Context, Layers
from laconic.recipe.loop import check_training, train
from laconic.represent import Grid, chains, latents, matches_layer, represent_layers, weights
from laconic.train import Penalised, TaskLoss


def entropy_stage(
    context: Context,
    *,
    epochs: int,
    strength: float,
    ramp: float = 0.5,
    spacing: float = 0.5,
    rows: bool = False,
    layers: Layers = "*",
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "cosine",
    clip_norm: float | None = None,
) -> None:
    """Train with ``λ · bits`` in the loss (see `laconic.quantize.EntropyPenalty`).

    Parameters that are on no grid yet, biases too, get one of multiples of a spacing, which is
    trained with them.

    Args:
        context: the run.
        epochs: of the training.
        strength: λ, in the loss's unit for a bit; the loss is a mean over examples.
        ramp: part of the training over which λ rises.
        spacing: of the start, in standard deviations of each parameter. Too small a one has many
            integers that the rate must all draw in.
        rows: whether rows and columns have frequencies of their own.
        layers: whose parameters.
        learning_rate: and the others: see `laconic.train.fit`.
        optimizer: of the training.
        schedule: of the learning rate.
        clip_norm: of the gradients.
    """
    represent_layers(context.model, spaced_steps(context.model, layers, spacing))
    penalty = EntropyPenalty(strength, ramp, rows=rows)
    train(
        context,
        [penalty],
        Penalised(TaskLoss(), [penalty]),
        epochs=epochs,
        learning_rate=learning_rate,
        optimizer=optimizer,
        schedule=schedule,
        clip_norm=clip_norm,
    )


def spaced_steps(model: nn.Module, layers: Layers, deviations: float) -> dict[str, Spaced]:
    """A grid for each parameter that has none."""
    patterns = [layers] if isinstance(layers, str) else layers
    weights(model, layers)  # a pattern that matches no layer is an error
    on_grids = {
        name for name, steps in chains(model).items() if any(isinstance(s, Grid) for s in steps)
    }
    found = {}
    for name, value in latents(model).items():
        wanted = any(matches_layer(pattern, name) for pattern in patterns)
        if not wanted or name in on_grids or not value.is_floating_point():
            continue
        largest = float(value.detach().abs().max()) if value.numel() else 0.0
        deviation = float(value.detach().float().std()) if value.numel() > 1 else largest
        # At most the largest magnitude, which is to be no zero; a parameter of zeros has none.
        found[name] = Spaced(min(deviations * deviation, largest) or largest or 1.0)
    return found


def check_entropy(
    *, epochs: int, strength: float, ramp: float, spacing: float, rows: bool, layers: Layers,
    **arguments: object,
) -> None:  # fmt: skip
    """Raise what the stage would raise of these arguments."""
    check_training(epochs=epochs, weight_decay=0.0, **arguments)  # type: ignore[arg-type]
    EntropyPenalty(strength, ramp, rows=rows)
    if epochs < 1:
        raise UsageError(f"epochs is {epochs}; entropy-penalised training needs 1 or more")
    if not spacing > 0:
        raise UsageError(f"spacing {spacing:g} is not positive; 0.5 deviations is usual")


STAGES: dict[str, Callable[..., None]] = {"entropy": entropy_stage}
CHECKS: dict[str, Callable[..., None]] = {"entropy": check_entropy}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    "entropy": lambda arguments: [{key: arguments[key] for key in ("layers",) if key in arguments}]
}
