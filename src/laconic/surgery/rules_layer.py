"""Rules for layers: convolutions, normalisations, recurrences, pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from laconic.surgery.flow import Flow, Traced, Value, leaves, vector

aten = torch.ops.aten
Rule = Callable[..., Value]


def convolution(
    flow: Flow, operator: Any, x: Traced, weight: Traced, bias: Traced | None, stride: Any,
    padding: Any, dilation: Any, transposed: bool, output_padding: Any, groups: int,
) -> Value:  # fmt: skip
    """Channels of the input go with columns of the weight, those of the output with its rows."""
    because = "they are summed over"
    into = flow.along(x, 1, "maps of a channel go together")
    for dim in (0, *range(2, len(x.shape))):
        flow.fix(x, "a convolution slides along this dimension", [dim])
    rows, columns = (1, 0) if transposed else (0, 1)
    outputs = flow.along(weight, rows, "a filter goes whole")
    inputs = flow.along(weight, columns, "columns go whole")
    for dim in range(2, len(weight.shape)):
        flow.fix(weight, "kernels keep their size", [dim])
    count = weight.shape[rows] * (groups if transposed else 1)
    if groups == 1:
        _pair(flow, into, inputs, because)
    elif transposed and groups > 1 and not (weight.shape[0] == groups and weight.shape[1] == 1):
        flow.fix(x, "a grouped transposed convolution", [1])
        flow.fix(weight, "a grouped transposed convolution")
        outputs = None
    elif x.shape[1] == groups:
        outputs = _depthwise(flow, into, inputs if transposed else outputs, count // groups)
    else:
        _pair(flow, _over_groups(flow, into, groups), inputs, because)
        outputs = _over_groups(flow, outputs, groups, repeat=True)
    shape = (x.shape[0], count, *_spatial(x, weight, stride, padding, dilation, transposed, output_padding))  # noqa: E501  # fmt: skip
    if outputs is not None and bias is not None:
        _pair(flow, outputs, flow.along(bias, 0, ""), "a bias is added")
    elif bias is not None:
        flow.fix(bias, "the channels that it is added to are fixed")
    factors = [] if outputs is None else [vector(outputs, len(shape), 1)]
    return flow.made(shape, factors)


def _pair(flow: Flow, one: Tensor | None, other: Tensor | None, because: str) -> None:
    """Join two vectors of labels, or fix the one whose partner has none."""
    if one is not None and other is not None:
        flow.join(one, other, because)
    for labels, partner in ((one, other), (other, one)):
        if labels is not None and partner is None:
            flow.labels.fix(labels, flow.place, f"{because}, and one side has fixed sizes")


def _depthwise(flow: Flow, into: Tensor | None, rows: Tensor | None, each: int) -> Tensor | None:
    """Each channel by itself: an input goes with the `each` outputs that are made of it."""
    if into is not None and rows is not None:
        flow.join(into[:, None], rows.reshape(-1, each), "a depthwise filter sees one channel")
        return flow.labels.roots(rows)
    _pair(flow, into, rows, "a depthwise filter sees one channel")
    return None


def _over_groups(
    flow: Flow, labels: Tensor | None, groups: int, repeat: bool = False
) -> Tensor | None:
    """Groups stay equally large: the i-th channels of all groups go together."""
    if labels is None:
        return None
    grouped = labels.reshape(groups, -1)
    flow.join(grouped, grouped[:1], "groups stay equally large")
    grouped = flow.labels.roots(grouped)
    return grouped.reshape(-1) if repeat else grouped[0]


def _spatial(
    x: Traced, weight: Traced, stride: Any, padding: Any, dilation: Any, transposed: bool, more: Any
) -> list[int]:
    """Sizes of the output's maps, from torch itself."""
    blank = torch.empty((1, 1, *x.shape[2:]), device="meta")
    kernel = torch.empty((1, 1, *weight.shape[2:]), device="meta")
    result = aten.convolution(blank, kernel, None, stride, padding, dilation, transposed, more, 1)
    return list(result.shape[2:])


def batch_norm(
    flow: Flow, operator: Any, x: Traced, weight: Traced | None, bias: Traced | None,
    mean: Traced | None, variance: Traced | None, *arguments: Any,
) -> Value:  # fmt: skip
    """Each channel by itself, with its own scale, shift and statistics."""
    made = x
    for part in (weight, bias, mean, variance):
        if part is not None:
            shape = (part.shape[0], *(1,) * (len(x.shape) - 2))
            factors = tuple(f.reshape(-1, *(1,) * (len(x.shape) - 2)) for f in flow.factors(part))
            made = flow.same([made, Traced(shape, factors)], x.shape, "a channel is normalised")
    return (made, Traced((0,)), Traced((0,)))


