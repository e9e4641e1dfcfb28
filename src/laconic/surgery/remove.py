"""Removing channels, neurons and heads for real: ordinary smaller modules come out."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from laconic.errors import UnsupportedError
from laconic.represent import fold_foreign, plain
from laconic.surgery.cut import Cut, apply_cut, without
from laconic.surgery.export import Example, arguments, user_line
from laconic.surgery.groups import Groups
from laconic.surgery.sizes_in_code import attempts, candidates, paddings

LATENT = re.compile(r"(^|\.)parametrizations\.([^.]+)\.original$")
TOLERANCE = 1e-5
"""Largest difference, relative to the largest output (or 1), of the cut and the zeroed network."""


def remove(
    model: nn.Module,
    example: Example,
    units: Mapping[str, Sequence[int]],
    groups: Groups | None = None,
) -> Cut:
    """Remove units of groups from `model`, in place, after having compared on a copy.

    The smaller network computes what the network computes whose removed weights are zero; that is
    tried on the example before anything is changed. Where modules keep sizes in attributes of
    their own (``num_heads``), those are found and set.

    Args:
        model: with or without chains; its layers become smaller.
        example: as the network takes it; random numbers will do.
        units: group name → indices of units that go.
        groups: of this network as it is, where they are known already.

    Returns:
        What was done, as data: `apply_cut` does it again on a fresh network.

    Raises:
        UsageError: there is no such group or unit, or every unit of a group would go.
        UnsupportedError: the network cannot be traced, or keeps sizes in its code.

    Examples:
        >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        >>> cut = remove(network, torch.zeros(1, 4), {"0": [1, 4]})
        >>> network
        Sequential(
          (0): Linear(in_features=4, out_features=4, bias=True)
          (1): ReLU()
          (2): Linear(in_features=4, out_features=2, bias=True)
        )
    """
    groups = groups or Groups(model, example)
    twin = plain(model).cpu()
    cut, reason = _agreeing(twin, example, groups, units)
    if cut is None:
        alone = {name: _agreeing(twin, example, groups, {name: units[name]}) for name in units}
        wrong = {name: why for name, (found, why) in alone.items() if found is None}
        if not wrong:
            known = {name for found, _ in alone.values() if found for name in found.attributes}
            cut, _ = _agreeing(twin, example, groups, units, known)
        if cut is None:
            raise UnsupportedError(_refusal(wrong or {", ".join(units): reason}))
    apply_cut(model, cut)
    return cut


def _agreeing(
    twin: nn.Module,
    example: Example,
    groups: Groups,
    units: Mapping[str, Sequence[int]],
    known: Collection[str] | None = None,
) -> tuple[Cut | None, str]:
    """A cut after which the network computes the same as with zeros; or why there is none.

    Attributes are found by trying; where it is `known` which have to change, it is tried once.
    """
    bare, gone = without(groups, units)
    if not bare.tensors:
        return bare, ""
    planned = Cut(bare.tensors, paddings(twin, groups.trace, gone))
    wanted = outputs(zeroed(twin, planned), example)
    kinds = candidates(twin, groups.trace, gone)
    if known is not None:
        values = {name: new for kind in kinds.values() for name, new in kind.items()}
        chosen = {name: new for name, new in values.items() if name in known}
        planned, kinds = Cut(bare.tensors, {**planned.attributes, **chosen}), {}
    reason = ""
    for cut in attempts(planned, kinds):
        smaller = copy.deepcopy(twin)
        apply_cut(smaller, cut)
        try:
            found = outputs(smaller, example)
        except Exception as error:
            reason = reason or f"it fails with {type(error).__name__}: {error}{user_line(error)}"
            continue
        if difference(wanted, found) <= TOLERANCE:
            return cut, ""
        reason = reason or f"its outputs differ by {difference(wanted, found):.2g}"
    return None, reason


def _refusal(wrong: Mapping[str, str]) -> str:
    reasons = "; ".join(f"{name}: {why}" for name, why in wrong.items())
    return (
        f"{', '.join(wrong)}: the network without these units does not compute what it computes "
        f"with their weights at zero: {reasons if len(wrong) > 1 else next(iter(wrong.values()))}; "
        "it seems to keep sizes in its code: leave these groups out"
    )


def zeroed(model: nn.Module, cut: Cut) -> nn.Module:
    """A copy of a network (without chains) in which what the cut takes away is zero."""
    twin = copy.deepcopy(model)
    fold_foreign(twin, cut.tensors)
    set_zero(twin, cut)
    return twin


def set_zero(model: nn.Module, cut: Cut) -> None:
    """Set what the cut takes away to zero, in place; of a weight with a chain the latent one.

    Raises:
        UnsupportedError: a weight that another package's parametrization computes.
    """
    buffers = dict(model.named_buffers(remove_duplicate=False))
    parameters = {
        LATENT.sub(r"\1\2", name): value
        for name, value in model.named_parameters(remove_duplicate=False)
    }
    with torch.no_grad():
        for name, places in cut.tensors.items():
            if name in buffers:
                continue  # statistics of channels whose scale is zero
            if name not in parameters:
                raise UnsupportedError(
                    f"{name} is computed by a parametrization (weight_norm?) and cannot be held at "
                    "zero; take it off first: torch.nn.utils.parametrize.remove_parametrizations"
                )
            value = parameters[name]
            for dim, kept in places.items():
                gone = torch.ones(value.shape[dim], dtype=torch.bool)
                gone[kept] = False
                value.movedim(dim, 0)[gone] = 0.0


def outputs(model: nn.Module, example: Example) -> list[Tensor]:
    """All tensors that a network gives, in eval mode."""
    args, named = arguments(example)
    with torch.no_grad(), torch.random.fork_rng():
        given = model.eval()(*args, **named)
    leaves = torch.utils._pytree.tree_leaves(given)
    return [leaf.detach() for leaf in leaves if isinstance(leaf, Tensor)]


def difference(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """The largest difference of two lists of outputs, relative to the largest output or 1."""
    if [part.shape for part in one] != [part.shape for part in other]:
        return float("inf")
    worst = 0.0
    for a, b in zip(one, other, strict=True):
        if a.numel() and a.is_floating_point():
            scale = max(1.0, float(a.abs().max()))
            worst = max(worst, float((a - b).abs().max()) / scale)
    return worst
