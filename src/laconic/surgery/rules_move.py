"""Rules for operators that move, join or select data: labels go where the data go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from laconic.surgery.flow import Flow, Padding, Traced, Value, leaves
from laconic.surgery.labels import varies

aten = torch.ops.aten
Rule = Callable[..., Value]

MOVES = (
    aten.view, aten._unsafe_view, aten.reshape, aten.permute, aten.transpose, aten.t, aten.slice,
    aten.select, aten.split, aten.split_with_sizes, aten.chunk, aten.unbind, aten.squeeze,
    aten.unsqueeze, aten.repeat, aten.flip, aten.roll, aten.flatten, aten.unflatten, aten.narrow,
    aten.movedim, aten.repeat_interleave, aten.pixel_shuffle, aten.pixel_unshuffle,
    aten.channel_shuffle, aten.index_select, aten.diagonal, aten.alias, aten.detach, aten.clone,
    aten.contiguous, aten._to_copy, aten.to, aten.lift_fresh_copy, aten.expand_as, aten.view_as,
)  # fmt: skip
"""Operators whose output is their first input's data in other places."""
SPLITS = (aten.split, aten.split_with_sizes, aten.chunk)


def move(flow: Flow, operator: Any, value: Traced, *arguments: Any, **named: Any) -> Value:
    """Apply the operator to the labels themselves."""
    if leaves(list(arguments)):
        if operator.overloadpacket is aten.index_select:
            return index_select(flow, value, *arguments)
        flow.fix(value, "it moves by computed places")
        return Traced(value.shape)
    if operator.overloadpacket in SPLITS:
        parts = operator(torch.zeros(value.shape), *arguments, **named)
        _keep_parts_equal(flow, value, parts)
    if operator.overloadpacket in (aten._to_copy, aten.to, aten.clone, aten.contiguous):
        return flow.made(value.shape, flow.factors(value))
    return flow.moved(value, lambda labels: operator(labels, *arguments, **named))


def _keep_parts_equal(flow: Flow, value: Traced, parts: Sequence[Tensor]) -> None:
    """Of equal parts (``chunk``) the i-th places go together, so that the parts stay equal."""
    sizes = {tuple(part.shape) for part in parts}
    dims = [d for d, size in enumerate(value.shape) if size != parts[0].shape[d]]
    if len(sizes) != 1 or len(dims) != 1 or parts[0].shape[dims[0]] == 1:
        return
    for factor in flow.factors(value):
        if dims[0] in varies(factor):
            first, *others = torch.split(factor, parts[0].shape[dims[0]], dims[0])
            for other in others:
                flow.join(first, other, "equal parts stay equally large")


def index_select(flow: Flow, value: Traced, dim: int, index: Traced) -> Value:
    """Places along one dimension that are computed: nothing can be removed along it."""
    flow.fix(value, "it is indexed along this dimension", [dim])
    shape = list(value.shape)
    shape[dim] = index.shape[0] if index.shape else 1
    return flow.made(shape, flow.factors(value))


def expand(flow: Flow, operator: Any, value: Traced, size: Sequence[int], **named: Any) -> Value:
    """New dimensions come first; where the size was 1 there are no labels."""
    shape = torch.zeros(1).expand(value.shape).expand(tuple(size)).shape
    factors = [
        f.reshape((1,) * (len(shape) - f.ndim) + tuple(f.shape)) for f in flow.factors(value)
    ]
    return flow.made(shape, factors)


def cat(flow: Flow, operator: Any, values: Sequence[Traced], dim: int = 0) -> Value:
    """Along `dim` the labels follow each other; along all others they must be the same."""
    values = [value for value in values if value.shape != (0,)]
    rank = len(values[0].shape)
    dim %= rank
    for value in values:
        for factor in flow.factors(value):
            if dim in varies(factor) and varies(factor)[0] != dim:
                flow.keep(factor, dim, "it is concatenated, and whole heads go")
    along = [flow.along(value, dim, "it is concatenated") for value in values]
    others = [
        Traced(
            tuple(1 if d == dim else size for d, size in enumerate(value.shape)),
            tuple(f for f in flow.factors(value) if dim not in varies(f)),
        )
        for value in values
    ]
    size = sum(value.shape[dim] for value in values)
    shape = [size if d == dim else s for d, s in enumerate(values[0].shape)]
    flat = [1 if d == dim else s for d, s in enumerate(values[0].shape)]
    factors = list(flow.same(others, flat, "they are concatenated side by side").factors)
    if any(labels is not None for labels in along):
        pieces = [
            torch.zeros(value.shape[dim], dtype=torch.int64) if labels is None else labels
            for value, labels in zip(values, along, strict=True)
        ]
        joined = torch.cat(pieces)
        factors.append(joined.reshape([size if d == dim else 1 for d in range(rank)]))
    return flow.made(shape, factors)


