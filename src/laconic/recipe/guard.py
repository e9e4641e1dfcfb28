"""What a stage may not do: nothing at all, or the undoing of an earlier stage."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from laconic.errors import StageError
from laconic.quantize.activation import Described, describe_activations
from laconic.represent import Grid, Step, chains, plain_state


@dataclass(frozen=True)
class Snapshot:
    """The network before a stage: its values, and what the chains on them promise."""

    values: dict[str, Tensor]
    zeros: dict[str, Tensor]
    """Restricted weight → where its chain makes it zero, whatever the latent weight is."""
    distinct: dict[str, int]
    """Weight on a grid → how many values it takes."""
    allowed: dict[str, int]
    """Weight on a grid → how many values its chain lets it take."""
    grids: dict[str, list[str]]
    """Weight on a grid → the grids, as text."""
    activations: Described
    """The quantizers of activations."""


def snapshot(model: nn.Module) -> Snapshot:
    """Remember the values of a model and the promises of its chains."""
    values = {name: value.clone() for name, value in plain_state(model).items()}
    restricted = {name: steps for name, steps in chains(model).items() if name in values}
    grids = {name: found for name, steps in restricted.items() if (found := _grids(steps))}
    return Snapshot(
        values,
        {name: _held_zeros(values[name], steps) for name, steps in restricted.items()},
        {name: _distinct(values[name]) for name in grids},
        {name: _allowed(values[name], found) for name, found in grids.items()},
        {name: [str(grid) for grid in found] for name, found in grids.items()},
        describe_activations(model),
    )


def check(before: Snapshot, model: nn.Module, label: str) -> None:
    """Hold a finished stage against the network as it was before.

    Args:
        before: taken when the stage began.
        model: after it.
        label: the stage, for messages: ``"stage 3 (fit)"``.

    Raises:
        StageError: no value of the state dict changed; a weight that a chain held at zero came
            back; or a weight left its grid, or has now one of more values.
    """
    after = plain_state(model)
    if (
        after.keys() == before.values.keys()
        and describe_activations(model) == before.activations
        and all(_same(value, before.values[name]) for name, value in after.items())
    ):
        raise StageError(f"{label} changed nothing: every value is what it was before")
    for name, zeros in before.zeros.items():
        value = after.get(name)
        if value is None or value.shape != zeros.shape:
            continue  # surgery removed or reshaped it: its zeros went with it
        revived = int((value[zeros] != 0).sum())
        if revived:
            raise StageError(
                f"{label} undid an earlier stage: {revived} of the {int(zeros.sum())} weights of "
                f"{name} that were held at zero are no longer zero"
            )
    restricted = chains(model)
    for name, count in before.distinct.items():
        if name not in after:
            continue
        grids = _grids(restricted.get(name, []))
        if grids:
            _check_grids(before, name, grids, after[name], label)
        elif _distinct(after[name]) > count:
            raise StageError(
                f"{label} undid an earlier stage: {name} took {count} values, now "
                f"{_distinct(after[name])} and no grid holds it"
            )


def _check_grids(before: Snapshot, name: str, grids: list[Grid], value: Tensor, label: str) -> None:
    """Refuse a finer grid in a coarser one's place; a grid that stayed may train as it likes."""
    present = [str(grid) for grid in grids]
    if all(grid in present for grid in before.grids[name]):
        return
    allowed = _allowed(value, grids)
    if allowed > before.allowed[name]:
        raise StageError(
            f"{label} undid an earlier stage: {', '.join(before.grids[name])} let {name} take "
            f"{before.allowed[name]} values, now {', '.join(present)} lets it take {allowed}; "
            "ask for as few or fewer, or leave this layer out"
        )


def _grids(steps: list[Step]) -> list[Grid]:
    return [step for step in steps if isinstance(step, Grid)]


def _allowed(value: Tensor, grids: list[Grid]) -> int:
    """How many values a chain leaves a weight: as many as the smallest of its grids has.

    A grid of `bits` has ``2^bits`` for each of its scales; one that states none, what it takes.
    """
    return min(
        2 ** grid.configuration["bits"] * grid.tables().get("scale", torch.ones(1)).numel()
        if "bits" in grid.configuration
        else _distinct(value)
        for grid in grids
    )


def _held_zeros(value: Tensor, steps: list[Step]) -> Tensor:
    """Zeros that no latent weight could lift: what pruning took away.

    A weight that a uniform grid rounds to zero is none: training may move it to the next value.
    """
    largest = torch.finfo(value.dtype).max
    held = value == 0
    with torch.no_grad():
        for latent in (torch.full_like(value, largest), torch.full_like(value, -largest)):
            for step in steps:
                latent = step(latent)
            held &= latent == 0
    return held


def _distinct(value: Tensor) -> int:
    return len(torch.unique(value))


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(torch.equal(torch.nan_to_num(one), torch.nan_to_num(other)))
