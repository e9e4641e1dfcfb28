"""The training that every stage uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from laconic.errors import UsageError
from laconic.quantize import Follow, has_followers
from laconic.recipe.context import Context
from laconic.train import SCHEDULES, Callback, Objective, fit
from laconic.train.fit import check_clip_norm
from laconic.train.optimizers import known, make_optimizer


def train(
    context: Context,
    callbacks: Sequence[Callback] = (),
    objective: Objective | None = None,
    **arguments: Any,
) -> None:
    """`laconic.train.fit` with what the context says of seed, processes, checkpoint, progress.

    Grids that go with their latent weights do so (`laconic.quantize.Follow`).
    """
    following = [Follow(context.seed)] if has_followers(context.model) else []
    fit(
        context.model,
        context.task,
        seed=context.seed,
        fabric=context.fabric,
        checkpoint=context.checkpoint,
        on_progress=context.on_progress,
        callbacks=[*callbacks, *following],
        objective=objective,
        **arguments,
    )


def check_training(*, epochs: int, clip_norm: float | None = None, **arguments: Any) -> None:
    """Raise what training would raise of these arguments (see `laconic.train.fit`)."""
    check_clip_norm(clip_norm)
    known("schedule", SCHEDULES, arguments["schedule"])
    make_optimizer(
        nn.Linear(1, 1),
        arguments["optimizer"],
        arguments["learning_rate"],
        arguments["weight_decay"],
        {},
    )
    if epochs < 0:
        raise UsageError(f"epochs is {epochs}; 1 or more are needed")
