"""Sums over what comes into the layers: hooks on a copy of the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from laconic.errors import UnsupportedError, UsageError
from laconic.saliency.data import Data
from laconic.saliency.layers import examples, twin
from laconic.saliency.readers import Call, Reader, readers_of
from laconic.saliency.uses import OtherUses

CHUNK = 64
"""Examples at a time; the windows of a convolution take its input times the kernel's area."""


Moment = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Layer, its weight, the rows ``[groups, rows, columns]`` that came in (see `readers`) → a sum."""


def input_sums(
    model: nn.Module,
    names: Sequence[str],
    data: Data,
    moment: Moment,
    criterion: object,
    *,
    one_hot: bool = False,
) -> tuple[dict[str, Tensor], int]:
    """The sum of `moment` over all inputs of each layer, float64, and the number of examples.

    Args:
        model: with or without chains; left as it was.
        names: of weights.
        data: the examples.
        moment: what adds up, the same shape for every layer of a weight.
        criterion: who asks, for messages.
        one_hot: whether `moment` looks at squares alone, so that an embedding will do.

    Raises:
        UnsupportedError: a weight of another kind of layer, or a layer that is never called, or
            whose weight is also taken past it (see `uses`).
        UsageError: what comes into a layer is not finite.
    """
    copy, _ = twin(model, names)
    readers = readers_of(copy, names, criterion, one_hot=one_hot)
    sums: dict[str, Tensor] = {}

    def watch(name: str, key: str, read: Reader) -> Callable[..., None]:
        def add(layer: Any, args: tuple[Any, ...], named: dict[str, Any], outputs: Any) -> None:
            rows = read(layer, key, Call(name, args, named, outputs))
            found = moment(layer, attrgetter(key)(layer), rows).double()
            sums[name] = sums[name] + found if name in sums else found

        return add

    for name, owners in readers.items():
        for layer, key, read in owners:
            layer.register_forward_hook(watch(name, key, read), with_kwargs=True)
    uses = OtherUses({name: [owner[:2] for owner in owners] for name, owners in readers.items()})
    count = 0
    with torch.no_grad(), uses:
        for inputs, targets in examples(copy, data, CHUNK):
            copy(inputs)
            count += len(targets)
    for name in names:
        if name not in sums:
            raise UnsupportedError(
                f"{name}: the network never calls this {type(readers[name][0][0]).__name__} (it "
                f"takes the weight itself), so {criterion} sees no inputs of it; leave this layer "
                "out"
            )
        uses.check(name, criterion, "inputs")
        if not bool(torch.isfinite(sums[name]).all()):
            raise UsageError(f"{name}: an input of this layer is NaN or infinite")
    return sums, count


def input_hessians(
    model: nn.Module,
    names: Sequence[str],
    data: Data,
    damping: float = 0.01,
    criterion: object = "the input Hessian",
) -> dict[str, Tensor]:
    """``H = X Xᵀ / N + λ I`` of each layer's inputs, ``[groups, columns, columns]``, float64.

    Without λ the second derivative of ``½ ‖(w − ŵ) X‖² / N`` by the weights w of an output, where
    N counts examples and the columns of X are the positions (windows) of all of them. All outputs
    of a group share it.

    Args:
        model: with or without chains; left as it was.
        names: of weights whose inputs can be read (see `readers`), but no embedding.
        data: the examples.
        damping: λ as a part of the mean of the diagonal, so that inputs that are never active or
            depend on each other leave H invertible.
        criterion: who asks, for messages.

    Raises:
        UsageError: `damping` is not positive.
        UnsupportedError: a weight of another kind of layer, or a layer that is never called.
    """
    check_damping(damping)
    sums, count = input_sums(model, names, data, _products, criterion)
    hessians = {}
    for name, products in sums.items():
        mean = products.diagonal(dim1=1, dim2=2).mean(1) / count
        # A layer that sees zeros alone: any positive number does, its weights are free.
        level = torch.where(mean > 0, damping * mean, 1.0)
        identity = torch.eye(products.shape[1]).to(products)
        hessians[name] = products / count + level[:, None, None] * identity
    return hessians


def readable(model: nn.Module, names: Sequence[str], data: Data) -> list[str]:
    """Those of the weights whose inputs `input_hessians` can look at, in the order of `names`.

    Not the others: of another kind of layer, of one that the first examples do not reach, or taken
    past it.
    """
    copy, _ = twin(model, names)
    readers = {}
    for name in names:
        with suppress(UnsupportedError):
            readers.update(readers_of(copy, [name], "the input Hessian", one_hot=False))
    seen: dict[str, bool] = {}

    def watch(name: str, key: str, read: Reader) -> Callable[..., None]:
        def see(layer: Any, args: tuple[Any, ...], named: dict[str, Any], outputs: Any) -> None:
            try:
                read(layer, key, Call(name, args, named, outputs))
                seen.setdefault(name, True)
            except UnsupportedError:
                seen[name] = False

        return see

    for name, owners in readers.items():
        for layer, key, read in owners:
            layer.register_forward_hook(watch(name, key, read), with_kwargs=True)
    uses = OtherUses({name: [owner[:2] for owner in owners] for name, owners in readers.items()})
    with torch.no_grad(), uses:
        copy(next(examples(copy, data, CHUNK))[0])
    return [name for name in names if seen.get(name, False) and not uses.has_taken(name)]


def _products(layer: nn.Module, weight: Tensor, rows: Tensor) -> Tensor:
    return rows.mT @ rows


def check_damping(damping: float) -> None:
    """Refuse what makes nothing invertible.

    Raises:
        UsageError: it is not positive.
    """
    if not damping > 0:
        raise UsageError(f"damping {damping:g} is not positive; 0.01 is usual")