def pad(flow: Flow, operator: Any, value: Traced, pad: Sequence[int], fill: float = 0.0) -> Value:
    """Zeros beside labelled positions get labels of their own: they go with what is added there."""
    rank = len(value.shape)
    shape = list(value.shape)
    sides = {}
    for place in range(len(pad) // 2):
        dim = rank - 1 - place
        before, after = pad[2 * place], pad[2 * place + 1]
        shape[dim] += before + after
        if before or after:
            sides[dim] = (before, after)
    factors: list[Tensor] = []
    padded: list[int] = []
    for factor in flow.factors(value):
        for dim, (before, after) in sides.items():
            if dim not in varies(factor):
                continue
            if varies(factor) != [dim] or before < 0 or after < 0 or fill != 0:
                flow.fix(value, "it is padded along this dimension", [dim])
                continue
            labels = flow.labels.roots(factor.reshape(-1))
            around = flow.labels.fresh(before + after)
            factor = torch.cat([around[:before], labels, around[before:]])
            factor = factor.reshape([-1 if d == dim else 1 for d in range(rank)])
            padded.append(dim)
        factors.append(factor)
    made = flow.made(shape, factors)
    for dim in padded:
        flow.paddings.append(Padding(flow.place, made, dim, tuple(pad)))
    return made


def like(flow: Flow, operator: Any, value: Traced, *arguments: Any, **named: Any) -> Value:
    """A constant of the shape of another tensor: it shrinks with it."""
    return flow.made(value.shape, flow.factors(value))


def fill(flow: Flow, operator: Any, size: Sequence[int], *arguments: Any, **named: Any) -> Value:
    """Equal values: each place has a label of its own and goes with what it meets."""
    factors = [
        flow.labels.fresh(count).reshape([-1 if d == dim else 1 for d in range(len(size))])
        for dim, count in enumerate(size)
        if count > 1
    ]
    return flow.made(size, factors)


def reduce(
    flow: Flow, operator: Any, value: Traced, dims: Sequence[int] | int | None = None,
    keepdim: bool = False, **named: Any,
) -> Value:  # fmt: skip
    """Sums, means and maxima over dimensions: nothing can be removed along those."""
    rank = len(value.shape)
    given = [dims] if isinstance(dims, int) else dims or range(rank)
    over = {dim % rank for dim in given}
    flow.fix(value, f"{operator.overloadpacket.__name__} is over this dimension", list(over))
    kept = [d for d in range(rank) if d not in over]
    factors = []
    for factor in flow.factors(value):
        shape = [1 if d in over else factor.shape[d] for d in (range(rank) if keepdim else kept)]
        factors.append(factor.reshape(shape))
    sizes = [1 if d in over else value.shape[d] for d in (range(rank) if keepdim else kept)]
    return flow.made(sizes, factors)


def extreme(
    flow: Flow, operator: Any, value: Traced, dim: Any = None, keepdim: bool = False
) -> Value:
    """The largest over a dimension, and where it is; or of two tensors element by element."""
    if isinstance(dim, Traced):
        shape = (torch.empty(value.shape) + torch.empty(dim.shape)).shape
        return flow.same([value, dim], shape, "they are combined element by element")
    made = reduce(flow, operator, value, dim, keepdim)
    return made if dim is None else (made, made)


def norm(
    flow: Flow, operator: Any, value: Traced, order: Any = 2, dims: Any = None,
    keepdim: bool = False, **named: Any,
) -> Value:  # fmt: skip
    """A norm over dimensions: nothing can be removed along those."""
    return reduce(flow, operator, value, dims, keepdim)


def index(flow: Flow, operator: Any, value: Traced, indices: Sequence[Any]) -> Value:
    """Advanced indexing: nothing can be removed along indexed dimensions; others keep labels."""
    indexed = [dim for dim, one in enumerate(indices) if one is not None]
    flow.fix(value, "it is indexed along this dimension", indexed)
    for one in indices:
        flow.fix(one, "it holds places")

    def take(labels: Tensor) -> Tensor:
        zeros = [
            None if one is None else torch.zeros(one.shape, dtype=torch.int64) for one in indices
        ]
        return labels[tuple(slice(None) if one is None else one for one in zeros)]

    return flow.moved(value, take)


RULES: dict[Any, Rule] = {
    **dict.fromkeys(MOVES, move),
    aten.expand: expand,
    aten.cat: cat,
    aten.concat: cat,
    aten.constant_pad_nd: pad,
    **dict.fromkeys((aten.full_like, aten.zeros_like, aten.ones_like, aten.empty_like), like),
    **dict.fromkeys((aten.full, aten.zeros, aten.ones), fill),
    aten.mean: reduce,
    aten.sum: reduce,
    aten.amax: reduce,
    aten.amin: reduce,
    aten.any: reduce,
    aten.all: reduce,
    aten.var: reduce,
    aten.std: reduce,
    aten.prod: reduce,
    aten.logsumexp: reduce,
    aten.argmax: reduce,
    aten.argmin: reduce,
    aten.max: extreme,
    aten.min: extreme,
    aten.norm: norm,
    aten.linalg_vector_norm: norm,
    aten.index: index,
}
