"""Saliencies in recipes: by name, or as a table with arguments; their training examples."""

from __future__ import annotations

from typing import Any

from laconic.errors import UsageError
from laconic.recipe.arguments import check_arguments
from laconic.recipe.context import Context
from laconic.represent import plain_state
from laconic.saliency import SALIENCIES, ChannelSum, Data, Saliency
from laconic.train.optimizers import known

Choice = str | dict[str, Any]
"""``"wanda"``, or ``{kind = "ewc", importance = "fisher"}``."""


def make_saliency(choice: Choice) -> Saliency:
    """The saliency that a recipe names.

    Raises:
        UsageError: there is none of that name, or it has no such argument.

    Examples:
        >>> make_saliency("magnitude"), make_saliency({"kind": "random", "seed": 3})
        (Magnitude(), Random(seed=3))
    """
    arguments = {"kind": choice} if isinstance(choice, str) else dict(choice)
    kind = arguments.pop("kind", None)
    if not isinstance(kind, str):
        raise UsageError(f"a saliency is a name, or a table with its name as kind, not {choice!r}")
    made = known("saliency", SALIENCIES, kind)
    check_arguments(kind, made, arguments)
    if made is ChannelSum and (of := str(arguments.get("of", "magnitude"))) in SALIENCIES:
        inner: Any = arguments.get("arguments") or {}
        check_arguments(f"{kind} of {of}", SALIENCIES[of], inner)
    return made(**arguments)


def check_saliency(choice: Choice, *, per_channel: bool) -> None:
    """Raise what `make_saliency` would, or that it scores weights where channels are asked for.

    Raises:
        UsageError: see there; the message names those that fit.
    """
    made = make_saliency(choice)
    if made.per_channel != per_channel:
        what, others = ("channels", "weights") if made.per_channel else ("weights", "channels")
        fitting = [name for name, kind in SALIENCIES.items() if kind.per_channel == per_channel]
        raise UsageError(f"{made} scores {what}; here {others} go, by: {', '.join(fitting)}")


def training_data(context: Context, examples: int) -> Data:
    """The training examples that a stage may look at, and the weights that the run began with.

    Of what was cut since, those that are left: criteria compare place by place.
    """
    start = context.start_as_cut()
    initial = None if start is None else plain_state(start)
    return Data(context.task, examples, context.seed, initial)
