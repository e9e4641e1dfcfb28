"""LSTM, GRU and RNN, one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from laconic.runtime.operators import activation as act
from laconic.runtime.operators.arrays import Array, widened

Unary = Callable[[Array], Array]


def _affine(x: Array, *, alpha: float = 1.0, beta: float = 0.0) -> Array:
    return np.asarray(x * x.dtype.type(alpha) + x.dtype.type(beta))


def _scaled_tanh(x: Array, *, alpha: float = 1.0, beta: float = 1.0) -> Array:
    return np.asarray(x.dtype.type(alpha) * np.tanh(x * x.dtype.type(beta)))


FUNCTIONS: dict[str, tuple[Callable[..., Array], tuple[str, ...]]] = {
    "relu": (act.relu, ()),
    "tanh": (np.tanh, ()),
    "sigmoid": (act.sigmoid, ()),
    "softsign": (act.softsign, ()),
    "softplus": (act.softplus, ()),
    "affine": (_affine, ("alpha", "beta")),
    "scaledtanh": (_scaled_tanh, ("alpha", "beta")),
    "hardsigmoid": (act.hard_sigmoid, ("alpha", "beta")),
    "leakyrelu": (act.leaky_relu, ("alpha",)),
    "thresholdedrelu": (act.thresholded_relu, ("alpha",)),
    "elu": (act.elu, ("alpha",)),
}
"""Name in lower case → function, and which of the two lists of parameters it takes from."""


class _Layer(NamedTuple):
    """One direction: weights ``[gates · H, …]``, biases, activations, clipping."""

    recurrence: Array
    state_bias: Array
    peepholes: Array | None
    functions: Sequence[Unary]
    clip: Unary


Cell = Callable[[_Layer, Array, Array, Array], tuple[Array, Array]]
"""Layer, projected input ``[n, gates · H]`` with its bias, state and cell → the new two."""


def _lstm_cell(
    layer: _Layer, projected: Array, hidden: Array, cell: Array, *, coupled: bool
) -> tuple[Array, Array]:
    size = hidden.shape[1]
    gate, candidate, out = layer.functions
    gates = projected + hidden @ layer.recurrence.T + layer.state_bias
    i, o, f, c = (gates[:, place * size : (place + 1) * size] for place in range(4))
    if layer.peepholes is not None:
        i = i + layer.peepholes[:size] * cell
        f = f + layer.peepholes[2 * size :] * cell
    i, f, c = gate(layer.clip(i)), gate(layer.clip(f)), candidate(layer.clip(c))
    cell = (1 - i if coupled else f) * cell + i * c
    if layer.peepholes is not None:
        o = o + layer.peepholes[size : 2 * size] * cell
    return gate(layer.clip(o)) * out(cell), cell  # the cell is not clipped, as in ONNX Runtime


def _gru_cell(
    layer: _Layer, projected: Array, hidden: Array, cell: Array, *, linear_first: bool
) -> tuple[Array, Array]:
    early = 2 * hidden.shape[1]
    gate, candidate = layer.functions
    gates = projected[:, :early] + hidden @ layer.recurrence[:early].T + layer.state_bias[:early]
    z, r = np.split(gate(layer.clip(gates)), 2, axis=1)
    weight, bias = layer.recurrence[early:].T, layer.state_bias[early:]
    product = r * (hidden @ weight + bias) if linear_first else (r * hidden) @ weight + bias
    new = candidate(layer.clip(projected[:, early:] + product))
    return (1 - z) * new + z * hidden, cell


def _rnn_cell(layer: _Layer, projected: Array, hidden: Array, cell: Array) -> tuple[Array, Array]:
    gates = projected + hidden @ layer.recurrence.T + layer.state_bias
    return layer.functions[0](layer.clip(gates)), cell


def _functions(
    names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> Iterator[Unary]:
    """The activations; each takes from the two lists what it needs, in order."""
    lists = {"alpha": iter(alphas), "beta": iter(betas)}
    for name in names:
        if name.lower() not in FUNCTIONS:
            raise ValueError(f"no activation is named {name}")
        function, takes = FUNCTIONS[name.lower()]
        given = {key: value for key in takes if (value := next(lists[key], None)) is not None}
        yield partial(function, **given)


def _state(given: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> Array:
    """``[directions, batch, H]``: what is given, or zeros."""
    if given is None:
        return np.zeros(shape, dtype)
    if given.shape != shape:
        raise ValueError(f"{name} has the shape {list(given.shape)}, not {list(shape)}")
    return widened(given)


def _steps(
    cell: Cell, layer: _Layer, projected: Array, lengths: Array, hidden: Array, memory: Array
) -> tuple[Array, Array, Array]:
    """Every output ``[time, batch, H]``, zero behind the end of a sequence, and the last states."""
    outputs = np.zeros((*projected.shape[:2], hidden.shape[1]), projected.dtype)
    for time, inputs in enumerate(projected):
        active = (time < lengths)[:, None]
        new, kept = cell(layer, inputs, hidden, memory)
        hidden, memory = np.where(active, new, hidden), np.where(active, kept, memory)
        outputs[time] = np.where(active, new, 0)
    return outputs, hidden, memory


def _reversed(x: Array, lengths: Array) -> Array:
    """Each sequence of ``[time, batch, …]`` from its own end to its start."""
    time = np.arange(len(x))[:, None]
    place = np.where(time < lengths, lengths - 1 - time, time)
    return np.asarray(x[place, np.arange(x.shape[1])])


class _Inputs(NamedTuple):
    """Of a node, in order; half precision is computed in 32 bits."""

    x: Array
    w: Array
    r: Array
    b: Array | None = None
    lengths: Array | None = None
    hidden: Array | None = None
    cell: Array | None = None
    peepholes: Array | None = None


def _recurrent(
    cell: Cell,
    given: _Inputs,
    defaults: tuple[str, ...],
    *,
    activation_alpha: Sequence[float] = (),
    activation_beta: Sequence[float] = (),
    activations: Sequence[str] = (),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
) -> tuple[Array, Array, Array]:
    """All directions: every output, the last hidden states and the last cells."""
    directions = 2 if direction == "bidirectional" else 1
    if direction not in ("forward", "reverse", "bidirectional"):
        raise ValueError(f"direction is {direction}")
    if len(given.w) != directions or len(given.r) != directions:
        raise ValueError(f"{len(given.w)} and {len(given.r)} weights are not for {direction}")
    if hidden_size not in (0, given.r.shape[2]):
        raise ValueError(f"hidden_size is {hidden_size}, R has {given.r.shape[2]}")
    names = activations or defaults * directions
    functions = list(_functions(names, activation_alpha, activation_beta))
    if len(functions) != len(defaults) * directions:
        raise ValueError(f"{len(functions)} activations, not {len(defaults)} for each direction")
    made = []
    for place in range(directions):
        own = functions[place * len(defaults) : (place + 1) * len(defaults)]
        backwards = direction == "reverse" or place == 1
        made.append(_one_direction(cell, given, place, own, clip, backwards, bool(layout)))
    every, hidden, memory = (np.stack(parts) for parts in zip(*made, strict=True))
    dtype = given.x.dtype
    if layout:
        hidden, memory = hidden.swapaxes(0, 1), memory.swapaxes(0, 1)
    every = every.transpose((2, 1, 0, 3) if layout else (1, 0, 2, 3))
    return every.astype(dtype), hidden.astype(dtype), memory.astype(dtype)


def _one_direction(
    cell: Cell,
    given: _Inputs,
    place: int,
    functions: Sequence[Unary],
    clip: float | None,
    backwards: bool,
    batch_first: bool,
) -> tuple[Array, Array, Array]:
    """The outputs ``[time, batch, H]`` and the last two states ``[batch, H]`` of one direction."""
    x, h, c = (
        one.swapaxes(0, 1) if batch_first and one is not None else one
        for one in (given.x, given.hidden, given.cell)
    )
    x, w, r = widened(np.asarray(x)), widened(given.w[place]), widened(given.r[place])
    rows, size = r.shape
    bias = np.zeros(2 * rows, x.dtype) if given.b is None else widened(given.b[place])
    layer = _Layer(
        r,
        bias[rows:],
        None if given.peepholes is None else widened(given.peepholes[place]),
        functions,
        (lambda z: z) if clip is None else partial(np.clip, a_min=-clip, a_max=clip),
    )
    lengths = np.full(x.shape[1], len(x)) if given.lengths is None else given.lengths
    shape = (len(given.r), x.shape[1], size)
    hidden = _state(h, shape, x.dtype, "initial_h")[place]
    memory = _state(c, shape, x.dtype, "initial_c")[place]
    projected = (_reversed(x, lengths) if backwards else x) @ w.T + bias[:rows]
    every, *last = _steps(cell, layer, projected, lengths, hidden, memory)
    return _reversed(every, lengths) if backwards else every, last[0], last[1]


def lstm(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    p: Array | None = None,
    /,
    *,
    input_forget: int = 0,
    **attributes: Any,
) -> tuple[Array, Array, Array]:
    """Long short-term memory with forget gates; gates lie in the order i, o, f, c."""
    given = _Inputs(x, w, r, b, sequence_lens, initial_h, initial_c, p)
    cell = partial(_lstm_cell, coupled=bool(input_forget))
    return _recurrent(cell, given, ("Sigmoid", "Tanh", "Tanh"), **attributes)


def gru(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    /,
    *,
    linear_before_reset: int = 0,
    **attributes: Any,
) -> tuple[Array, Array]:
    """Gated recurrent units (arXiv:1406.1078); gates lie in the order z, r, h."""
    given = _Inputs(x, w, r, b, sequence_lens, initial_h)
    cell = partial(_gru_cell, linear_first=bool(linear_before_reset))
    return _recurrent(cell, given, ("Sigmoid", "Tanh"), **attributes)[:2]


def rnn(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    /,
    **attributes: Any,
) -> tuple[Array, Array]:
    """A layer of f(x W + h R + b)."""
    given = _Inputs(x, w, r, b, sequence_lens, initial_h)
    return _recurrent(_rnn_cell, given, ("Tanh",), **attributes)[:2]


RECURRENT: dict[str, Callable[..., tuple[Array, ...]]] = {"LSTM": lstm, "GRU": gru, "RNN": rnn}
