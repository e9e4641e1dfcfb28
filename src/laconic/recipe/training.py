"""Stages that prune while they train."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from torch import nn

from laconic.errors import StageError, UsageError
from laconic.prune import (
    Proximal,
    Threshold,
    WeightPenalty,
    check_strengths,
    scaled_dropout,
)
from laconic.quantize import PENALTIES, AlphaDecay, ValuePenalty, check_penalty
from laconic.recipe.arguments import each_choice
from laconic.recipe.context import Arguments, Context, by_layer
from laconic.recipe.loop import check_training, train
from laconic.recipe.masking import (
    agp_stage,
    check_agp,
    check_agp_length,
    check_drop_neurons,
    check_supermask,
    drop_neurons_stage,
    supermask_stage,
)
from laconic.recipe.rewind import Keep, check_keep_step, check_rewind, kept_path, rewind_stage
from laconic.represent import represent_layers, weights
from laconic.train import Penalised, Penalty, TaskLoss

ALPHA = "alpha"
"""The penalty on the learned ranges of activations, which are no weights."""
Strengths = dict[str, float | dict[str, float]]
"""Norm → its strength on all weights, or by pattern."""


def fit_stage(
    context: Context,
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
    penalties: Strengths | None = None,
    proximal: Strengths | None = None,
    keep_step: int | None = None,
    scale_dropout: bool = False,
) -> None:
    """Train what the chains leave free (see `laconic.train.fit`).

    Args:
        context: the run.
        epochs: and the next four: see `laconic.train.fit`.
        learning_rate: of the first step.
        optimizer: of the training.
        schedule: of the learning rate.
        weight_decay: of the training.
        clip_norm: largest norm of all gradients together.
        penalties: norms added to the loss: name (`laconic.prune.REGULARISERS`,
            `laconic.quantize.PENALTIES`) → strength, for all weights or by pattern:
            ``{l1 = 1e-5, filters = {"conv*" = 1e-4}}``.
        proximal: norms whose proximal step follows each update, likewise: exact zeros, which are
            held at zero from then on.
        keep_step: after so many updates the network is kept, for ``rewind`` to go back to.
        scale_dropout: less dropout where fewer connections are left, see
            `laconic.prune.scaled_dropout`.
    """
    model = context.model
    terms = [_term(norm, own) for norm, own in by_norm(model, penalties)]
    steps = [Proximal(norm, own) for norm, own in by_norm(model, proximal)]
    keep = [] if keep_step is None else [Keep(keep_step, kept_path(context), context.fabric)]
    start = context.model if context.start is None else context.start
    whole = {name: weight.numel() for name, weight in weights(start).items()}
    example = context.task.example_input
    with scaled_dropout(model, example, whole) if scale_dropout else nullcontext():
        train(
            context,
            [*steps, *keep],
            Penalised(TaskLoss(), terms) if terms else None,
            epochs=epochs,
            learning_rate=learning_rate,
            optimizer=optimizer,
            schedule=schedule,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
        )
    if steps:
        hold_zeros(model, steps)


def _term(norm: str, strengths: dict[str, float]) -> Penalty:
    if norm == ALPHA:
        return AlphaDecay({name.rpartition(".")[0]: own for name, own in strengths.items()})
    kind = ValuePenalty if norm in PENALTIES else WeightPenalty
    return kind(norm, strengths)


def by_norm(model: nn.Module, given: Strengths | None) -> list[tuple[str, dict[str, float]]]:
    """The strength of each norm on each weight; L1 first.

    The proximal step of L1 and a group norm together is that of L1, then that of the groups
    (Simon et al., A Sparse-Group Lasso, 2013).
    """
    found = []
    for norm, strength in sorted((given or {}).items(), key=lambda item: item[0] != "l1"):
        chosen = by_layer(model, "*", {"strength": strength})
        found.append((norm, {name: own["strength"] for name, own in chosen.items()}))
    return found


def hold_zeros(model: nn.Module, steps: list[Proximal]) -> None:
    """Keep at zero what proximal steps made zero.

    Raises:
        StageError: they made nothing zero, or a whole layer.
    """
    present = weights(model)
    held = {}
    may_vanish = {name for step in steps if step.norm == "depth" for name in step.strengths}
    for step in steps:
        for name in step.strengths:
            zeros = int((present[name] == 0).sum())
            if zeros == present[name].numel() and name not in may_vanish:
                raise StageError(
                    f"{name}: all its {zeros} weights became zero; lower the strength of "
                    f"{step.norm} ({step.strengths[name]:g}), or leave this layer out"
                )
            if zeros:
                held[name] = Threshold(0.0)
    if not held:
        given = ", ".join(f"{step.norm} {max(step.strengths.values()):g}" for step in steps)
        raise StageError(f"the proximal steps made no weight zero; raise the strengths ({given})")
    represent_layers(model, held)


def check_fit(
    *,
    penalties: Strengths | None,
    proximal: Strengths | None,
    keep_step: int | None,
    scale_dropout: bool,
    optimizer: str,
    **arguments: Any,
) -> None:
    """Raise what training would raise of these arguments."""
    if keep_step is not None and keep_step < 1:
        raise UsageError(f"keep_step is {keep_step}; 1 is the first step")
    check_training(optimizer=optimizer, **arguments)
    for given in (penalties, proximal):
        for norm, strength in (given or {}).items():
            check = check_penalty if given is penalties and norm in PENALTIES else check_strengths
            values = [c["strength"] for c in each_choice({"strength": strength})]
            if given is penalties and norm == ALPHA:
                AlphaDecay({str(place): value for place, value in enumerate(values)})
            else:
                check(norm, values)
    if proximal and optimizer != "sgd":
        raise UsageError(
            f"proximal steps leave no weight at zero with {optimizer!r}, which moves each by about "
            'the learning rate whatever its gradient; take optimizer = "sgd"'
        )


def check_fit_length(
    steps: Callable[[], int], *, epochs: int, keep_step: int | None, **arguments: Any
) -> None:
    """Raise that no step of a training of so many an epoch is the one to keep."""
    if keep_step is not None:
        check_keep_step(keep_step, steps() * epochs)


STAGES: dict[str, Callable[..., None]] = {
    "fit": fit_stage,
    "agp": agp_stage,
    "supermask": supermask_stage,
    "drop-neurons": drop_neurons_stage,
    "rewind": rewind_stage,
}
CHECKS: dict[str, Callable[..., None]] = {
    "fit": check_fit,
    "agp": check_agp,
    "supermask": check_supermask,
    "drop-neurons": check_drop_neurons,
    "rewind": check_rewind,
}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    "agp": lambda arguments: [
        {key: arguments[key] for key in ("sparsity", "layers") if key in arguments}
    ],
    "fit": lambda arguments: [
        {"strength": strength}
        for key in ("penalties", "proximal")
        for strength in arguments.get(key, {}).values()
    ],
    "supermask": lambda arguments: [{"layers": arguments.get("layers", "*")}],
    "drop-neurons": lambda arguments: [{"layers": layer} for layer in arguments["layers"]],
}
LENGTHS: dict[str, Callable[..., None]] = {"agp": check_agp_length, "fit": check_fit_length}
"""What an epoch's number of steps can be held against before the first stage."""
