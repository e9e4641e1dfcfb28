"""Every Step there is, by name: those of this package and those that others install."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from laconic import prune, quantize, share
from laconic.errors import UsageError
from laconic.represent import Step

ENTRY_POINTS = "laconic.steps"
"""Other packages register their Steps under this group: ``name = "package.module:Class"``."""


@cache
def step_names() -> dict[str, type[Step]]:
    """Name in a recipe (``"prune"``) → class.

    Raises:
        UsageError: an installed package registers something that is no Step, or a name twice.

    Examples:
        >>> sorted({"affine", "prune", "share"} & set(step_names()))
        ['affine', 'prune', 'share']
    """
    found = {**prune.STEPS, **share.STEPS, **quantize.STEPS}
    for point in entry_points(group=ENTRY_POINTS):
        kind = point.load()
        if not (isinstance(kind, type) and issubclass(kind, Step)):
            raise UsageError(f"the entry point {point.name} = {point.value!r} is no Step")
        if point.name in found or kind.__name__ in {known.__name__ for known in found.values()}:
            raise UsageError(
                f"the entry point {point.name} = {point.value!r} takes a name that "
                "another Step has already"
            )
        found[point.name] = kind
    return found


def step_classes() -> dict[str, type[Step]]:
    """Class name (``"Prune"``, as `represent.description` writes it) → class."""
    return {kind.__name__: kind for kind in step_names().values()}
