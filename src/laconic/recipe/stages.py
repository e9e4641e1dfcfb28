"""What a stage does: plain functions of a context and keyword arguments, by name in `STAGES`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import entry_points
from typing import Any

from laconic.errors import UsageError
from laconic.recipe import (
    architecture,
    compensation,
    cutting,
    entropy,
    greedy,
    pruning,
    quantizing,
    rounding,
    sharing,
    smallest,
    training,
)
from laconic.recipe.arguments import check_choices, with_arguments_of
from laconic.recipe.context import Arguments, Context, Layers, by_layer
from laconic.represent import Step, represent_layers
from laconic.train import step_names

ENTRY_POINTS = "laconic.stages"
"""Other packages register their stages under this group: ``name = "package.module:function"``."""


def step_stage(kind: str, step: type[Step]) -> Callable[..., None]:
    """A stage that puts `step` on every matching layer.

    Its arguments are the step's own and ``layers``; a table as a value gives each pattern its
    own: ``bits = {"conv*" = 8, "fc*" = 5}``.
    """

    def run(context: Context, *, layers: Layers = "*", **arguments: Any) -> None:
        chosen = by_layer(context.model, layers, arguments)
        represent_layers(context.model, {name: step(**a) for name, a in chosen.items()})

    return with_arguments_of(run, kind, step)


def check_step(step: type[Step], *, layers: Layers, **arguments: Any) -> None:
    """Raise what the step's constructor would raise of these arguments."""
    check_choices(step, arguments)


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
    **pruning.STAGES,
    **quantizing.STAGES,
    **rounding.STAGES,
    **smallest.STAGES,
    **entropy.STAGES,
    **sharing.STAGES,
    **training.STAGES,
    **cutting.STAGES,
    **architecture.STAGES,
    **greedy.STAGES,
    **compensation.STAGES,
}
STAGES: dict[str, Callable[..., None]] = {**_OWN, **installed(_OWN)}
"""Stages by name: every Step under its own, and those with a function of their own."""

CHECKS: dict[str, Callable[..., None]] = {
    **{kind: partial(check_step, step) for kind, step in step_names().items()},
    **pruning.CHECKS,
    **quantizing.CHECKS,
    **rounding.CHECKS,
    **smallest.CHECKS,
    **entropy.CHECKS,
    **sharing.CHECKS,
    **training.CHECKS,
    **cutting.CHECKS,
    **architecture.CHECKS,
    **greedy.CHECKS,
    **compensation.CHECKS,
}
"""What a stage's arguments, defaults filled in, can be held against before there is a network."""

PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    **{kind: lambda arguments: [arguments] for kind in step_names()},
    **pruning.PATTERNS,
    **quantizing.PATTERNS,
    **rounding.PATTERNS,
    **smallest.PATTERNS,
    **entropy.PATTERNS,
    **sharing.PATTERNS,
    **training.PATTERNS,
    **cutting.PATTERNS,
    **architecture.PATTERNS,
    **compensation.PATTERNS,
}
"""Stage → the sets of arguments, ``layers`` and tables by pattern, that must match layers."""

LENGTHS: dict[str, Callable[..., None]] = {**training.LENGTHS}
"""What an epoch's number of steps can be held against: a function that counts them comes first."""

REHEARSALS: dict[str, Callable[..., None]] = {
    **pruning.REHEARSALS,
    **cutting.REHEARSALS,
    **greedy.REHEARSALS,
}
"""What a stage does to a network whose weights are not known yet: model and task come first."""

KEEP_SHAPES = {
    *step_names(), *pruning.STAGES, *quantizing.STAGES, *rounding.STAGES, *smallest.STAGES,
    *entropy.STAGES, *sharing.STAGES, *training.STAGES, *compensation.STAGES, "remove-layers",
    "recalibrate",
}  # fmt: skip
"""Stages behind which every weight has the shape that a rehearsal says."""

FILES: dict[str, tuple[str, ...]] = {**cutting.FILES}
"""Arguments of a stage that are files, whose content tells one run from another."""
