"""Linear layers with an activation between them that is none: one layer, exact to rounding."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from laconic.errors import UnsupportedError
from laconic.represent import plain
from laconic.surgery.cut import Cut, apply_cut
from laconic.surgery.export import Example
from laconic.surgery.remove import TOLERANCE, difference, outputs


def following(model: nn.Module, example: Example, name: str) -> tuple[str, str]:
    """The ReLU module that takes what a linear layer gives, and the linear layer behind it.

    Raises:
        UnsupportedError: something else follows, the ReLU is a function without a module, or one
            of the three modules is called more than once: what takes its place would be too.

    Examples:
        >>> import torch
        >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        >>> following(network, torch.zeros(1, 4), "0")
        ('1', '2')
    """
    takers, calls = traffic(model, example)
    activation = takers.get(name, "")
    last = takers.get(activation, "")
    kinds = [model.get_submodule(path) for path in (name, activation, last)]
    fitting = all(
        isinstance(module, kind)
        for module, kind in zip(kinds, (nn.Linear, nn.ReLU, nn.Linear), strict=True)
    )
    if not (activation and last and fitting):
        raise UnsupportedError(
            f"{name}: a layer merges into the next where a Linear, an nn.ReLU module and a Linear "
            "follow each other; here they do not (functional.relu leaves no module to take away)"
        )
    _check_once(calls, name, activation, last)
    return activation, last


def _check_once(calls: Counter[str], *paths: str) -> None:
    for path in paths:
        if calls[path] > 1:
            raise UnsupportedError(
                f"{paths[0]}: a layer merges into the next where each module is called once, and "
                f"the network calls {path} {calls[path]} times; give each place a module of its "
                f"own, or leave {paths[0]} out"
            )


def traffic(model: nn.Module, example: Example) -> tuple[dict[str, str], Counter[str]]:
    """Module without children → the module that takes its output as it is; how often each runs."""
    calls: Counter[str] = Counter()
    made: dict[int, str] = {}
    kept: list[Tensor] = []
    found: dict[str, str] = {}

    def note(path: str) -> Any:
        def see(module: nn.Module, taken: tuple[Any, ...], given: Any) -> None:
            if taken and id(taken[0]) in made:
                found[made[id(taken[0])]] = path
            made[id(given)] = path
            calls[path] += 1
            kept.append(given)  # so that no other tensor gets its id

        return see

    twin = plain(model).cpu()
    for path, module in twin.named_modules():
        if not list(module.children()):
            module.register_forward_hook(note(path))
    outputs(twin, example)
    return found, calls


def merge_layers(model: nn.Module, example: Example, first: str, activation: str, last: str) -> Cut:
    """Put one linear layer in the place of `last` that computes both; `activation` goes.

    In place; compared on a copy before. `first` and `activation` become identities.

    Raises:
        UnsupportedError: one of them is restricted by a chain or called more than once, or
            something else reads what lies between.

    Examples:
        >>> import torch
        >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        >>> cut = merge_layers(network, torch.zeros(1, 4), "0", "1", "2")
        >>> network
        Sequential(
          (0): Identity()
          (1): Identity()
          (2): Linear(in_features=4, out_features=2, bias=True)
        )
    """
    for name in (first, last):
        if parametrize.is_parametrized(model.get_submodule(name)):
            raise UnsupportedError(f"{name}: a chain restricts its weight; merge layers before")
    _check_once(traffic(model, example)[1], first, activation, last)
    cut = Cut(merged=[[first, activation, last]])
    linear, merged = plain(model).cpu(), plain(model).cpu()
    apply_cut(linear, Cut(identities=[activation]))
    apply_cut(merged, cut)
    try:
        off = difference(outputs(linear, example), outputs(merged, example))
    except RuntimeError:  # the shapes differ where it is read elsewhere
        off = float("inf")
    if off > TOLERANCE:
        raise UnsupportedError(
            f"{first} and {last} are not one layer: merged, the outputs differ by {off:.2g}; what "
            f"{first} gives is read elsewhere too, or is changed on the way"
        )
    apply_cut(model, cut)
    return cut