def instance_norm(
    flow: Flow, operator: Any, x: Traced, weight: Traced | None, bias: Traced | None, *rest: Any
) -> Value:
    """As BatchNorm with the statistics of this batch, or of each example."""
    flow.fix(x, "mean and variance are over this dimension", [0, *range(2, len(x.shape))])
    mean, variance = (rest[0], rest[1]) if isinstance(rest[0], Traced) else (None, None)
    return batch_norm(flow, operator, x, weight, bias, mean, variance)


def layer_norm(
    flow: Flow, operator: Any, x: Traced, normalized: Sequence[int], weight: Traced | None = None,
    bias: Traced | None = None, *arguments: Any,
) -> Value:  # fmt: skip
    """Mean and variance are over the last dimensions: nothing there can be removed."""
    because = "mean and variance are over all of them"
    flow.fix(x, because, range(-len(normalized), 0))
    for part in (weight, bias):
        if part is not None:
            flow.fix(part, because)
    made = flow.made(x.shape, flow.factors(x))
    return (made, Traced((0,)), Traced((0,)))


def group_norm(
    flow: Flow, operator: Any, x: Traced, weight: Traced | None, bias: Traced | None,
    batch: int, channels: int, size: int, groups: int, *arguments: Any,
) -> Value:  # fmt: skip
    """With a group for each channel as BatchNorm; else mean and variance are over the channels."""
    if groups == channels:
        return batch_norm(flow, operator, x, weight, bias, None, None)
    because = "mean and variance are over a group of them"
    flow.fix([part for part in (x, weight, bias) if part is not None], because)
    return (Traced(x.shape), Traced((0,)), Traced((0,)))


def embedding(flow: Flow, operator: Any, weight: Traced, places: Traced, *rest: Any) -> Value:
    """Rows are looked up: the vocabulary stays, columns are channels of the output."""
    flow.fix(weight, "rows are looked up by their number", [0])
    flow.fix(places, "it holds places")
    shape = (*places.shape, weight.shape[1])
    columns = flow.along(weight, 1, "")
    factors = [] if columns is None else [vector(columns, len(shape), len(shape) - 1)]
    return flow.made(shape, factors)


def embedding_bag(
    flow: Flow, operator: Any, weight: Traced, places: Traced, offsets: Traced, *rest: Any
) -> Value:
    """Sums of rows: as `embedding`."""
    flow.fix(weight, "rows are looked up by their number", [0])
    columns = flow.along(weight, 1, "")
    ends = len(rest) > 4 and rest[4]
    shape = (offsets.shape[0] - int(bool(ends)), weight.shape[1])
    factors = [] if columns is None else [vector(columns, 2, 1)]
    return (flow.made(shape, factors), *[Traced((0,))] * 3)


def bilinear(
    flow: Flow, operator: Any, a: Traced, weight: Traced, b: Traced, *expanded: Any
) -> Value:
    """``yₒ = Σᵢⱼ aᵢ Wₒᵢⱼ bⱼ``: what `torch.nn.Bilinear` computes, the one user of this operator."""
    flow.fix([a, b], "examples of a batch", [0])
    for given, dim in ((a, 1), (b, 2)):
        _pair(flow, flow.along(given, 1, ""), flow.along(weight, dim, ""), "they are summed over")
    rows = flow.along(weight, 0, "")
    factors = [] if rows is None else [vector(rows, 2, 1)]
    return flow.made((a.shape[0], weight.shape[0]), factors)


def softmax(flow: Flow, operator: Any, x: Traced, dim: int, *rest: Any, **named: Any) -> Value:
    """Everything along the dimension adds up to one."""
    flow.fix(x, "it is normalised along this dimension", [dim])
    return flow.made(x.shape, flow.factors(x))


GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def recurrent(
    flow: Flow, operator: Any, x: Traced, states: Any, weights: Sequence[Traced], biases: bool,
    layers: int, dropout: float, training: bool, bidirectional: bool, batch_first: bool,
) -> Value:  # fmt: skip
    """The i-th hidden units of all layers and directions go together: they have one size."""
    gates = GATES[operator.overloadpacket.__name__]
    directions = 2 if bidirectional else 1
    each = len(weights) // (layers * directions)
    hidden = weights[1].shape[1]
    if each != (4 if biases else 2):
        flow.fix([x, *weights], "a recurrent layer with projections")
        return _recurrent_outputs(x, hidden, layers * directions, gates, batch_first, flow, None)
    units = flow.along(weights[1], 1, "")
    for state in leaves(states):
        _pair(flow, flow.along(state, -1, ""), units, "it is the first state")
    into = flow.along(x, -1, "features of all steps go together")
    because = "gates of one hidden unit"
    for place in range(layers * directions):
        own = weights[place * each : (place + 1) * each]
        for part in (own[0], own[1], *own[2:]):
            rows = flow.along(part, 0, "")
            if rows is None or units is None:
                flow.fix([x, *weights], "a recurrent layer with fixed weights")
            else:
                flow.join(rows.reshape(gates, -1), units[None], because)
        _pair(flow, flow.along(own[1], 1, ""), units, "hidden units feed back")
        if place // directions == 0:
            _pair(flow, into, flow.along(own[0], 1, ""), "they are summed over")
        elif units is not None:
            _pair(flow, units.repeat(directions), flow.along(own[0], 1, ""), "they are summed over")
    return _recurrent_outputs(
        x, hidden, layers * directions, gates, batch_first, flow, units, directions
    )


