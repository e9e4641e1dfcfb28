"""What a stage does: plain functions of a context and keyword arguments, by name in `STAGES`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import entry_points
from types import GenericAlias
from typing import Any

from laconic.errors import UsageError
from laconic.prune import SCOPES, Prune
from laconic.recipe import training
from laconic.recipe.arguments import each_choice, parameters_of
from laconic.recipe.context import Arguments, Context, Layers, by_layer
from laconic.represent import Step, represent_layers, weights
from laconic.train import step_names
from laconic.train.optimizers import known

ENTRY_POINTS = "laconic.stages"
"""Other packages register their stages under this group: ``name = "package.module:function"``."""


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
        scope: a key of `SCOPES`; a table is by layer already.
    """
    if isinstance(sparsity, dict):
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
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=_or_table(parameter))
        for parameter in parameters_of(step).values()
    ]
    parameters = inspect.signature(run, eval_str=True).parameters
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameters["context"], parameters["layers"], *own]
    )
    run.__name__, run.__doc__ = kind, step.__doc__
    return run


def _or_table(parameter: inspect.Parameter) -> Any:
    own = parameter.annotation
    if own is inspect.Parameter.empty or isinstance(own, str):
        return Any
    return own | GenericAlias(dict, (str, own))


def check_prune(*, sparsity: float | dict[str, float], scope: str, **arguments: Any) -> None:
    """Raise what pruning would raise of these arguments."""
    known("scope", SCOPES, scope)
    if isinstance(sparsity, dict) and scope != "layer":
        raise UsageError(f"a table of sparsities is by layer; scope {scope!r} contradicts it")
    for choice in each_choice({"sparsity": sparsity}):
        Prune(**choice)


def check_step(step: type[Step], *, layers: Layers, **arguments: Any) -> None:
    """Raise what the step's constructor would raise of these arguments."""
    for choice in each_choice(arguments):
        step(**choice)


def installed(own: Iterable[str]) -> dict[str, Callable[..., None]]:
    """Stages that other packages register, by name.

    Args:
        own: names that are taken.

    Raises:
        UsageError: an entry point is no function, or takes a name that is taken.
    """
    found: dict[str, Callable[..., None]] = {}
    for point in entry_points(group=ENTRY_POINTS):
        function = point.load()
        if not callable(function):
            raise UsageError(f"the entry point {point.name} = {point.value!r} cannot be called")
        if point.name in own or point.name in found:
            raise UsageError(
                f"the entry point {point.name} = {point.value!r} takes a name that another stage "
                "has already"
            )
        found[point.name] = function
    return found


_OWN: dict[str, Callable[..., None]] = {
    **{kind: step_stage(kind, step) for kind, step in step_names().items()},
    "prune": prune_stage,
    **training.STAGES,
}
STAGES: dict[str, Callable[..., None]] = {**_OWN, **installed(_OWN)}
"""Stages by name: every Step under its own, and those with a function of their own."""

CHECKS: dict[str, Callable[..., None]] = {
    **{kind: partial(check_step, step) for kind, step in step_names().items()},
    "prune": check_prune,
    **training.CHECKS,
}
"""What a stage's arguments, defaults filled in, can be held against before there is a network."""

PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    **{kind: lambda arguments: [arguments] for kind in step_names()},
    **training.PATTERNS,
}
"""Stage → the sets of arguments, ``layers`` and tables by pattern, that must match layers."""
