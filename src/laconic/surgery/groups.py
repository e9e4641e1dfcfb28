"""Groups of channels that can only be removed together, and why they are coupled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.surgery.export import Example
from laconic.surgery.labels import FIXED, Join, Place
from laconic.surgery.layers import row_dim
from laconic.surgery.trace import Trace, trace


@dataclass(frozen=True)
class Slices:
    """A dimension of a parameter or buffer in which the units of a group have their places."""

    tensor: str
    dim: int
    each: int
    """Places of one unit: 16 where a map of 4×4 pixels is flattened, the size of a head."""
    makes: bool
    """Whether the places are rows that make the channel; else columns that read it."""

    def __str__(self) -> str:
        side = "rows" if self.makes else "columns"
        return f"{self.tensor}: {side}" + (f", {self.each} each" if self.each > 1 else "")


@dataclass(frozen=True)
class Group:
    """Units (channels, neurons, heads) of which each goes or stays with all its places.

    `units` of different groups are independent; a unit is a label of the trace.
    """

    name: str
    """The first parameter whose rows make the channels: ``"layer1.0.conv1"``."""
    slices: tuple[Slices, ...]
    units: tuple[int, ...]
    because: tuple[tuple[Place, str], ...]
    """The operations that couple the places, and how."""

    @property
    def size(self) -> int:
        """How many units there are."""
        return len(self.units)


class Groups(Mapping[str, Group]):
    """All groups of a network, by name, in the order of its parameters.

    Examples:
        >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        >>> groups = Groups(network, torch.zeros(1, 4))
        >>> groups["0"].size, [str(part) for part in groups["0"].slices]
        (6, ['0.weight: rows', '0.bias: rows', '2.weight: columns'])
    """

    def __init__(self, model: nn.Module, example: Example) -> None:
        self.trace: Trace = trace(model, example)
        self._layers = {
            name: model.get_submodule(name.rpartition(".")[0]) for name in self.trace.tensors
        }
        self._groups = {group.name: group for group in _found(model, self.trace)}

    def __getitem__(self, name: str) -> Group:
        if name not in self._groups:
            raise UsageError(f"no group is named {name!r}; there are: {', '.join(self._groups)}")
        return self._groups[name]

    def positions(self, tensor: str, dim: int) -> Tensor:
        """The unit of each place along a dimension of a parameter or buffer, ``[size]``."""
        for factor in self.trace.tensors[tensor].factors:
            if factor.shape[dim] > 1:
                return self.trace.labels.roots(factor.reshape(-1))
        raise UsageError(f"{tensor} has one place along dimension {dim}")

    def fixed(self) -> dict[str, str]:
        """Weights none of whose outputs can be removed → the operation that keeps them, and why."""
        edges: dict[int, list[tuple[int, Join]]] = {}
        for join in self.trace.labels.joins:
            for one, other in zip(join.labels.tolist(), join.others.tolist(), strict=True):
                edges.setdefault(one, []).append((other, join))
                edges.setdefault(other, []).append((one, join))
        found = {}
        for name, traced in self.trace.tensors.items():
            dim = row_dim(self._layers[name], len(traced.shape))
            if len(traced.shape) < 2 or traced.shape[dim] < 2:
                continue
            rows = next(f for f in traced.factors if f.shape[dim] > 1).reshape(-1)
            if bool((self.trace.labels.roots(rows) == FIXED).all()):
                last = _way_to_fixed(edges, int(rows[0]))
                found[name] = f"{last.place}: {last.because}"
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)


def _way_to_fixed(edges: dict[int, list[tuple[int, Join]]], start: int) -> Join:
    """The join that fixed a label, or one that it was joined with."""
    waiting, seen = [start], {start}
    while waiting:
        label = waiting.pop(0)
        for other, join in edges.get(label, ()):
            if other == FIXED:
                return join
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    raise AssertionError(f"label {start} is not fixed")


def _found(model: nn.Module, found: Trace) -> list[Group]:
    places: dict[int, dict[tuple[str, int], int]] = {}
    seen: dict[int, str] = {}
    for name, traced in found.tensors.items():
        if id(traced) in seen:
            continue
        seen[id(traced)] = name
        for factor in traced.factors:
            dim = max(range(factor.ndim), key=lambda d: factor.shape[d])
            for label in found.labels.roots(factor.reshape(-1)).tolist():
                if label != FIXED:
                    own = places.setdefault(label, {})
                    own[name, dim] = own.get((name, dim), 0) + 1
    members: dict[tuple[tuple[tuple[str, int], int], ...], list[int]] = {}
    for label, own in places.items():
        members.setdefault(tuple(own.items()), []).append(label)
    because = _because(found)
    groups: list[Group] = []
    for key, units in members.items():
        slices = tuple(_slices(model, found, tensor, dim, each) for (tensor, dim), each in key)
        weights = [part for part in slices if len(found.tensors[part.tensor].shape) > 1]
        makers = [part for part in weights if part.makes]
        if not makers or len(slices) == 1:
            continue  # nobody reads them, or no weight makes them: a table of positions
        name = makers[0].tensor
        joined = dict.fromkeys(why for unit in units for why in because.get(unit, ()))
        groups.append(Group(_unique(name, groups), slices, tuple(units), tuple(joined)))
    return groups


def _slices(model: nn.Module, found: Trace, tensor: str, dim: int, each: int) -> Slices:
    rank = len(found.tensors[tensor].shape)
    layer = model.get_submodule(tensor.rpartition(".")[0])
    return Slices(tensor, dim, each, rank == 1 or dim == row_dim(layer, rank))


def _unique(tensor: str, groups: Sequence[Group]) -> str:
    """The layer's path; with a number where one layer makes several kinds of channels."""
    layer = tensor.rpartition(".")[0] or tensor
    taken = {group.name for group in groups}
    name, number = layer, 2
    while name in taken:
        name, number = f"{layer}#{number}", number + 1
    return name


def _because(found: Trace) -> dict[int, list[tuple[Place, str]]]:
    """Unit → the operations that joined some of its labels."""
    reasons: dict[int, list[tuple[Place, str]]] = {}
    for join in found.labels.joins:
        if not join.because:
            continue
        for unit in torch.unique(found.labels.roots(join.labels)).tolist():
            if unit != FIXED:
                reasons.setdefault(unit, []).append((join.place, join.because))
    return reasons
