"""What each weight of a layer is multiplied with, for every type of layer that can be looked into.

A weight is seen as ``[groups, outputs / groups, columns]``; its *rows* are ``[groups, rows,
columns]``, one for each position of each example, and ``rows @ weight.mT`` is what it gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from laconic.errors import UnsupportedError
from laconic.saliency.layers import Layer, for_each_weight, input_rows, owners_of


class Call(NamedTuple):
    """One call of a layer, whose weight has this name: what it got and what it gave."""

    name: str
    args: tuple[Any, ...]
    named: dict[str, Any]
    outputs: Any

    def argument(self, place: int, name: str) -> Any:
        """An argument, however it was given; None where it was not."""
        return self.args[place] if place < len(self.args) else self.named.get(name)


Reader = Callable[[Any, str, Call], Tensor]
"""Layer, name of its weight there, call → rows."""


def readers_of(
    copy: nn.Module, names: Sequence[str], criterion: object, *, one_hot: bool
) -> dict[str, list[tuple[nn.Module, str, Reader]]]:
    """The layers that multiply by each weight, and how their inputs are read.

    Args:
        copy: without chains, as `twin` gives it.
        names: of weights.
        criterion: who asks, for the message.
        one_hot: whether an embedding will do, of whose inputs nothing but counts is known.

    Raises:
        UnsupportedError: a weight of another kind of layer, by name.
    """
    # An attention takes the weight of its output projection itself.
    attention = {
        id(module.out_proj): module
        for module in copy.modules()
        if isinstance(module, nn.MultiheadAttention)
    }
    found: dict[str, list[tuple[nn.Module, str, Reader]]] = {}
    for name, owners in owners_of(copy, names).items():
        found[name] = []
        for holder, own in owners:
            module, key = holder, own
            if id(holder) in attention:
                module, key = attention[id(holder)], f"out_proj.{own}"
            read = _reader(module, key)
            if read is None or (read is _counts and not one_hot):
                kinds = "linear, convolutional and recurrent layers, attention's projections"
                raise UnsupportedError(
                    f"{name}: {criterion} looks at what comes into {kinds}"
                    f"{' and embeddings' if one_hot else ''}, not at the {key} of "
                    f"{type(module).__name__}; leave this layer out, or choose a criterion that "
                    "looks at weights and gradients alone, such as taylor"
                )
            found[name].append((module, key, read))
    return found


def in_its_shape(module: nn.Module, weight: Tensor, columns: Tensor) -> Tensor:
    """A figure for each input column, ``[groups, columns]``, in the weight's shape."""
    if isinstance(module, nn.Embedding):
        return columns.mT.expand_as(weight)
    return for_each_weight(weight, columns)


def _reader(module: nn.Module, key: str) -> Reader | None:
    for kinds, keys, read in READERS:
        if isinstance(module, kinds) and key.startswith(keys):
            return read
    return None


def _plain_rows(layer: Any, key: str, call: Call) -> Tensor:
    return input_rows(layer, call.argument(0, "input"))


def _counts(layer: Any, key: str, call: Call) -> Tensor:
    """An embedding's inputs are one-hot: one row whose squares are how often each was used."""
    used = torch.bincount(call.argument(0, "input").flatten(), minlength=layer.num_embeddings)
    return used.to(layer.weight.dtype).sqrt()[None, None]


def _cell(layer: Any, key: str, call: Call) -> Tensor:
    """x of a recurrent cell, or the h that it got: zeros where it got none."""
    inputs: Tensor = call.argument(0, "input")
    rows = inputs
    if key != "weight_ih":
        state = call.argument(1, "hx")
        rows = state[0] if isinstance(state, tuple) else state
        if rows is None:
            rows = inputs.new_zeros(*inputs.shape[:-1], layer.hidden_size)
    return rows.reshape(1, -1, rows.shape[-1])


