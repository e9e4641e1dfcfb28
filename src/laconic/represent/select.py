"""Keeping some places of a weight: smaller tensors, with their chains, in the module itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from laconic.errors import MismatchError, UnsupportedError
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
        UnsupportedError: a step cannot go on without these places, by name; nothing was changed.

    Examples:
        >>> layer = nn.Linear(3, 2)
        >>> select_places(layer, {"weight": {1: [0, 2]}})
        >>> layer.weight.shape
        torch.Size([2, 2])
    """
    holders = _holders(model)
    fold_foreign(model, [name for name in kept if name in holders])
    holders = _holders(model)
    for name, places in kept.items():
        if name in holders:
            _check_chain(name, *holders[name], places)
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
                _cut_chain(module, key, places)
        shared = made[id(present)]
        for other, other_key in holders.values():
            if _present(other, other_key) is present:
                _replace(other, other_key, shared)


def fold_foreign(model: nn.Module, names: Iterable[str]) -> None:
    """Make the named weights plain parameters where torch's own parametrizations compute them.

    In place: ``weight_norm`` and ``spectral_norm`` lose their hold on these weights, which keep
    the values that they have in eval mode. Chains of Steps stay.

    Raises:
        UnsupportedError: several weights of one module have parametrizations.
    """
    for name in names:
        path, _, key = name.rpartition(".")
        module = model.get_submodule(path)
        if not parametrize.is_parametrized(module, key) or chain(module, key):
            continue
        held: Any = module.parametrizations
        if len(held) > 1:
            raise UnsupportedError(
                f"{name}: several weights of its module have parametrizations; take them off "
                "first: torch.nn.utils.parametrize.remove_parametrizations"
            )
        training = module.training
        with torch.no_grad():
            value = getattr(module.eval(), key).detach().clone()
        module.train(training)
        # Not torch's remove_parametrizations: that deletes the property from the class, which a
        # deep copy shares with its original.
        module.__class__ = type(module).__bases__[0]
        del module._modules["parametrizations"]
        module.register_parameter(key, nn.Parameter(value))


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
        held: Any = module.parametrizations[key]  # type: ignore[index]
        latent: Tensor = held.original if hasattr(held, "original") else held.original0
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


def _check_chain(name: str, module: nn.Module, key: str, places: Places) -> None:
    """Let each step refuse to lose places."""
    for step in chain(module, key):
        for learnt in step.learnt:
            for dim in places:
                try:
                    step.along(learnt, dim)
                except UnsupportedError as error:
                    raise UnsupportedError(f"{name}: {error}") from error


def _cut_chain(module: nn.Module, key: str, places: Places) -> None:
    """What a step learnt for each place or channel of the weight shrinks with it."""
    for step in chain(module, key):
        for name in step.learnt:
            learnt = getattr(step, name)
            if learnt is None:
                continue
            along = {step.along(name, dim): indices for dim, indices in places.items()}
            own = {dim: indices for dim, indices in along.items() if dim is not None}
            if own:
                setattr(step, name, _cut(name, learnt, own))


def _replace(module: nn.Module, key: str, value: Tensor) -> None:
    if parametrize.is_parametrized(module, key):
        module.parametrizations[key].original = value  # type: ignore[index,union-attr]
    elif isinstance(value, nn.Parameter):
        setattr(module, key, value)  # an LSTM keeps a list of its weights, which this renews
    else:
        module._buffers[key] = value