def _recurrent_outputs(
    x: Traced, hidden: int, states: int, gates: int, batch_first: bool, flow: Flow,
    units: Tensor | None, directions: int = 1,
) -> Value:  # fmt: skip
    """Outputs of all steps, the last hidden states and, of an LSTM, the last cells."""
    shape = (*x.shape[:-1], hidden * directions)
    batch = x.shape[:-1][0 if batch_first else 1] if len(x.shape) == 3 else 1
    state = (states, batch, hidden) if len(x.shape) == 3 else (states, hidden)
    factors, state_factors = [], []
    if units is not None:
        factors = [vector(units.repeat(directions), len(shape), len(shape) - 1)]
        state_factors = [vector(units, len(state), len(state) - 1)]
    made = [flow.made(shape, factors)] + [flow.made(state, state_factors)] * (
        2 if gates == 4 else 1
    )
    return tuple(made)


def pooled(flow: Flow, operator: Any, x: Traced, *arguments: Any, **named: Any) -> Value:
    """Windows slide along the last dimensions; channels keep their labels."""
    blank = operator(torch.zeros(x.shape), *arguments, **named)
    sizes = [blank.shape] if isinstance(blank, Tensor) else [part.shape for part in blank]
    flow.fix(x, "windows slide along this dimension", range(2, len(x.shape)))
    made = [flow.made(size, flow.factors(x)) for size in sizes]
    return made[0] if isinstance(blank, Tensor) else tuple(made)


def unpooled(
    flow: Flow, operator: Any, x: Traced, places: Traced, size: Sequence[int], *rest: Any
) -> Value:
    """Back to where the largest were; channels keep their labels."""
    flow.fix([x, places], "windows slide along this dimension", range(2, len(x.shape)))
    both = flow.same([x, places], x.shape, "the places of a channel go with it")
    return flow.made((*x.shape[: len(x.shape) - len(size)], *size), flow.factors(both))


def sampled(flow: Flow, operator: Any, x: Traced, grid: Traced, *rest: Any) -> Value:
    """Maps are looked up at computed places, which are the same for all channels."""
    flow.fix(x, "it is sampled along this dimension", [0, *range(2, len(x.shape))])
    flow.fix(grid, "it holds places")
    return flow.made((*x.shape[:2], *grid.shape[1:-1]), flow.factors(x))


POOLS = (
    aten.avg_pool1d, aten.avg_pool2d, aten.avg_pool3d, aten.max_pool2d_with_indices,
    aten.max_pool3d_with_indices, aten.max_pool2d, aten.max_pool1d, aten._adaptive_avg_pool2d,
    aten._adaptive_avg_pool3d, aten.adaptive_avg_pool1d, aten.adaptive_max_pool2d,
    aten.adaptive_avg_pool2d, aten.upsample_nearest2d, aten.upsample_bilinear2d,
    aten.upsample_bicubic2d, aten.upsample_nearest1d, aten.upsample_linear1d,
    aten.reflection_pad2d, aten.replication_pad2d, aten.reflection_pad1d, aten.replication_pad1d,
    aten.reflection_pad3d, aten.replication_pad3d, aten.upsample_nearest3d,
    aten.upsample_trilinear3d, aten._upsample_nearest_exact2d, aten.adaptive_max_pool1d,
    aten.adaptive_max_pool3d, aten.adaptive_avg_pool3d, aten._upsample_bilinear2d_aa,
    aten._upsample_bicubic2d_aa,
)  # fmt: skip

RULES: dict[Any, Rule] = {
    aten.convolution: convolution,
    aten._native_batch_norm_legit_no_training: batch_norm,
    aten._native_batch_norm_legit: instance_norm,
    aten.native_layer_norm: layer_norm,
    aten.native_group_norm: group_norm,
    aten.embedding: embedding,
    aten._trilinear: bilinear,
    aten._embedding_bag: embedding_bag,
    aten._embedding_bag_forward_only: embedding_bag,
    aten.max_unpool2d: unpooled,
    aten.max_unpool3d: unpooled,
    aten.grid_sampler_2d: sampled,
    aten.grid_sampler_3d: sampled,
    aten._softmax: softmax,
    aten.softmax: softmax,
    aten._log_softmax: softmax,
    aten.cumsum: softmax,
    aten.lstm: recurrent,
    aten.gru: recurrent,
    aten.rnn_tanh: recurrent,
    aten.rnn_relu: recurrent,
    **dict.fromkeys(POOLS, pooled),
}
