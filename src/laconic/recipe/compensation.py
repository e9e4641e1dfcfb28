"""The stage `compensate`: what is left of each layer makes up for what a mask took."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Mask
from laconic.recipe.context import Arguments, Context, Layers
from laconic.recipe.scoring import training_data
from laconic.represent import chains, entering, fitted, latents, plain_before, weights
from laconic.saliency import input_hessians
from laconic.solve import compensate


def compensate_stage(
    context: Context, *, layers: Layers = "*", examples: int = 1024, damping: float = 0.01
) -> None:
    """Move the weights that masks left so that each layer's outputs stay near what they were.

    The update of Optimal Brain Surgeon (see `laconic.solve.compensate`), layer by layer, from the
    inputs that the network had before its masks; no training. It belongs right behind a stage that
    prunes: what a mask took is forgotten here, and a second time there is nothing to make up for.

    Args:
        context: the run.
        layers: which layers; linear, convolutional and recurrent ones and projections of attention.
        examples: training examples whose inputs are looked at.
        damping: see `laconic.saliency.input_hessians`.

    Raises:
        UsageError: none of these layers has a mask.
        UnsupportedError: a layer of another kind, by name.
    """
    model = context.model
    masks = _last_masks(model, list(weights(model, layers)))
    if not masks:
        raise UsageError(
            f"compensate: no layer that {layers!r} matches has a mask; put this stage right behind "
            "one that prunes"
        )
    dense = plain_before(model, masks)
    data = training_data(context, examples)
    hessians = input_hessians(dense, list(masks), data, damping, "compensate")
    moved = {
        name: compensate(entering(model, name, step), hessians[name], fitted(step, "mask"))
        for name, step in masks.items()
    }
    moved = context.fabric.broadcast(moved)
    present = latents(model)
    with torch.no_grad():
        for name, value in moved.items():
            present[name].copy_(value)


def _last_masks(model: nn.Module, names: list[str]) -> dict[str, Mask]:
    """The last mask of each of these weights that has one."""
    found = {}
    for name, steps in chains(model).items():
        own = [step for step in steps if isinstance(step, Mask) and step.mask is not None]
        if name in names and own:
            found[name] = own[-1]
    return found


def check_compensate(*, layers: Layers, examples: int, damping: float) -> None:
    """Raise what the stage would raise of these arguments."""
    if examples < 1:
        raise UsageError(f"compensate looks at {examples} examples; it needs at least 1")
    if not damping > 0:
        raise UsageError(f"damping {damping:g} is not positive; 0.01 is usual")


STAGES: dict[str, Callable[..., None]] = {"compensate": compensate_stage}
CHECKS: dict[str, Callable[..., None]] = {"compensate": check_compensate}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    "compensate": lambda arguments: [
        {key: value for key, value in arguments.items() if key == "layers"}
    ]
}
