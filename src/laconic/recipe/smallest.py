"""The stage `smallest`: spacings of all parameters from one price of a bit, found by bisection."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from torch import nn

from laconic.errors import StageError, UsageError
from laconic.recipe.context import Arguments, Context, Layers
from laconic.recipe.loop import check_training, train
from laconic.recipe.survey import survey
from laconic.represent.plain import with_chains
from laconic.train import evaluate

DOUBLINGS = 12
"""How often the price is doubled, or halved, before the search gives up."""
SLACK = 3.0
"""How many times the drop is allowed before a training that is to win it back."""
HALVINGS = 4
"""Of the interval, in the logarithm, once both ends are known: the price to a twelfth."""


def smallest_stage(
    context: Context,
    *,
    drop: float,
    layers: Layers = "*",
    examples: int = 512,
    damping: float = 0.01,
    epochs: int = 0,
    learning_rate: float = 1e-4,
) -> None:
    """Round every parameter to multiples of a spacing of its own, as coarsely as `drop` allows.

    One price of a bit for the whole network decides all spacings: each parameter gets the one at
    which another bit is worth its price in squared output error, by the curvature of the outputs
    (`laconic.saliency.output_curvatures`). Weights whose inputs are known are rounded with
    feedback (`laconic.solve.Feedback`), means of layers are corrected (`laconic.solve.shifts`).
    The price is found by bisection on the validation split; nothing is trained by default.

    With `epochs`, the bisection allows three times the drop, and what it finds is trained, spacings
    too; where that does not bring the metric back within `drop`, the price is halved, and so on, a
    dozen times at most.

    Args:
        context: the run.
        drop: how much worse the metric may become than that of the network the run was given, on
            the validation split, in the metric's own unit.
        layers: whose parameters; biases and scales among them.
        examples: training examples that are looked at.
        damping: see `laconic.saliency.input_hessians`.
        epochs: of training behind the bisection, with Adam along a cosine.
        learning_rate: of that training.

    Raises:
        StageError: no price keeps the drop, or no training brings the metric back.
        UsageError: outputs that are the same for all examples, or not finite.
    """
    fabric, task = context.fabric, context.task
    worse = -1.0 if task.higher_is_better else 1.0
    start = context.model if context.start is None else context.start
    dense = worse * evaluate(start, task, "validation", fabric)
    found = survey(context, layers, examples, damping)

    def lost(model: nn.Module) -> float:
        try:
            return worse * evaluate(model, task, "validation", fabric) - dense - 1e-9
        except UsageError:
            # The dense network had a score: this one is rounded so coarsely that it has none.
            return math.inf

    def rounded(price: float) -> nn.Module:
        trial = with_chains(context.model)
        found.quantize(trial, price)
        return trial

    already = lost(context.model)
    if already > drop and not epochs:
        raise StageError(
            f"the metric is {already:.3g} worse than that of the network that the run was given "
            f"before anything is rounded, and {drop:g} is allowed; train before this stage, or "
            "allow more"
        )
    allowed = drop * (SLACK if epochs else 1.0)
    price = largest_price(lambda price: lost(rounded(price)) <= allowed, found.first_price)
    if not epochs:
        found.quantize(context.model, price)
        return
    for _ in range(DOUBLINGS):
        trial = rounded(price)
        if lost(trial) > drop:
            train(
                replace(context, model=trial, checkpoint=None),
                epochs=epochs, learning_rate=learning_rate, schedule="cosine",
            )  # fmt: skip
        if lost(trial) <= drop:
            found.quantize(context.model, price)
            context.model.load_state_dict(trial.state_dict())
            return
        price /= 2
    raise StageError(
        f"{epochs} epochs do not bring the metric back within the drop that is allowed, at a "
        f"price that was halved {DOUBLINGS} times; allow more, or train for longer"
    )


def largest_price(keeps: Callable[[float], bool], first: float) -> float:
    """The largest price that keeps the drop, to a twelfth of it; it may be asked a dozen times.

    Raises:
        StageError: none does.

    Examples:
        >>> found = largest_price(lambda price: price <= 10, 1.0)
        >>> 9 < found <= 10
        True
    """
    low = high = first
    if keeps(first):
        for _ in range(DOUBLINGS):
            high = 2 * low
            if not keeps(high):
                break
            low = high
        else:
            return low
    else:
        for _ in range(DOUBLINGS):
            low = high / 2
            if keeps(low):
                break
            high = low
        else:
            raise StageError(
                "no spacing of the parameters keeps the drop that is allowed; allow more, leave "
                "sensitive layers out, or give more examples"
            )
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return low


def check_smallest(
    *,
    drop: float,
    layers: Layers,
    examples: int,
    damping: float,
    epochs: int,
    learning_rate: float,
) -> None:
    """Raise what the stage would raise of these arguments."""
    check_training(
        epochs=epochs, learning_rate=learning_rate, optimizer="adam", schedule="cosine",
        weight_decay=0.0,
    )  # fmt: skip
    if not (drop >= 0 and math.isfinite(drop)):
        raise UsageError(f"drop {drop:g} is not a number from 0 up; 0.5 is usual, in percent")
    if examples < 1:
        raise UsageError(f"smallest looks at {examples} examples; it needs at least 1")
    if not damping > 0:
        raise UsageError(f"damping {damping:g} is not positive; 0.01 is usual")


STAGES: dict[str, Callable[..., None]] = {"smallest": smallest_stage}
CHECKS: dict[str, Callable[..., None]] = {"smallest": check_smallest}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    "smallest": lambda arguments: [
        {key: value for key, value in arguments.items() if key == "layers"}
    ]
}
