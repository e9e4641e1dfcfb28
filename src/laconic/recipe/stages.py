"""What a stage does: plain functions of a context and keyword arguments, by name in `STAGES`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import nn

from laconic.errors import PatternError, UsageError
from laconic.prune import SCOPES, Prune
from laconic.represent import Step, matches_layer, represent_layers, weights
from laconic.train import Progress, Task, fit, step_names

Layers = str | list[str]


@dataclass(frozen=True)
class Context:
    """What a stage works on."""

    model: nn.Module
    task: Task
    fabric: Fabric
    seed: int
    """Of this stage: the recipe's seed mixed with the stage's place."""
    checkpoint: Path | None
    """Where a long stage keeps its progress; gone when the stage is finished."""
    on_progress: Callable[[Progress], None] | None


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
    fit(
        context.model,
        context.task,
        epochs=epochs,
        learning_rate=learning_rate,
        optimizer=optimizer,
        schedule=schedule,
        weight_decay=weight_decay,
        seed=context.seed,
        fabric=context.fabric,
        checkpoint=context.checkpoint,
        on_progress=context.on_progress,
    )


def prune_stage(
    context: Context,
    *,
    sparsity: float | dict[str, float],
    layers: Layers = "*",
    scope: str = "layer",
) -> None:
    """Set the smallest weights to zero: a fraction for all layers, or a table by pattern.

    Args:
        context: the run.
        sparsity: fraction of zeros, or ``{"conv*": 0.3, "fc*": 0.9}``.
        layers: which layers a single fraction is for.
        scope: ``"layer"`` or ``"global"``; a table is by layer already.
    """
    if scope not in SCOPES:
        raise UsageError(f"no scope is named {scope!r}; there are: {', '.join(SCOPES)}")
    if isinstance(sparsity, dict):
        if scope != "layer":
            raise UsageError(f"a table of sparsities is by layer; scope {scope!r} contradicts it")
        chosen = by_layer(context.model, layers, {"sparsity": sparsity})
        represent_layers(context.model, {name: Prune(**a) for name, a in chosen.items()})
        return
    shares = SCOPES[scope](weights(context.model, layers), sparsity)
    represent_layers(context.model, {name: Prune(share) for name, share in shares.items()})


def step_stage(kind: str, step: type[Step]) -> Callable[..., None]:
    """A stage that puts `step` on every matching layer.

    Its arguments are the step's own and ``layers``; a table as a value gives each pattern its
    own: ``bits = {"conv*" = 8, "fc*" = 5}``.
    """

    def run(context: Context, *, layers: Layers = "*", **arguments: Any) -> None:
        chosen = by_layer(context.model, layers, arguments)
        represent_layers(context.model, {name: step(**a) for name, a in chosen.items()})

    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(step).parameters.values()
    ]
    parameters = inspect.signature(run).parameters
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameters["context"], parameters["layers"], *own]
    )
    run.__name__, run.__doc__ = kind, step.__doc__
    return run


def by_layer(
    model: nn.Module, layers: Layers, arguments: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """The arguments of each matching weight; tables by pattern are resolved, the last match wins.

    Raises:
        PatternError: a pattern matches no layer.
    """
    names = list(weights(model, layers))
    tables = {key: value for key, value in arguments.items() if isinstance(value, dict)}
    for table in tables.values():
        for pattern in table:
            if not any(matches_layer(pattern, name) for name in names):
                raise PatternError(pattern, [name.rpartition(".")[0] or name for name in names])
        names = [n for n in names if any(matches_layer(pattern, n) for pattern in table)]
    resolved = {}
    for name in names:
        own = dict(arguments)
        for key, table in tables.items():
            own[key] = [value for pattern, value in table.items() if matches_layer(pattern, name)][
                -1
            ]
        resolved[name] = own
    if not resolved:
        raise UsageError(f"the tables {sorted(tables)} have no layer in common")
    return resolved


STAGES: dict[str, Callable[..., None]] = {
    **{kind: step_stage(kind, step) for kind, step in step_names().items()},
    "fit": fit_stage,
    "prune": prune_stage,
    **{point.name: point.load() for point in entry_points(group="laconic.stages")},
}
"""Stages by name: every Step under its own, and those with a function of their own."""

__all__ = ["STAGES", "Context", "by_layer", "fit_stage", "prune_stage"]
