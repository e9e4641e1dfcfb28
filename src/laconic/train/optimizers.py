"""Optimizers by name, and which parameters they decay."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn
from torch.optim import Optimizer

from laconic.errors import UsageError
from laconic.represent import chains, latents

# Fused: one pass over a parameter in place of ten. On a CPU Adam's step is 8 times faster so, and
# 12 times on a pruned layer, whose zeros the unfused square root is slow on.
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9, fused=True),
}

NO_OPTIONS = ("params", "lr", "weight_decay", "foreach", "fused", "capturable", "differentiable")
"""Arguments of torch's optimizers that `fit` gives itself or that concern execution alone."""

Kind = TypeVar("Kind")


def known(what: str, table: Mapping[str, Kind], name: str) -> Kind:
    """The entry of a registry.

    Raises:
        UsageError: there is none of that name; the message lists the names.

    Examples:
        >>> known("optimizer", OPTIMIZERS, "adagrad")
        Traceback (most recent call last):
        ...
        laconic.errors.UsageError: no optimizer is named 'adagrad'; there are: adam, adamw, sgd
    """
    if name not in table:
        raise UsageError(f"no {what} is named {name!r}; there are: {', '.join(table)}")
    return table[name]


def make_optimizer(
    model: nn.Module,
    name: str,
    learning_rate: float,
    weight_decay: float,
    options: Mapping[str, Any],
) -> Optimizer:
    """An optimizer over the parameters of `model` that ask for a gradient.

    Weights of two dimensions or more decay, but the latent ones of signs (`Step.decays`). Biases,
    normalisation and codebooks, which have one, do not: a decayed centroid would drag all its
    members towards zero. A parameter that gets no gradient in a step (the latent weight behind a
    codebook) does not move at all, decay included.

    Args:
        model: with its chains.
        name: a key of `OPTIMIZERS`.
        learning_rate: positive.
        weight_decay: 0 or more; what torch's optimizer makes of it (``adam`` adds it to the
            gradient, ``adamw`` shrinks the weight).
        options: further arguments of torch's optimizer, such as ``momentum`` or ``betas``.

    Raises:
        UsageError: an unknown name or option, a value out of range, or nothing to train.
    """
    make = known("optimizer", OPTIMIZERS, name)
    possible = [key for key in inspect.signature(make).parameters if key not in NO_OPTIONS]
    for key in options:
        if key not in possible:
            raise UsageError(
                f"the optimizer {name!r} has no option {key!r}; it has: {', '.join(possible)}"
            )
    if not (learning_rate > 0 and math.isfinite(learning_rate)):
        raise UsageError(f"learning_rate {learning_rate:g} is not a positive number")
    if not (weight_decay >= 0 and math.isfinite(weight_decay)):
        raise UsageError(f"weight_decay {weight_decay:g} is not 0 or a positive number")
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise UsageError("no parameter of the model asks for a gradient: there is nothing to train")
    signs = _not_decayed(model)
    decayed = [p for p in trained if p.ndim >= 2 and id(p) not in signs]
    others = [p for p in trained if p.ndim < 2 or id(p) in signs]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    try:
        return make([group for group in groups if group["params"]], lr=learning_rate, **options)
    except (ValueError, TypeError) as error:
        raise UsageError(f"the optimizer {name!r} refuses {dict(options)}: {error}") from error


def _not_decayed(model: nn.Module) -> set[int]:
    """The latent weights, by `id`, behind steps that weight decay would spoil."""
    found = latents(model)
    return {
        id(found[name])
        for name, steps in chains(model).items()
        if not all(step.decays for step in steps)
    }
