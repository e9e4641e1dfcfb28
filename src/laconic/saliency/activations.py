"""The outputs of channels: what they are, and the loss's derivative by a gate on each.

The *response* of a channel is the output of its layer and, where that goes straight into a
BatchNorm, the output of the BatchNorm: what vanishes when the channel is cut out, with its shift.
A ReLU after it need not be found: for a gate of 1, ``relu(gate · x) = gate · relu(x)``, max and
mean pooling likewise, so that the derivative by the gate is the same before and after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from laconic.errors import UnsupportedError
from laconic.saliency.data import Data
from laconic.saliency.layers import Layer, examples, layers_of, twin
from laconic.saliency.uses import OtherUses

Hook = Callable[[str, int, Tensor], Tensor | None]
"""Weight name, number of the call, response with channels last → another response, or None.

Called for what a layer gives, and again with the same number for what a BatchNorm makes of it.
"""


class _Call(NamedTuple):
    """One call of a layer in one forward pass."""

    name: str
    number: int
    axis: int
    """Where the channels are, from the end."""
    output: Tensor
    passed: Tensor
    """What went on instead of `output`; kept, so that its identity stays its own."""
    version: int
    """Of `passed`: an activation in place leaves its identity, but not its version."""


def outputs_of(
    model: nn.Module, names: Sequence[str], data: Data, hook: Hook, criterion: object
) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs of the network and targets, one example at a time, while `hook` sees the channels.

    Where the hook changes a layer's output, a BatchNorm that takes it is still given the output
    as it was, and the hook changes what the BatchNorm makes of it; everything else that takes the
    output, such as a shortcut, gets it changed.

    Args:
        model: with or without chains; left as it was.
        names: of weights.
        data: the examples.
        hook: see `Hook`.
        criterion: who asks, for messages.

    Raises:
        UnsupportedError: a weight of another kind of layer, or a layer that is never called, or
            whose weight is also taken past it (see `uses`).
    """
    copy, _ = twin(model, [])
    layers = layers_of(copy, names, criterion)
    calls: dict[int, _Call] = {}
    _watch(copy, layers, hook, calls)
    uses = OtherUses({name: [(one, "weight") for one in own] for name, own in layers.items()})
    called: set[str] | None = None
    for inputs, targets in examples(copy, data, 1):
        calls.clear()
        with uses:
            outputs = copy(inputs)
        if called is None:
            called = {call.name for call in calls.values()}
            for name in names:
                if name not in called:
                    raise UnsupportedError(
                        f"{name}: the network never calls this {type(layers[name][0]).__name__} "
                        f"(it takes the weight itself), so {criterion} sees no outputs of it; "
                        "leave this layer out"
                    )
                uses.check(name, criterion, "outputs")
        yield outputs, targets


def _watch(
    copy: nn.Module, layers: dict[str, list[Layer]], hook: Hook, calls: dict[int, _Call]
) -> None:
    """Hooks on the layers and on every BatchNorm; `calls` is emptied before each forward pass."""
    entered: dict[nn.Module, _Call] = {}

    def changed(name: str, number: int, axis: int, output: Tensor) -> Tensor:
        found = hook(name, number, output.movedim(axis, -1))
        return output if found is None else found.movedim(-1, axis)

    def see(name: str) -> Callable[..., Tensor]:
        def call(layer: Any, args: tuple[Any, ...], output: Tensor) -> Tensor:
            # Of a convolution the channels are the dimension before the positions.
            axis = -1 if isinstance(layer, nn.Linear) else 1 - layer.weight.ndim
            passed = changed(name, len(calls), axis, output)
            calls[id(passed)] = _Call(name, len(calls), axis, output, passed, passed._version)
            return passed

        return call

    def enter(norm: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        call = calls.get(id(args[0]))
        if call is None or call.version != args[0]._version:
            return args
        entered[norm] = call
        return call.output, *args[1:]

    def leave(norm: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        call = entered.pop(norm, None)
        return output if call is None else changed(call.name, call.number, call.axis, output)

    for name, owners in layers.items():
        for layer in owners:
            layer.register_forward_hook(see(name))
    for module in copy.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_pre_hook(enter)
            module.register_forward_hook(leave)


def gate_gradients(
    model: nn.Module, names: Sequence[str], data: Data, criterion: object
) -> Iterator[dict[str, tuple[Tensor, int]]]:
    """For each example the derivative of its loss by a gate on each channel, and positions.

    The gate, 1, multiplies the channel's response a at all positions, so the derivative is
    ``Σ_ij a_ij g_ij`` with ``g = ∂L_n/∂a``: summed over positions, not yet squared. The second of
    each pair is the number of positions.
    """
    gates: dict[str, Tensor] = {}
    positions: dict[str, dict[int, int]] = {}

    def gate(name: str, call: int, response: Tensor) -> Tensor:
        if name not in gates:  # the same for all examples, which are differentiated apart
            gates[name] = response.new_ones(response.shape[-1], requires_grad=True)
            positions[name] = {}
        positions[name][call] = response[..., 0].numel()
        return response * gates[name]

    for outputs, targets in outputs_of(model, names, data, gate, criterion):
        found = torch.autograd.grad(
            data.loss(outputs, targets),
            list(gates.values()),
            allow_unused=True,
            materialize_grads=True,
        )
        yield {
            name: (gradient, sum(positions[name].values()))
            for name, gradient in zip(gates, found, strict=True)
        }
