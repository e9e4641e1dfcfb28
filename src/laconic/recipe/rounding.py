"""The stages `gptq` and `adaround`: which of a grid's values each weight takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from laconic.errors import UnsupportedError, UsageError
from laconic.recipe.compensation import check_compensate
from laconic.recipe.context import Arguments, Context, Layers
from laconic.recipe.scoring import training_data
from laconic.represent import Grid, chains, entering, latents, plain_before, weights
from laconic.saliency import input_hessians
from laconic.solve import Feedback, learn_rounding

Solver = Callable[[Tensor, Tensor, Grid], Tensor]
"""What comes into a grid, the Hessian of the layer's inputs, the grid → values of the grid."""


def gptq_stage(
    context: Context, *, layers: Layers = "*", examples: int = 1024, damping: float = 0.01
) -> None:
    """Round column by column, the columns that are left making up for each error.

    See `laconic.solve.Feedback`. It belongs right behind the stage that put the grid
    on: the inputs are those that the network had before.

    Args:
        context: the run.
        layers: which layers; linear, convolutional and recurrent ones and projections of attention.
        examples: training examples whose inputs are looked at; no label is.
        damping: see `laconic.saliency.input_hessians`.

    Raises:
        UsageError: none of these layers has a grid.
        UnsupportedError: a layer of another kind, or a grid whose values do not follow the weight.
    """
    solve(context, "gptq", layers, examples, damping, _feedback)


def adaround_stage(
    context: Context,
    *,
    layers: Layers = "*",
    examples: int = 1024,
    damping: float = 0.01,
    steps: int = 1000,
    learning_rate: float = 0.02,
) -> None:
    """Learn for each weight whether it goes to the grid value below or above.

    See `laconic.solve.learn_rounding`. Grids of equal steps alone.

    Args:
        context: the run.
        layers: and the next two: see `gptq`.
        examples: training examples whose inputs are looked at.
        damping: see `laconic.saliency.input_hessians`.
        steps: of learning, each layer.
        learning_rate: of learning.
    """
    learn = partial(_learned, steps=steps, learning_rate=learning_rate)
    solve(context, "adaround", layers, examples, damping, learn)


def solve(
    context: Context, label: str, layers: Layers, examples: int, damping: float, solver: Solver
) -> None:
    """Give the latent weight of each layer with a grid the grid's values that a solver finds."""
    model = context.model
    grids = last_grids(model, list(weights(model, layers)))
    if not grids:
        raise UsageError(
            f"{label}: no layer that {layers!r} matches has a grid; put this stage right behind "
            "one that quantizes"
        )
    for name, grid in grids.items():
        _check_follows(name, label, grid)
        if solver is _feedback:
            _check_columns(name, label, grid)
    dense = plain_before(model, grids)
    data = training_data(context, examples)
    hessians = input_hessians(dense, list(grids), data, damping, label)
    found = {}
    for name, grid in grids.items():
        weight = entering(model, name, grid)
        with torch.no_grad():
            found[name] = solver(weight, hessians[name], grid)
    put_latents(context, found)


def last_grids(model: torch.nn.Module, names: list[str]) -> dict[str, Grid]:
    """The grid at the end of the chain of each of these weights that has one."""
    found = {name: steps[-1] for name, steps in chains(model).items() if name in names}
    return {name: step for name, step in found.items() if isinstance(step, Grid)}


def put_latents(context: Context, values: dict[str, Tensor]) -> None:
    """Let the latent weights be these values, the same in every process."""
    values = context.fabric.broadcast(values)
    present = latents(context.model)
    with torch.no_grad():
        for name, value in values.items():
            present[name].copy_(value)


def _check_columns(name: str, label: str, grid: Grid) -> None:
    """Refuse what rounds no column by itself."""
    axis = grid.configuration.get("axis")
    if axis not in (None, 0):
        raise UnsupportedError(
            f"{name}: {label} rounds columns of weights, and {grid} has scales along axis {axis}; "
            "take one scale (no axis), or axis 0"
        )


def _check_follows(name: str, label: str, grid: Grid) -> None:
    if grid.placed or grid.form == "products":
        raise UnsupportedError(
            f"{name}: {label} chooses among the values of a grid by the weight, but which one each "
            f"weight takes was chosen when {grid} was fitted; take a uniform grid, or leave this "
            "layer out"
        )


def _feedback(weight: Tensor, hessian: Tensor, grid: Grid) -> Tensor:
    # What is zero when it comes in was pruned, and stays so.
    return Feedback(hessian).round(weight, grid, weight != 0)


def _learned(
    weight: Tensor, hessian: Tensor, grid: Grid, *, steps: int, learning_rate: float
) -> Tensor:
    low, high = _neighbours(weight, grid)
    return learn_rounding(weight, hessian, low, high, steps=steps, learning_rate=learning_rate)


def _neighbours(weight: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """The grid's values on both sides of each weight; equal where the grid ends, or at zero."""
    if grid.form != "uniform":
        raise UnsupportedError(f"adaround: {grid} has no equal steps; take gptq")
    nearest, codes = grid(weight), grid.codes(weight)
    aside = torch.where(weight > nearest, 1, -1).to(codes.dtype)
    # Back through the grid, so that no value is beyond its ends.
    other = grid(grid.values(codes + aside).to(weight.dtype))
    other = torch.where(weight == 0, nearest, other)
    return torch.minimum(nearest, other), torch.maximum(nearest, other)


def check_adaround(
    *, layers: Layers, examples: int, damping: float, steps: int, learning_rate: float
) -> None:
    """Raise what the stage would raise of these arguments."""
    check_compensate(layers=layers, examples=examples, damping=damping)
    if steps < 1 or not learning_rate > 0:
        raise UsageError(
            f"adaround learns in {steps} steps of {learning_rate:g}; both must be positive"
        )


def _layers_alone(arguments: Arguments) -> list[Arguments]:
    return [{key: value for key, value in arguments.items() if key == "layers"}]


STAGES: dict[str, Callable[..., None]] = {"gptq": gptq_stage, "adaround": adaround_stage}
CHECKS: dict[str, Callable[..., None]] = {"gptq": check_compensate, "adaround": check_adaround}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = dict.fromkeys(STAGES, _layers_alone)
