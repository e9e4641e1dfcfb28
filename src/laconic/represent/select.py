"""Keeping some places of a weight: smaller tensors, with their chains, in the module itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from laconic.errors import MismatchError
from laconic.represent.chain import chain

Places = Mapping[int, Sequence[int]]
"""Dimension → the indices along it that stay, in ascending order."""


def select_places(model: nn.Module, kept: Mapping[str, Places]) -> None:
    """Replace parameters and buffers of `model` by what `kept` leaves of them, in place.

    The masks and assignments of a chain shrink with their weight. A tensor that several modules
    share is cut once and stays shared; name it once, by any of its names.

    Args:
        model: with or without chains.
        kept: name (``"layer1.0.conv1.weight"``) → what stays of it.

    Raises:
        MismatchError: no tensor has such a name, or it is too small for these indices.

    Examples:
        >>> layer = nn.Linear(3, 2)
        >>> select_places(layer, {"weight": {1: [0, 2]}})
        >>> layer.weight.shape
        torch.Size([2, 2])
    """
    holders = _holders(model)
    made: dict[int, Tensor] = {}
    for name, places in kept.items():
        if name not in holders:
            raise MismatchError(f"the network has no tensor {name!r}")
        module, key = holders[name]
        present = _present(module, key)
        assert present is not None  # _holders lists no others
        if id(present) not in made:
            made[id(present)] = _cut(name, present, places)
            if parametrize.is_parametrized(module, key):
                _cut_chain(module, key, present, places)
        shared = made[id(present)]
        for other, other_key in holders.values():
            if _present(other, other_key) is present:
                _replace(other, other_key, shared)


def _holders(model: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Plain name → module and key, under every name; parametrizations themselves left out."""
    found = {}
    for path, module in model.named_modules(remove_duplicate=False):
        if "parametrizations" in path.split("."):
            continue
        keys = [*module._parameters, *module._buffers]
        if parametrize.is_parametrized(module):
            keys += list(module.parametrizations)
        for key in keys:
            if _present(module, key) is not None:
                found[f"{path}.{key}" if path else key] = (module, key)
    return found


def _present(module: nn.Module, key: str) -> Tensor | None:
    """The tensor itself; of a restricted weight the latent one; None where a layer goes without."""
    if parametrize.is_parametrized(module, key):
        latent: Tensor = module.parametrizations[key].original  # type: ignore[index,union-attr]
        return latent
    found = module._parameters.get(key)
    return found if found is not None else module._buffers.get(key)


def _cut(name: str, tensor: Tensor, places: Places) -> Tensor:
    value = tensor.detach()
    for dim, indices in places.items():
        if dim >= value.ndim or (len(indices) and indices[-1] >= value.shape[dim]):
            raise MismatchError(
                f"{name} has the shape {list(tensor.shape)}; places up to {max(indices)} along "
                f"dimension {dim} do not exist: it was cut already, or is of another network"
            )
        index = torch.as_tensor(indices, dtype=torch.int64, device=value.device)
        value = value.index_select(dim, index)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(value, requires_grad=tensor.requires_grad)
    return value


def _cut_chain(module: nn.Module, key: str, weight: Tensor, places: Places) -> None:
    """What a step learnt for each place of the weight shrinks with it."""
    for step in chain(module, key):
        for name in step.learnt:
            learnt = getattr(step, name)
            if learnt is None or learnt.ndim != weight.ndim:
                continue
            own = {
                dim: indices
                for dim, indices in places.items()
                if learnt.shape[dim] == weight.shape[dim] > 1
            }
            setattr(step, name, _cut(name, learnt, own))


def _replace(module: nn.Module, key: str, value: Tensor) -> None:
    if parametrize.is_parametrized(module, key):
        module.parametrizations[key].original = value  # type: ignore[index,union-attr]
    elif isinstance(value, nn.Parameter):
        setattr(module, key, value)  # an LSTM keeps a list of its weights, which this renews
    else:
        module._buffers[key] = value
