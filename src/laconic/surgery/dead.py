"""What computes nothing any more: zero filters, channels that nobody reads, whole zero layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from laconic.errors import UnsupportedError, UsageError
from laconic.represent import plain
from laconic.surgery.choose import Units
from laconic.surgery.cut import Cut, apply_cut, without
from laconic.surgery.export import Example, user_line
from laconic.surgery.groups import Group, Groups
from laconic.surgery.remove import TOLERANCE, difference, outputs, remove, zeroed


def remove_layers(model: nn.Module, example: Example, layers: list[str]) -> Cut:
    """Put an Identity in the place of whole modules (residual blocks, layers), in place.

    What stays is the shortcut: of ``relu(F(x) + x)`` the network without the block keeps ``x``,
    which is what ``F = 0`` gives where x is an output of a ReLU.

    Args:
        model: with or without chains.
        example: as the network takes it.
        layers: paths of modules that give a tensor of the shape that they take.

    Raises:
        UsageError: there is no such module, it changes the shape, or the network does not run
            without it.
    """
    twin = plain(model).cpu()
    shapes = _shapes(twin, example)
    for path in layers:
        if path not in shapes:
            known = ", ".join(name for name in shapes if name)
            raise UsageError(f"no module {path!r} takes and gives a tensor; there are: {known}")
        taken, given = shapes[path]
        if taken != given:
            raise UsageError(
                f"{path} takes {list(taken)} and gives {list(given)}; only a module that keeps the "
                "shape can be removed"
            )
    cut = Cut(identities=list(layers))
    apply_cut(twin, cut)
    try:
        outputs(twin, example)
    except Exception as error:
        raise UsageError(
            f"the network does not run without {', '.join(layers)}: {type(error).__name__}: "
            f"{error}{user_line(error)}"
        ) from error
    apply_cut(model, cut)
    return cut


def _shapes(model: nn.Module, example: Example) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Modules that take and give one tensor → its shapes."""
    found: dict[str, tuple[torch.Size, torch.Size]] = {}
    paths = {module: path for path, module in model.named_modules()}

    def note(module: nn.Module, taken: Any, given: Any) -> None:
        if taken and isinstance(taken[0], Tensor) and isinstance(given, Tensor):
            found[paths[module]] = (taken[0].shape, given.shape)

    _watch(model, example, note)
    return found


def _watch(model: nn.Module, example: Example, note: Callable[..., None]) -> None:
    """Run the network while `note` sees each module, what it takes and what it gives."""
    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        outputs(model, example)
    finally:
        for hook in hooks:
            hook.remove()


def dead_units(model: nn.Module, groups: Groups) -> Units:
    """Units whose rows are all zero, or whose columns are, wherever they have any.

    A unit of zero rows may still give a constant (a BatchNorm behind it shifts); `remove_dead`
    tries.
    """
    state = {name: value.detach() for name, value in plain(model).state_dict().items()}
    found = {}
    for name, group in groups.items():
        rows = _all_zero(groups, group, state, makes=True)
        columns = _all_zero(groups, group, state, makes=False)
        chosen = torch.nonzero(rows | columns).flatten().tolist()
        if chosen:
            found[name] = chosen
    return found


def _all_zero(groups: Groups, group: Group, state: dict[str, Tensor], *, makes: bool) -> Tensor:
    """Which units have no weight but zeros on one side; False where a group has no such side."""
    units = torch.tensor(group.units)
    zero, seen = torch.ones(group.size, dtype=torch.bool), False
    for part in group.slices:
        weight = state[part.tensor]
        if part.makes != makes or weight.ndim < 2:
            continue
        seen = True
        other = weight.movedim(part.dim, 0).reshape(weight.shape[part.dim], -1)
        alive = (other != 0).any(1)
        place = groups.positions(part.tensor, part.dim)
        zero &= ~torch.isin(units, place[alive])
    return zero if seen else torch.zeros(group.size, dtype=torch.bool)


