"""Back to an earlier point: weights as they were, masks as they are (lottery tickets)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor, nn

from laconic.errors import StageError, UsageError
from laconic.recipe.context import Context, cut_like
from laconic.represent import Grid, chains, latents, plain_state
from laconic.train import Moment, load_model, save_model
from laconic.train.optimizers import known

Values = dict[str, Tensor]
"""Plain name → value, parameters and buffers."""


class Keep:
    """A callback that saves the network after its `step`-th update, for `rewind`.

    Args:
        step: 1 is the first.
        path: the file to write; every process must see it.
        fabric: process 0 writes.
    """

    def __init__(self, step: int, path: Path, fabric: Fabric) -> None:
        self.step = step
        self.path = path
        self.fabric = fabric

    @property
    def configuration(self) -> dict[str, Any]:
        """The step."""
        return {"step": self.step}

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Refuse a step that does not come.

        Raises:
            UsageError: the training is shorter.
        """
        check_keep_step(self.step, moment.steps)

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Save the network when it is time."""
        if moment.step < self.step <= moment.done:
            if self.fabric.is_global_zero:
                save_model(self.path, model)
            self.fabric.barrier()


def check_keep_step(step: int, steps: int) -> None:
    """Refuse to keep what a training of `steps` never comes to.

    Raises:
        UsageError: with both numbers.
    """
    if step > steps:
        raise UsageError(
            f"keep_step is {step}, but the training has {steps} steps; keep an earlier one"
        )


def kept_path(context: Context) -> Path:
    """Where the run keeps a point.

    Raises:
        StageError: it has no place for it.
    """
    if context.kept is None:
        raise StageError("this run has no place to keep a point of a training")
    return context.kept


def start(context: Context) -> Values:
    """What the run was given: θ₀ (Frankle, Carbin, arXiv:1803.03635)."""
    return plain_state(_given(context))


def kept(context: Context) -> Values:
    """What `fit` kept after ``keep_step`` updates: θ_k (late rewinding, arXiv:1903.01611)."""
    network = copy.deepcopy(context.start)
    if network is None:
        raise StageError("this run does not know the network that it began with")
    load_model(kept_path(context), network)
    return plain_state(cut_like(network, context.model))


def random(context: Context) -> Values:
    """The starting values of each parameter in a random order: the control of the lottery.

    Frankle and Carbin draw again from the distribution of the start. Values that were drawn
    independently are in another order such a draw, whatever distribution the network drew from.
    """
    network = _given(context)
    trained = {name for name, _ in network.named_parameters()}
    generator = Generator().manual_seed(context.seed)
    values = {}
    for name, value in plain_state(network).items():
        if name in trained:
            order = torch.randperm(value.numel(), generator=generator).to(value.device)
            value = value.flatten()[order].reshape(value.shape)
        values[name] = value
    return values


def signs(context: Context) -> Values:
    """``±α``: the signs of the starting weights times their deviation, layer by layer.

    Zhou, Lan, Liu, Yosinski, arXiv:1905.01067, section 4 ("rewind to a constant with the same
    sign"), α the standard deviation of the layer's start. Biases and normalisation start as
    they did.
    """
    return {
        name: signed_constant(value) if value.ndim >= 2 else value
        for name, value in plain_state(_given(context)).items()
    }


def signed_constant(weight: Tensor) -> Tensor:
    """The signs of a weight times its standard deviation.

    Examples:
        >>> signed_constant(torch.tensor([3.0, -1.0]))
        tensor([ 2., -2.])
    """
    return weight.sign() * weight.std(correction=0)


POINTS: dict[str, Callable[[Context], Values]] = {
    "start": start,
    "kept": kept,
    "random": random,
    "signs": signs,
}
"""Name in a recipe → the values to go back to."""


def rewind_stage(context: Context, *, to: str = "start") -> None:
    """Give weights, biases and statistics earlier values; what is pruned or cut stays so.

    Args:
        context: the run.
        to: ``"start"``: the network that the run was given; ``"kept"``: the point that an earlier
            `fit` kept (its ``keep_step``); ``"random"``: the start in random order; ``"signs"``:
            the signs of the start times one magnitude a layer.

    Raises:
        StageError: a weight is on a grid, which earlier values would not keep to; or it has
            another shape than at the start, and no cut of a recipe made it.
    """
    model = context.model
    for name, steps in chains(model).items():
        grids = [str(step) for step in steps if isinstance(step, Grid)]
        if grids:
            raise StageError(f"{name} is on the grid {grids[0]}; rewind before that stage")
    values = known("point", POINTS, to)(context)
    kept_keys = model.state_dict().keys()
    present: dict[str, Tensor] = {
        name: buffer
        for name, buffer in model.named_buffers()
        if name in kept_keys and "parametrizations" not in name.split(".")
    }
    present |= latents(model)
    with torch.no_grad():
        for name, tensor in present.items():
            if name not in values or values[name].shape != tensor.shape:
                then = list(values[name].shape) if name in values else "not there"
                raise StageError(
                    f"{name} has the shape {list(tensor.shape)} now and was {then} at the start: "
                    "its earlier values do not fit; rewind before layers are cut"
                )
            tensor.copy_(values[name])


def check_rewind(*, to: str) -> None:
    """Raise what rewinding would raise of these arguments."""
    known("point", POINTS, to)


def _given(context: Context) -> nn.Module:
    """A copy of the network that the run was given, cut as it is now."""
    network = context.start_as_cut()
    if network is None:
        raise StageError("this run does not know the network that it began with")
    return network
