"""Sizes that modules keep in attributes of their own: found by what the graph was made with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.padding import _ConstantPadNd

from laconic.surgery.cut import Cut, staying
from laconic.surgery.flow import Traced
from laconic.surgery.layers import sizes
from laconic.surgery.trace import Step, Trace

Kinds = dict[tuple[str, str], dict[str, Any]]
"""(class of a module, attribute) → where there are such and their new values."""
MOST_KINDS = 8
"""Kinds of attributes among which combinations are tried."""


def paddings(model: nn.Module, found: Trace, gone: Tensor) -> dict[str, Any]:
    """New paddings of the modules that pad channels (``nn.ConstantPad3d`` and its kin)."""
    changed: dict[str, Any] = {}
    for padding in found.paddings:
        if not isinstance(model.get_submodule(padding.place.module), _ConstantPadNd):
            continue
        name = f"{padding.place.module}.padding"
        pad = list(changed.get(name, padding.pad))
        stays = staying(found, padding.output, gone)[padding.dim]
        before, after = padding.pad[padding.index : padding.index + 2]
        pad[padding.index] = int(stays[:before].sum())
        pad[padding.index + 1] = int(stays[len(stays) - after :].sum())
        if tuple(pad) != padding.pad:
            changed[name] = tuple(pad)
    return changed


def candidates(model: nn.Module, found: Trace, gone: Tensor) -> Kinds:
    """Whole numbers, and tuples of them, in modules that equal a size that a cut changes.

    Returns:
        (class of the module, attribute) → ``{"layers.0.attention.heads": 3}``, its new values.
    """
    known: Kinds = {}
    for step in found.steps:
        changed = dict(_changes(found, step, gone))
        path = step.place.module
        while changed:
            module = model.get_submodule(path)
            own = {} if sizes(module) else vars(module)  # known layers are set by their tensors
            for name, value in own.items():
                new = _changed(value, changed)
                if new != value:
                    key = (type(module).__name__, name)
                    where = f"{path}.{name}" if path else name
                    known.setdefault(key, {})[where] = new
            if not path:
                break
            path = path.rpartition(".")[0]
    return known


def _changed(value: Any, sizes: dict[int, int]) -> Any:
    """A number, or the numbers of a tuple (``(8, 4, 4)``), after the cut."""
    if type(value) is int:
        return sizes.get(value, value)
    if type(value) is tuple and all(type(part) is int for part in value):
        return tuple(sizes.get(part, part) for part in value)
    return value


def _changes(found: Trace, step: Step, gone: Tensor) -> Iterator[tuple[int, int]]:
    """Sizes of an operation's tensors before and after the cut."""
    for traced in (*step.inputs, *step.outputs):
        yield from _sizes(found, traced, gone)


def _sizes(found: Trace, traced: Traced, gone: Tensor) -> Iterator[tuple[int, int]]:
    if not traced.factors:
        return
    for size, stays in zip(traced.shape, staying(found, traced, gone), strict=True):
        left = int(stays.sum())
        if left != size:
            yield size, left


def attempts(cut: Cut, kinds: Kinds) -> Iterator[Cut]:
    """The cut with no attribute of `kinds` changed, with one kind, with two, …

    As few as possible, because an attribute may have the value of a size by chance; whoever takes
    one compares what the network computes.
    """
    keys = list(kinds)[:MOST_KINDS]
    for count in range(len(keys) + 1):
        for chosen in combinations(keys, count):
            extra = {name: value for key in chosen for name, value in kinds[key].items()}
            yield Cut(cut.tensors, {**cut.attributes, **extra})
