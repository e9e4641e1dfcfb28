"""Rules for products: what is summed over goes together, batches of products are heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from laconic.surgery.flow import Flow, Traced, Value
from laconic.surgery.labels import varies

aten = torch.ops.aten
Rule = Callable[..., Value]


def matmul(flow: Flow, operator: Any, a: Traced, b: Traced, **named: Any) -> Value:
    """``[…, i, k] · […, k, j]``: the labels of k are one, those of all other dimensions stay."""
    if len(b.shape) == 1:
        b = Traced((*b.shape, 1), tuple(f.unsqueeze(-1) for f in flow.factors(b)))
        made = product(flow, a, b)
        return flow.made(made.shape[:-1], [f.squeeze(-1) for f in made.factors])
    if len(a.shape) == 1:
        a = Traced((1, *a.shape), tuple(f.unsqueeze(0) for f in flow.factors(a)))
        made = product(flow, a, b)
        return flow.made((*made.shape[:-2], made.shape[-1]), [f.squeeze(-2) for f in made.factors])
    return product(flow, a, b)


def product(flow: Flow, a: Traced, b: Traced) -> Traced:
    """See `matmul`; both have two dimensions or more."""
    rank = max(len(a.shape), len(b.shape))
    a, b = _widened(flow, a, rank), _widened(flow, b, rank)
    batch = [max(sizes) for sizes in zip(a.shape[:-2], b.shape[:-2], strict=True)]
    shape = (*batch, a.shape[-2], b.shape[-1])
    for one, other in ((a, b), (b, a)):
        _keep_batches(flow, one, other)
    inner_a, outer_a = _parted(flow, a, rank - 1)
    inner_b, outer_b = _parted(flow, b, rank - 2)
    _contract(flow, inner_a, inner_b, a.shape[-1])
    # Of the summed labels those of the batch stay: they say which matrices go, not which columns.
    over = [_batch_part(flow, factor) for factor in (*inner_a, *inner_b)]
    outer = [*outer_a, *outer_b, *over]
    kept = [factor for factor in outer if varies(factor)]
    for place, factor in enumerate(kept):
        for earlier in kept[:place]:
            if {dim for dim in varies(factor) if dim < rank - 2} & set(varies(earlier)):
                flow.join(factor, earlier, "they are batches of one product")
    return flow.made(shape, kept)


def _keep_batches(flow: Flow, one: Traced, other: Traced) -> None:
    """A matrix of a batch stays where its partner has no label that says it may go."""
    partners = [set(varies(factor)) for factor in flow.factors(other)]
    for factor in flow.factors(one):
        for dim in varies(factor):
            lonely = not any(dim in partner for partner in partners)
            if dim < len(one.shape) - 2 and other.shape[dim] > 1 and lonely:
                flow.keep(factor, dim, "they are batches of one product, and one side stays")


def _widened(flow: Flow, value: Traced, rank: int) -> Traced:
    front = (1,) * (rank - len(value.shape))
    return Traced(
        front + value.shape, tuple(f.reshape(front + tuple(f.shape)) for f in flow.factors(value))
    )


def _parted(flow: Flow, value: Traced, inner: int) -> tuple[list[Tensor], list[Tensor]]:
    """The factors that vary along the summed dimension, and the others."""
    rank = len(value.shape)
    outer = 2 * rank - 3 - inner
    summed, others = [], []
    for factor in flow.factors(value):
        if inner not in varies(factor):
            others.append(factor)
            continue
        if outer in varies(factor):
            flow.join(factor, factor.narrow(outer, 0, 1), "rows of a product go together")
            factor = flow.labels.roots(factor).narrow(outer, 0, 1)
        summed.append(factor.transpose(inner, rank - 1))
    return summed, others


def _contract(flow: Flow, ours: list[Tensor], theirs: list[Tensor], size: int) -> None:
    """Join what is summed over; `size` is how long that dimension is."""
    because = "they are summed over"
    if not ours or not theirs:
        for factor in (*ours, *theirs):
            flow.labels.fix(factor, flow.place, f"{because}, and one side has fixed sizes")
        return
    if not _alike(flow, ours, theirs, because):
        for factor in (*ours[1:], *theirs):
            flow.join(ours[0], factor, because)
    for factor in (*ours, *theirs):
        if len(varies(factor)) > 1:
            # In each matrix of a batch other columns: heads go whole.
            flow.join(factor, factor.narrow(-1, 0, 1), "a head goes whole")


def _alike(flow: Flow, ours: list[Tensor], theirs: list[Tensor], because: str) -> bool:
    """Join factor by factor where both sides part the dimension alike: heads and their features."""
    if not 1 < len(ours) == len(theirs):
        return False
    pairs = []
    for one in ours:
        same = [other for other in theirs if _parts(one) == _parts(other)]
        if len(same) != 1 or len(varies(one)) > 1:
            return False
        pairs.append((one, same[0]))
    for one, other in pairs:
        flow.join(one, other, because)
    return True


def _parts(factor: Tensor) -> list[int]:
    """For each place the first one with the same label."""
    first: dict[int, int] = {}
    return [
        first.setdefault(label, place) for place, label in enumerate(factor.reshape(-1).tolist())
    ]


def _batch_part(flow: Flow, factor: Tensor) -> Tensor:
    return flow.labels.roots(factor).narrow(-1, 0, 1)


def addmm(flow: Flow, operator: Any, bias: Traced, a: Traced, b: Traced, **named: Any) -> Value:
    """A product and a bias."""
    made = product(flow, a, b)
    return flow.same([made, bias], made.shape, "a bias is added")


def linear(
    flow: Flow, operator: Any, x: Traced, weight: Traced, bias: Traced | None = None
) -> Value:
    """``x Wᵀ + b``."""
    turned = Traced((weight.shape[1], weight.shape[0]), tuple(f.t() for f in flow.factors(weight)))
    made = product(flow, x, turned)
    return made if bias is None else flow.same([made, bias], made.shape, "a bias is added")


def attention(
    flow: Flow, operator: Any, query: Traced, key: Traced, value: Traced, mask: Any = None,
    *rest: Any, **named: Any,
) -> Value:  # fmt: skip
    """``softmax(q kᵀ) v`` of each head."""
    turned = Traced(
        (*key.shape[:-2], key.shape[-1], key.shape[-2]),
        tuple(f.transpose(-1, -2) for f in flow.factors(key)),
    )
    scores = product(flow, query, turned)
    if isinstance(mask, Traced):
        scores = flow.same([scores, mask], scores.shape, "a mask is added")
    flow.fix(scores, "it is normalised along this dimension", [-1])
    return product(flow, scores, value)


RULES: dict[Any, Rule] = {
    aten.mm: matmul,
    aten.bmm: matmul,
    aten.matmul: matmul,
    aten.mv: matmul,
    aten.addmm: addmm,
    aten.linear: linear,
    aten.scaled_dot_product_attention: attention,
}
