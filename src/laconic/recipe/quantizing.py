"""Stages that quantize activations and biases, and the fold of BatchNorm that comes before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from laconic.errors import UsageError
from laconic.quantize.activation import activations, check_place, put, quantizable
from laconic.quantize.biases import quantize_biases
from laconic.quantize.calibrate import calibrate
from laconic.quantize.kinds import ACTIVATIONS
from laconic.recipe.arguments import check_arguments, each_choice, parameters_of
from laconic.recipe.context import Arguments, Context, Layers, by_layer
from laconic.recipe.scoring import training_data
from laconic.represent import weights
from laconic.surgery import fold_batchnorm
from laconic.train.optimizers import known

Choice = str | dict[str, Any]
"""``"static"``, or ``{kind = "static", clip = "percentile:99.9"}``."""


def fold_batchnorm_stage(context: Context) -> None:
    """Fold every BatchNorm into the convolution or linear layer before it.

    See `laconic.surgery.fold_batchnorm`. It belongs before stages that put weights on a grid.
    """
    fold_batchnorm(context.model, context.task.example_input)


def quantize_activations_stage(
    context: Context,
    *,
    layers: Layers = "*",
    bits: int | dict[str, int] | None = None,
    method: Choice = "static",
    place: str = "input",
    examples: int = 512,
) -> None:
    """Put a quantizer before, or behind, layers, and give it its range from training examples.

    A ``fit`` behind it is quantization-aware training.

    Args:
        context: the run.
        layers: which layers a single number of bits is for.
        bits: for all layers, or a table by pattern; by default the method's own.
        method: a key of `laconic.quantize.kinds.ACTIVATIONS`, or a table with it as kind and its
            arguments.
        place: ``"input"`` or ``"output"``.
        examples: training examples that calibration looks at.
    """
    kind, arguments = parted(method)
    given = {} if bits is None else {"bits": bits}
    chosen = by_layer(context.model, layers, given)
    for path, name in quantizable(context.model, chosen, place).items():
        made = ACTIVATIONS[kind](**arguments, **chosen[name])
        put(context.model.get_submodule(path), made, place)
    if all(quantizer.is_calibrated for _, _, quantizer in activations(context.model)):
        return
    device = next(iter(weights(context.model).values())).device
    batches = (inputs.to(device) for inputs, _ in training_data(context, examples).batches())
    calibrate(context.model, batches)


def quantize_biases_stage(context: Context) -> None:
    """Round biases to int32 in the unit of their layers' sums; training would move them again.

    See `laconic.quantize.biases.quantize_biases`.
    """
    quantize_biases(context.model)


def parted(method: Choice) -> tuple[str, dict[str, Any]]:
    """The name of a quantizer and its arguments.

    Raises:
        UsageError: there is none of that name.

    Examples:
        >>> parted({"kind": "static", "clip": "mse"})
        ('static', {'clip': 'mse'})
    """
    arguments = {"kind": method} if isinstance(method, str) else dict(method)
    kind = arguments.pop("kind", None)
    if not isinstance(kind, str):
        raise UsageError(f"a method is a name, or a table with its name as kind, not {method!r}")
    known("method", ACTIVATIONS, kind)
    return kind, arguments


def check_quantize_activations(
    *,
    layers: Layers,
    bits: int | dict[str, int] | None,
    method: Choice,
    place: str,
    examples: int,
) -> None:
    """Raise what the stage would raise of these arguments."""
    kind, arguments = parted(method)
    if bits is not None and "bits" not in parameters_of(ACTIVATIONS[kind]):
        raise UsageError(f"{kind} has no bits; leave them out")
    if bits is not None and "bits" in arguments:
        raise UsageError("bits stand beside the method and in it; write them once")
    for own in each_choice({} if bits is None else {"bits": bits}):
        check_arguments(kind, ACTIVATIONS[kind], {**arguments, **own})
        ACTIVATIONS[kind](**arguments, **own)
    check_place(ACTIVATIONS[kind], place)
    if examples < 1:
        raise UsageError(f"calibration looks at {examples} examples; it needs at least 1")


STAGES: dict[str, Callable[..., None]] = {
    "fold-batchnorm": fold_batchnorm_stage,
    "quantize-activations": quantize_activations_stage,
    "quantize-biases": quantize_biases_stage,
}
CHECKS: dict[str, Callable[..., None]] = {"quantize-activations": check_quantize_activations}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    "quantize-activations": lambda arguments: [
        {key: arguments[key] for key in ("bits", "layers") if key in arguments}
    ]
}
