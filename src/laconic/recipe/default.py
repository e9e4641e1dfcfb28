"""What is done where a person names no method."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from laconic.recipe.recipe import Recipe, Stage
from laconic.surgery import fold_batchnorm


def default_recipe(
    model: nn.Module, example: Tensor, drop: float, *, epochs: int = 0, seed: int = 0
) -> Recipe:
    """The recipe of `laconic compress` without one: fold what folds, then `smallest`.

    Folded, a BatchNorm is one bias in place of four numbers a channel.

    Args:
        model: left as it is.
        example: as the network takes it.
        drop: how much worse the metric may become on the validation split, in its own unit.
        epochs: of training behind the rounding; 0 trains nothing.
        seed: of the recipe.
    """
    stages = [Stage("smallest", {"drop": drop, **({"epochs": epochs} if epochs else {})})]
    if _folds(model, example):
        stages.insert(0, Stage("fold-batchnorm", {}))
    return Recipe(tuple(stages), seed, "smallest")


def _folds(model: nn.Module, example: Tensor) -> bool:
    """Whether there is BatchNorm that can be folded exactly."""
    try:
        fold_batchnorm(copy.deepcopy(model).eval(), example)
    except Exception:  # a network that does not take the example, too: `run` says what is wrong
        return False
    return True
