"""The outputs of channels: what they are, and the loss's derivative by a gate on each.

The *response* of a channel is the output of its layer, or, where that goes straight into a
BatchNorm, the output of the BatchNorm: what vanishes when the channel is cut out, with its shift.
A ReLU after it need not be found: for a gate of 1, ``relu(gate · x) = gate · relu(x)``, max and
mean pooling likewise, so that the derivative by the gate is the same before and after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from laconic.errors import UnsupportedError
from laconic.saliency.data import Data
from laconic.saliency.layers import Layer, examples, layers_of, twin

Hook = Callable[[str, Tensor], Tensor | None]
"""Weight name and response, channels last → another response, or None to leave it."""


def responses(
    model: nn.Module, names: Sequence[str], data: Data, hook: Hook, criterion: object
) -> Iterator[tuple[nn.Module, Tensor, Tensor]]:
    """A copy of the network whose channels are watched, and the examples, one at a time.

    Args:
        model: with or without chains; left as it was.
        names: of weights.
        data: the examples.
        hook: called with each response while the caller runs the copy.
        criterion: who asks, for messages.

    Yields:
        The copy, the inputs and the targets of one example.

    Raises:
        UnsupportedError: a weight of another kind of layer, or a layer that is never called.
    """
    copy, _ = twin(model, [])
    layers = layers_of(copy, names, criterion)
    for number, (inputs, targets) in enumerate(examples(copy, data, 1)):
        if number == 0:
            _watch(_places(copy, layers, inputs, criterion), layers, hook)
        yield copy, inputs, targets


def gate_gradients(
    model: nn.Module, names: Sequence[str], data: Data, criterion: object
) -> Iterator[dict[str, tuple[Tensor, int]]]:
    """For each example the derivative of its loss by a gate on each channel, and positions.

    The gate, 1, multiplies the channel's response a at all positions, so the derivative is
    ``Σ_ij a_ij g_ij`` with ``g = ∂L_n/∂a``: summed over positions, not yet squared. The second of
    each pair is the number of positions.
    """
    gates: dict[str, Tensor] = {}
    positions: dict[str, int] = {}

    def gate(name: str, response: Tensor) -> Tensor:
        if name not in gates:
            gates[name] = response.new_ones(response.shape[-1], requires_grad=True)
            positions[name] = 0
        positions[name] += response[..., 0].numel()
        return response * gates[name]

    for copy, inputs, targets in responses(model, names, data, gate, criterion):
        gates.clear()
        loss = data.loss(copy(inputs), targets)
        found = torch.autograd.grad(
            loss, list(gates.values()), allow_unused=True, materialize_grads=True
        )
        yield {
            name: (gradient, positions[name]) for name, gradient in zip(gates, found, strict=True)
        }


def _places(
    copy: nn.Module, layers: dict[str, list[Layer]], inputs: Tensor, criterion: object
) -> dict[str, list[nn.Module]]:
    """The modules whose outputs are the responses of each weight's channels."""
    outputs: list[tuple[str, nn.Module, Tensor]] = []
    takers: dict[int, tuple[nn.Module, Tensor]] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda layer, args, output: outputs.append((name, layer, output))

    def take(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        # The tensor too: its number would be given to another one if it were let go.
        takers[id(args[0])] = module, args[0]

    hooks = [
        layer.register_forward_hook(keep(name))
        for name, owners in layers.items()
        for layer in owners
    ]
    hooks += [
        module.register_forward_hook(take)
        for module in copy.modules()
        if isinstance(module, _BatchNorm)
    ]
    with torch.no_grad():
        copy(inputs)
    for hook in hooks:
        hook.remove()
    places: dict[str, list[nn.Module]] = {name: [] for name in layers}
    for name, layer, output in outputs:
        place = takers[id(output)][0] if id(output) in takers else layer
        if place not in places[name]:
            places[name].append(place)
    for name, owners in layers.items():
        if not places[name]:
            raise UnsupportedError(
                f"{name}: the network never calls this {type(owners[0]).__name__} (it takes the "
                f"weight itself), so {criterion} sees no outputs of it; leave this layer out"
            )
    return places


def _watch(places: dict[str, list[nn.Module]], layers: dict[str, list[Layer]], hook: Hook) -> None:
    def see(name: str) -> Callable[..., Tensor | None]:
        # Of a convolution the channels are the dimension before the positions.
        axis = -1 if isinstance(layers[name][0], nn.Linear) else 1 - layers[name][0].weight.ndim

        def call(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
            changed = hook(name, output.movedim(axis, -1))
            return None if changed is None else changed.movedim(-1, axis)

        return call

    for name, owners in places.items():
        for module in owners:
            module.register_forward_hook(see(name))
