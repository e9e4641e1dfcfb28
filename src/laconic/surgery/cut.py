"""A cut: which places of which tensors stay, as data that can be saved and done again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from laconic.errors import MismatchError, UsageError
from laconic.represent import select_places
from laconic.represent.merge import merge
from laconic.surgery.attention import HeadAttention
from laconic.surgery.batchnorm import fold
from laconic.surgery.flow import Traced
from laconic.surgery.groups import Group, Groups
from laconic.surgery.labels import varies
from laconic.surgery.layers import sizes
from laconic.surgery.trace import Trace


@dataclass(frozen=True)
class Cut:
    """What stays of a network's tensors, and the attributes of its modules that change.

    JSON data through and through: a run keeps its cuts and does them again on a fresh network.
    """

    tensors: dict[str, dict[int, list[int]]] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    """``"layer2.0.pad.padding"`` → its new value."""
    identities: list[str] = field(default_factory=list)
    """Modules in whose place a `torch.nn.Identity` stands."""
    values: dict[str, list[float]] = field(default_factory=dict)
    """Parameters and buffers of one dimension → new values of the same size."""
    unfused: list[str] = field(default_factory=list)
    """Attentions of torch in whose place a `HeadAttention` stands."""
    merged: list[list[str]] = field(default_factory=list)
    """Linear layer, activation, linear layer: the last computes both, the others nothing."""
    folded: list[list[str]] = field(default_factory=list)
    """Layer and the BatchNorm behind it: the layer computes both, the other nothing."""

    def as_json(self) -> dict[str, Any]:
        """As JSON data; `from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cut:
        """A cut from what `as_json` gave, also after a way through a JSON text."""
        tensors = {
            name: {int(dim): list(kept) for dim, kept in places.items()}
            for name, places in data["tensors"].items()
        }
        attributes = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in data["attributes"].items()
        }
        return cls(
            tensors,
            attributes,
            list(data["identities"]),
            dict(data["values"]),
            list(data["unfused"]),
            [list(names) for names in data.get("merged", [])],
            [list(names) for names in data.get("folded", [])],
        )


def apply_cut(model: nn.Module, cut: Cut) -> None:
    """Make `model` smaller, in place: ordinary modules with smaller tensors.

    Raises:
        MismatchError: the cut is of another network, or was made already.
    """
    for path in cut.unfused:
        _put(model, path, HeadAttention(_module(model, path)))  # type: ignore[arg-type]
    select_places(model, cut.tensors)
    touched = {name.rpartition(".")[0] for name in cut.tensors}
    for path in touched:
        layer = model.get_submodule(path)
        for name, value in sizes(layer).items():
            setattr(layer, name, value)
    for name, value in cut.attributes.items():
        path, _, key = name.rpartition(".")
        setattr(_module(model, path), key, value)
    for name, values in cut.values.items():
        path, _, key = name.rpartition(".")
        with torch.no_grad():
            getattr(_module(model, path), key).copy_(torch.tensor(values))
    for first, activation, second in cut.merged:
        _put(model, second, merge(_module(model, first), _module(model, second)))  # type: ignore[arg-type]
        _put(model, first, nn.Identity())
        _put(model, activation, nn.Identity())
    for layer_path, norm_path in cut.folded:
        fold(_module(model, layer_path), _module(model, norm_path))
        _put(model, norm_path, nn.Identity())
    for path in cut.identities:
        _put(model, path, nn.Identity())
    cuts(model).append(cut)


def unfuse(model: nn.Module) -> Cut:
    """Put a `HeadAttention` with the same weights in the place of each MultiheadAttention.

    In place; computes the same within float rounding. Afterwards its heads are groups that
    `remove` can cut.

    Examples:
        >>> layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        >>> unfuse(layer).unfused
        ['self_attn']
    """
    found = [
        path for path, module in model.named_modules() if isinstance(module, nn.MultiheadAttention)
    ]
    cut = Cut(unfused=found)
    if found:
        apply_cut(model, cut)
    return cut


def cuts(model: nn.Module) -> list[Cut]:
    """The cuts that were made in a network, in order; what `save_model` keeps of its shapes."""
    found: list[Cut] = model.__dict__.setdefault("_cuts", [])
    return found


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    _module(model, path)
    parent, _, key = path.rpartition(".")
    setattr(_module(model, parent), key, module)


def _module(model: nn.Module, path: str) -> nn.Module:
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise MismatchError(f"the network has no module {path!r}") from error


def without(groups: Groups, removed: Mapping[str, Sequence[int]]) -> tuple[Cut, Tensor]:
    """The cut that removes units of groups, by their index in the group, and their labels.

    Raises:
        UsageError: there is no such group or unit, or every unit of a group would go.
    """
    gone: list[int] = []
    for name, indices in removed.items():
        group = groups[name]
        _check_units(group, indices)
        gone += [group.units[index] for index in indices]
    labels = torch.tensor(gone, dtype=torch.int64)
    tensors = {}
    seen: set[int] = set()
    for name, traced in groups.trace.tensors.items():
        if id(traced) in seen:
            continue
        seen.add(id(traced))
        places = {}
        for factor in traced.factors:
            dim = max(range(factor.ndim), key=lambda d: factor.shape[d])
            stays = ~torch.isin(groups.trace.labels.roots(factor.reshape(-1)), labels)
            if not bool(stays.all()):
                places[dim] = torch.nonzero(stays).flatten().tolist()
        if places:
            tensors[name] = places
    return Cut(tensors), labels


def _check_units(group: Group, indices: Sequence[int]) -> None:
    bad = [index for index in indices if not 0 <= index < group.size]
    if bad:
        raise UsageError(f"{group.name} has the units 0 to {group.size - 1}; there is no {bad[0]}")
    if len(set(indices)) == group.size:
        raise UsageError(
            f"{group.name}: all {group.size} units would be removed; leave at least one, or remove "
            "the layer as a whole"
        )


def staying(found: Trace, value: Traced, gone: Tensor) -> list[Tensor]:
    """For each dimension of a traced tensor which of its places stay, ``[size]`` each."""
    stays = [torch.ones(size, dtype=torch.bool) for size in value.shape]
    for factor in value.factors:
        alive = ~torch.isin(found.labels.roots(factor), gone)
        for dim in varies(factor):
            others = [d for d in range(alive.ndim) if d != dim]
            stays[dim] &= alive.any(others) if others else alive
    return stays