def _recurrent(layer: Any, key: str, call: Call) -> Tensor:
    """x_t of one layer of a recurrent network (what the layer below gives), or its h_{t−1}.

    The fused kernel shows the outputs of the last layer alone: those below are computed again.
    """
    inputs = call.argument(0, "input")
    if not isinstance(inputs, Tensor):
        raise UnsupportedError(
            f"{call.name}: a packed sequence comes into this {type(layer).__name__}; give "
            "sequences of one length, or leave this layer out"
        )
    state = call.argument(1, "hx")
    states = state if isinstance(state, tuple) else None if state is None else (state,)
    if inputs.ndim == 2:
        inputs = inputs[:, None]
        states = None if states is None else tuple(part[:, None] for part in states)
    elif layer.batch_first:
        inputs = inputs.transpose(0, 1)
    _, _, rest = key.partition("_l")
    wanted = int(rest.removesuffix("_reverse"))
    for number in range(wanted):
        inputs, _ = _one_layer(layer, number, inputs, states)
    if key.startswith("weight_ih"):
        return inputs.reshape(1, -1, inputs.shape[-1])
    outputs, first = _one_layer(layer, wanted, inputs, states)
    if rest.endswith("_reverse"):
        hidden = torch.cat([outputs[1:, :, outputs.shape[-1] // 2 :], first[1:]])
    else:
        hidden = torch.cat([first[:1], outputs[:-1, :, : first.shape[-1]]])
    return hidden.reshape(1, -1, hidden.shape[-1])


def _one_layer(
    layer: Any, number: int, inputs: Tensor, states: tuple[Tensor, ...] | None
) -> tuple[Tensor, Tensor]:
    """Outputs of one layer of a recurrent network, ``[time, batch, …]``, and the h they began with.

    A single layer of its own gets references to the weights, so nothing is drawn or copied.
    """
    both = 2 if layer.bidirectional else 1
    kind = next(kind for kind in (nn.LSTM, nn.GRU, nn.RNN) if isinstance(layer, kind))
    options = {"nonlinearity": layer.nonlinearity} if kind is nn.RNN else {}
    if kind is nn.LSTM:
        options["proj_size"] = layer.proj_size
    alone = kind(
        inputs.shape[-1], layer.hidden_size, bias=layer.bias, bidirectional=layer.bidirectional,
        device="meta", **options,
    )  # fmt: skip
    for name in dict(alone.named_parameters()):
        setattr(alone, name, getattr(layer, name.replace("_l0", f"_l{number}")))
    width = layer.proj_size or layer.hidden_size
    own = states and tuple(part[number * both : (number + 1) * both] for part in states)
    first = own[0] if own else inputs.new_zeros(both, inputs.shape[1], width)
    given = None if not own else own if kind is nn.LSTM else own[0]
    return alone(inputs, given)[0], first


def _attention(layer: Any, key: str, call: Call) -> Tensor:
    """Query, key and value of an attention: one group each of the fused projection.

    Where there are fewer keys than queries, or more, rows of zeros fill the group up.
    """
    parts = [call.argument(place, name) for place, name in enumerate(("query", "key", "value"))]
    if key != "in_proj_weight":
        parts = [parts["qkv".index(key[0])]]
    rows = [part.reshape(-1, part.shape[-1]) for part in parts]
    longest = max(map(len, rows))
    return torch.stack([functional.pad(part, (0, 0, 0, longest - len(part))) for part in rows])


def _heads(layer: Any, key: str, call: Call) -> Tensor:
    """What an attention projects last: its heads side by side, as an identity there shows them."""
    projection = layer.out_proj
    weight, bias = projection.weight, projection.bias
    projection.weight = nn.Parameter(torch.eye(layer.embed_dim).to(weight), requires_grad=False)
    projection.bias = None
    try:
        rows, _ = layer.forward(*call.args, **call.named)
    finally:
        projection.weight, projection.bias = weight, bias
    return rows.reshape(1, -1, layer.embed_dim)  # type: ignore[no-any-return]


READERS: tuple[tuple[Any, tuple[str, ...], Reader], ...] = (
    (Layer, ("weight",), _plain_rows),
    (nn.Embedding, ("weight",), _counts),
    (nn.RNNBase, ("weight_ih", "weight_hh"), _recurrent),
    (nn.RNNCellBase, ("weight_ih", "weight_hh"), _cell),
    (nn.MultiheadAttention, ("out_proj",), _heads),
    (
        nn.MultiheadAttention,
        ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"),
        _attention,
    ),
)
"""Types of layers, how the names of their weights begin, and what reads their inputs."""
