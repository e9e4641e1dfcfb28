"""A network as it computes: restricted values under their plain names, without chains."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from laconic.represent.chain import Identity, _identity, _owners
from laconic.represent.recurrent import read_directly


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict of the network as it computes: restricted values under their plain names.

    Tied parameters with the same chain appear under each of their names as the same tensor object.
    What training alone needs is not in it (`training_alone`).
    """
    state: dict[str, Tensor] = {}
    shared: dict[Identity, Tensor] = {}
    left_out = training_alone(model)
    for key, value in model.state_dict(keep_vars=True).items():
        if key in left_out:
            continue
        parts = key.split(".parametrizations.")
        if len(parts) == 1 and not key.startswith("parametrizations."):
            state[key] = shared.setdefault((id(value), ()), value.detach())
            continue
        path = parts[0] if len(parts) == 2 else ""
        name = parts[-1].removeprefix("parametrizations.").split(".")[0]
        if key.endswith(
            (f"parametrizations.{name}.original", f"parametrizations.{name}.original0")
        ):
            with torch.no_grad():
                module = model.get_submodule(path)
                restricted = getattr(module, name).detach()
            plain_name = f"{path}.{name}" if path else name
            state[plain_name] = shared.setdefault(_identity(module, name, value), restricted)
    return state


def training_alone(model: nn.Module) -> set[str]:
    """Names in the state dict of what only training reads: a module's own list ``unpacked``."""
    return {
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        for name in getattr(module, "unpacked", ())
    }


def plain(model: nn.Module) -> nn.Module:
    """A copy of the model without parametrizations, in eval mode, with the restricted values."""
    twin = copy.deepcopy(model).eval()
    restricted = {
        name: owners
        for name, owners in _owners(twin).items()
        if parametrize.is_parametrized(*owners[0])
    }
    with torch.no_grad():
        values = {name: getattr(*owners[0]).detach().clone() for name, owners in restricted.items()}
    changed = [module for module in twin.modules() if parametrize.is_parametrized(module)]
    for module in changed:
        # Not torch's remove_parametrizations: that deletes the property from the class,
        # which a deep copy shares with its original.
        module.__class__ = type(module).__bases__[0]
        del module._modules["parametrizations"]
    for name, owners in restricted.items():
        value = nn.Parameter(values[name], requires_grad=False)
        for module, key in owners:
            module.register_parameter(key, value)
    for module in changed:
        if isinstance(module, nn.RNNBase):
            read_directly(module)
    return twin


def with_chains(model: nn.Module) -> nn.Module:
    """A copy whose chains may grow: ``copy.deepcopy`` alone lets both share a class.

    torch gives a layer with a chain a class of its own, whose properties are its restricted
    weights. A copy has the same class, and a chain that the copy gets on another weight would be
    looked for in the original.
    """
    found = copy.deepcopy(model)
    for module in found.modules():
        if parametrize.is_parametrized(module):
            shared = type(module)
            module.__class__ = type(shared.__name__, shared.__bases__, dict(vars(shared)))
    return found
