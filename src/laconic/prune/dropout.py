"""Dropout while a pruned network is trained again: less of it, as there is less to overfit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from laconic.errors import UsageError
from laconic.represent import matches_layer, weights


@contextmanager
def scaled_dropout(
    model: nn.Module, example: Tensor, original: Mapping[str, int] | None = None
) -> Iterator[dict[str, float]]:
    """While it lasts, every dropout has the rate ``D_r = D_o √(C_ir / C_io)``; then D_o again.

    Han, Pool, Tran, Dally, arXiv:1506.02626, section 3.2. C_io are the connections of layer i in
    the original network, C_ir those that are left: dropout works on neurons, and connections grow
    with the square of their number. Layer i is the one whose neurons are dropped: the weights that
    were last used before the dropout; where one module drops behind several layers, theirs
    together. The dropout inside of `nn.LSTM` and attention stays as it is.

    Args:
        model: with chains, or cut; what is not zero is a connection.
        example: as the network takes it; says which dropout is behind which layer.
        original: weight name → C_io, where layers were cut since; by default their size now.

    Yields:
        Dropout module → its rate for now.

    Raises:
        UsageError: there is no dropout module behind a layer with weights.

    Examples:
        >>> from laconic.prune import Prune
        >>> from laconic.represent import represent
        >>> network = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 2))
        >>> _ = represent(network[0], Prune(0.75))
        >>> with scaled_dropout(network, torch.zeros(1, 8)) as rates:
        ...     rates, network[1].p
        ({'1': 0.25}, 0.25)
        >>> network[1].p
        0.5
    """
    present = weights(model)
    left = {name: int((value != 0).sum()) for name, value in present.items()}
    whole = {name: value.numel() for name, value in present.items()} | dict(original or {})
    behind = _layers_behind(model, example)
    if not behind:
        raise UsageError(
            "no dropout module of this network follows a layer with weights; a functional dropout "
            "(torch.nn.functional.dropout) cannot be scaled"
        )
    modules = {path: model.get_submodule(path) for path in behind}
    before: dict[str, float] = {path: module.p for path, module in modules.items()}  # type: ignore[misc]
    rates = {}
    for path, layers in behind.items():
        names = [n for n in present if any(matches_layer(layer, n) for layer in layers)]
        share = sum(left[name] for name in names) / sum(whole[name] for name in names)
        rates[path] = before[path] * share**0.5
    try:
        for path, module in modules.items():
            module.p = rates[path]
        yield rates
    finally:
        for path, module in modules.items():
            module.p = before[path]  # type: ignore[assignment]


def _layers_behind(model: nn.Module, example: Tensor) -> dict[str, set[str]]:
    """Dropout module → the layers that were last used before it, in one pass of the example."""
    layers = {name.rpartition(".")[0] for name in weights(model)}
    found: dict[str, set[str]] = {}
    last: list[str] = []

    def note(path: str) -> Any:
        def called(module: nn.Module, *rest: Any) -> None:
            if not isinstance(module, _DropoutNd):
                last.append(path)
            elif last:
                found.setdefault(path, set()).add(last[-1])

        return called

    hooks = [
        module.register_forward_hook(note(path))
        for path, module in model.named_modules()
        if path in layers or isinstance(module, _DropoutNd)
    ]
    modes = [(module, module.training) for module in model.modules()]
    try:
        with torch.no_grad(), torch.random.fork_rng():
            model.eval()(example)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    return found