def remove_dead(model: nn.Module, example: Example) -> list[Cut]:
    """Remove what computes nothing, in place: zero layers, then units of zero rows or columns.

    Nothing that the network computes changes: each removal is tried on the example first, and
    what gives a constant that cannot be spared stays.

    Args:
        model: with or without chains, pruned by whatever tool.
        example: as the network takes it; real inputs, since it decides.

    Returns:
        The cuts that were made.
    """
    made = []
    layers = _identities(model, example)
    if layers.identities:
        apply_cut(model, layers)
        made.append(layers)
    groups = Groups(model, example)
    twin = plain(model).cpu()
    before = outputs(twin, example)

    def is_idle(name: str, units: list[int]) -> bool:
        """Whether the network computes the same without these units."""
        cut, _ = without(groups, {name: units})
        return difference(before, outputs(zeroed(twin, cut), example)) <= TOLERANCE

    units: Units = {}
    for name, chosen in dead_units(model, groups).items():
        chosen = chosen if len(chosen) < groups[name].size else chosen[1:]  # one stays in any case
        idle = [unit for unit in chosen if is_idle(name, [unit])]
        if idle and is_idle(name, idle):
            units[name] = idle
    if units:
        made.append(remove(model, example, units, groups))
    return made


def _identities(model: nn.Module, example: Example) -> Cut:
    """Convolutions of zeros with a BatchNorm behind them: the BatchNorm alone gives the constant.

    What nobody reads any more goes too, where it keeps the shape.
    """
    twin = plain(model).cpu()
    before = outputs(twin, example)
    shapes = _shapes(twin, example)
    following = _following_norms(twin, example)
    cut = Cut()
    for path, layer in list(twin.named_modules()):
        if not isinstance(layer, _ConvNd) or layer.weight.any() or layer.bias is not None:
            continue
        norm = following.get(path)
        if norm is None or shapes[path][0] != shapes[path][1]:
            continue
        cut = _with(cut, [path], _constant(twin, norm))
    if not cut.identities:
        return cut
    smaller = plain(twin)
    apply_cut(smaller, cut)
    unread = [
        path
        for path, layer in smaller.named_modules()
        if isinstance(layer, _ConvNd | _BatchNorm)
        and f"{path}.weight" not in cut.values
        and shapes[path][0] == shapes[path][1]
        and _is_unread(smaller, layer, example, before)
    ]
    cut = _with(cut, unread, {})
    return cut if _computes(twin, cut, example, before) else Cut()


def _is_unread(model: nn.Module, layer: nn.Module, example: Example, before: list[Tensor]) -> bool:
    """Whether the network computes the same whatever this layer gives."""
    noise = torch.Generator().manual_seed(0)
    hook = layer.register_forward_hook(
        lambda module, taken, given: torch.randn(given.shape, generator=noise)
    )
    try:
        return difference(before, outputs(model, example)) <= TOLERANCE
    finally:
        hook.remove()


def _with(cut: Cut, identities: list[str], values: dict[str, list[float]]) -> Cut:
    return Cut(cut.tensors, cut.attributes, cut.identities + identities, {**cut.values, **values})


def _computes(model: nn.Module, cut: Cut, example: Example, before: list[Tensor]) -> bool:
    smaller = plain(model)
    apply_cut(smaller, cut)
    try:
        return difference(before, outputs(smaller, example)) <= TOLERANCE
    except (RuntimeError, UnsupportedError):
        return False


def _constant(model: nn.Module, path: str) -> dict[str, list[float]]:
    """New values of a BatchNorm that gives, of any input, what it now gives of zeros."""
    norm: Any = model.get_submodule(path)
    size = norm.num_features
    zeros = torch.zeros(1, size, *(1,) * 2)
    with torch.no_grad():
        constant = norm.eval()(zeros).flatten()
    return {
        f"{path}.weight": [0.0] * size,
        f"{path}.bias": constant.tolist(),
        f"{path}.running_mean": [0.0] * size,
        f"{path}.running_var": [1.0] * size,
    }


def _following_norms(model: nn.Module, example: Example) -> dict[str, str]:
    """Convolution → the BatchNorm with scale and statistics that takes its output as it is."""
    paths = {module: path for path, module in model.named_modules()}
    made: dict[int, str] = {}
    kept: list[Tensor] = []
    found: dict[str, str] = {}

    def note(module: nn.Module, taken: Any, given: Any) -> None:
        if isinstance(module, _ConvNd):
            made[id(given)] = paths[module]
            kept.append(given)  # so that no other tensor gets its id
        elif isinstance(module, _BatchNorm) and module.affine and id(taken[0]) in made:
            found[made[id(taken[0])]] = paths[module]

    _watch(model, example, note)
    return found
