"""What a stage works on, and which layers its arguments mean."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import nn

from laconic.errors import PatternError, UsageError
from laconic.represent import matches_layer, weights
from laconic.surgery import apply_cut, cuts
from laconic.train import Progress, Task

Layers = str | list[str]
Arguments = dict[str, Any]
"""Of a stage, by name."""


@dataclass(frozen=True)
class Context:
    """What a stage works on."""

    model: nn.Module
    task: Task
    fabric: Fabric
    seed: int
    """Of this stage: the recipe's seed mixed with the stage's place."""
    checkpoint: Path | None
    """Where a long stage keeps its progress; gone when the stage is finished."""
    on_progress: Callable[[Progress], None] | None
    start: nn.Module | None = None
    """The network as the run was given it, without chains; not to be changed."""
    kept: Path | None = None
    """Where `fit` keeps a point of its training, to which `rewind` goes back."""

    def start_as_cut(self) -> nn.Module | None:
        """A copy of `start` with the cuts that were made in the model since; None without one."""
        return None if self.start is None else cut_like(copy.deepcopy(self.start), self.model)


def cut_like(network: nn.Module, model: nn.Module) -> nn.Module:
    """`network` with the cuts that were made in `model` since, in place."""
    for cut in cuts(model)[len(cuts(network)) :]:
        apply_cut(network, cut)
    return network


def by_layer(
    model: nn.Module, layers: Layers, arguments: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """The arguments of each matching weight; tables by pattern are resolved, the last match wins.

    Raises:
        PatternError: a pattern matches no layer.
    """
    names = list(weights(model, layers))
    tables = {key: value for key, value in arguments.items() if isinstance(value, dict)}
    for table in tables.values():
        for pattern in table:
            if not any(matches_layer(pattern, name) for name in names):
                raise PatternError(pattern, [name.rpartition(".")[0] or name for name in names])
        names = [n for n in names if any(matches_layer(pattern, n) for pattern in table)]
    resolved = {}
    for name in names:
        own = dict(arguments)
        for key, table in tables.items():
            own[key] = [value for pattern, value in table.items() if matches_layer(pattern, name)][
                -1
            ]
        resolved[name] = own
    if not resolved:
        raise UsageError(f"the tables {sorted(tables)} have no layer in common")
    return resolved
