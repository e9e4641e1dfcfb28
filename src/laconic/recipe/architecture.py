"""The stage that learns which neurons, filters and layers are needed (tsReLU)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from laconic.errors import StageError, UnsupportedError, UsageError
from laconic.prune import Architecture, Clip
from laconic.prune.tsrelu import WEIGHTED, TsReLU
from laconic.recipe.context import Arguments, Context, Layers
from laconic.recipe.cutting import chosen_groups, makers
from laconic.recipe.loop import check_training, train
from laconic.represent import Grid, chains, latents
from laconic.surgery import Groups, Units, merge_layers, remove, unit_scores
from laconic.surgery.export import Example
from laconic.surgery.merge import following, traffic
from laconic.train import Penalised, TaskLoss


def learn_architecture_stage(
    context: Context,
    *,
    epochs: int,
    layers: Layers = "*",
    merge: list[str] | None = None,
    binary_w: float = 5e-3,
    width: float = 2e-3,
    binary_d: float = 0.05,
    depth: float = 0.1,
    start: float = 1.0,
    speed: float = 1.0,
    learning_rate: float = 1e-3,
    optimizer: str = "adam",
    schedule: str = "constant",
    weight_decay: float = 0.0,
) -> None:
    """Train with a tsReLU's w and d, then remove what they switched off (Srinivas, Babu 2016).

    w is a gate on what a layer gives: for w ≥ 0 and a ReLU (or pooling) behind it, the same as on
    what the ReLU gives, so that functional activations, and none, will do. Departure: a w of ½ or
    more is multiplied into its weights, which changes no answer; the paper rounds it to 1.

    Args:
        context: the run.
        epochs: of the training.
        layers: linear layers and convolutions whose neurons and filters get a w each.
        merge: linear layers whose ReLU, an ``nn.ReLU`` before another linear layer, gets a d; where
            it ends above ½ the two are one.
        binary_w: λ₁; the penalties are those of `laconic.prune.Architecture`.
        width: λ₃; the paper's are 0.2 and 0.4 of λ₁.
        binary_d: λ₂.
        depth: λ₄.
        start: w at the beginning. The penalty's slope is ``λ₁(1 − 2w) + λ₃``: from 1 it keeps
            every neuron that the loss does not push, from below ½(1 + λ₃/λ₁) it removes those.
        speed: w and d learn so many times faster than the weights.
        learning_rate: and the others: see `laconic.train.fit`.
        optimizer: of the training.
        schedule: of the learning rate.
        weight_decay: of the training.

    Raises:
        UnsupportedError: a layer is neither linear nor a convolution, a BatchNorm takes back what
            its gate does, its channels go with those of another layer, its weight is used without
            calling it, or it cannot merge.
        StageError: every w of a layer ended below ½.
    """
    model, example = context.model, context.task.example_input
    groups = Groups(model, example)
    gated = {name: _maker(model, groups, name) for name in chosen_groups(groups, layers)}
    ways = {name: following(model, example, name) for name in merge or []}
    _check_called(model, example, groups, gated)
    with _gates(model, gated, start) as w, _slopes(model, ways) as d:
        train(
            context,
            [Clip(speed)],
            Penalised(TaskLoss(), [Architecture(binary_w, binary_d, width, depth)]),
            epochs=epochs,
            learning_rate=learning_rate,
            optimizer=optimizer,
            schedule=schedule,
            weight_decay=weight_decay,
        )
    units: Units = {}
    for name, values in unit_scores(groups, w).items():
        if gone := torch.nonzero(values < 0.5).flatten().tolist():
            units[name] = gone
        if len(gone) == len(values):
            raise StageError(
                f"{name}: all its {len(values)} units have w below 0.5; lower width "
                f"({width:g}), or leave this layer out"
            )
    _absorb(model, w)
    remove(model, example, units, groups)
    for name, slope in d.items():
        if float(slope) >= 0.5:
            merge_layers(model, example, name, *ways[name])


def _maker(model: nn.Module, groups: Groups, name: str) -> str:
    """The one layer whose outputs are the units of a group.

    Raises:
        UnsupportedError: see `learn_architecture_stage`.
    """
    for part in groups[name].slices:
        if isinstance(model.get_submodule(part.tensor.rpartition(".")[0]), _BatchNorm):
            raise UnsupportedError(
                f"{name}: the BatchNorm behind it takes back what a gate does; leave this layer out"
            )
    found = [weight.rpartition(".")[0] for weight in makers(model, groups, [name])]
    if len(found) != 1:
        raise UnsupportedError(
            f"{name}: its channels are those of {len(found)} layers ({', '.join(found)}); a gate "
            "is for one: leave these layers out"
        )
    for step in chains(model).get(f"{found[0]}.weight", []):
        if isinstance(step, Grid):
            raise UnsupportedError(f"{name} is on the grid {step}; learn the architecture before")
    layer = model.get_submodule(found[0])
    if not isinstance(layer, WEIGHTED) or len(layer.weight) != groups[name].size:
        raise UnsupportedError(
            f"{name}: {layer} has no gate for each unit; gates are for linear layers and "
            "convolutions without groups"
        )
    return found[0]


def _check_called(
    model: nn.Module, example: Example, groups: Groups, gated: dict[str, str]
) -> None:
    """Refuse layers whose outputs no gate sees: their w would be learned from its penalty alone.

    Raises:
        UnsupportedError: the network takes a layer's weight itself, always or elsewhere too.
    """
    _, calls = traffic(model, example)
    for path in gated.values():
        uses = sum(
            any(taken is groups.trace.tensors[f"{path}.weight"] for taken in step.inputs)
            for step in groups.trace.steps
        )
        if calls[path] < max(1, uses):
            raise UnsupportedError(
                f"{path}: its gate would see {calls[path]} of the {max(1, uses)} uses of its "
                "weight; the network takes it itself (functional.linear or conv2d), or another "
                "layer shares it: call the layer, or leave it out"
            )


@contextmanager
def _gates(model: nn.Module, gated: dict[str, str], start: float) -> Iterator[dict[str, Tensor]]:
    """A w behind each layer while training; the values that it had, by weight, afterwards."""
    found: dict[str, Tensor] = {}
    hooks = []
    for path in gated.values():
        layer: Any = model.get_submodule(path)
        layer.gate = TsReLU(len(layer.weight), learns_depth=False, slope=1.0)
        layer.gate.to(layer.weight.device).w.data.fill_(start)
        hooks.append(layer.register_forward_hook(_through))
    try:
        yield found
        for path in gated.values():
            gate: Any = model.get_submodule(f"{path}.gate")
            found[f"{path}.weight"] = gate.w.detach().clone()
    finally:
        for hook, path in zip(hooks, gated.values(), strict=True):
            hook.remove()
            del model.get_submodule(path).gate


def _absorb(model: nn.Module, w: dict[str, Tensor]) -> None:
    """Multiply each w into the weights and the bias of its unit."""
    own = latents(model)
    with torch.no_grad():
        for name, values in w.items():
            weight, bias = own[name], own.get(f"{name.removesuffix('weight')}bias")
            weight.mul_(values.reshape(-1, *[1] * (weight.ndim - 1)))
            if bias is not None:
                bias.mul_(values)


def _through(layer: Any, taken: tuple[Any, ...], given: Tensor) -> Tensor:
    """What the gate makes of the channels, which are a linear layer's last dimension."""
    axis = given.ndim - 1 if layer.weight.ndim == 2 else 1
    passed: Tensor = layer.gate(given.movedim(axis, 1))
    return passed.movedim(1, axis)


@contextmanager
def _slopes(model: nn.Module, ways: dict[str, tuple[str, str]]) -> Iterator[dict[str, Tensor]]:
    """A d in the place of each ReLU while training; afterwards the values that it had, by layer."""
    found: dict[str, Tensor] = {}
    places = {activation: model.get_submodule(activation) for activation, _ in ways.values()}
    device = next(model.parameters()).device
    for path in places:
        leaky = TsReLU(1).to(device)
        leaky.w.requires_grad_(False)
        _set(model, path, leaky)
    try:
        yield found
        for name, (path, _) in ways.items():
            slope: Any = model.get_submodule(path)
            found[name] = slope.d.detach().cpu()
    finally:
        for path, module in places.items():
            _set(model, path, module)


def _set(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def check_learn_architecture(
    *, epochs: int, start: float, speed: float, binary_w: float, width: float, binary_d: float,
    depth: float, learning_rate: float, optimizer: str, schedule: str, weight_decay: float,
    **arguments: Any,
) -> None:  # fmt: skip
    """Raise what the stage would raise of these arguments."""
    check_training(
        epochs=epochs, learning_rate=learning_rate, optimizer=optimizer, schedule=schedule,
        weight_decay=weight_decay,
    )  # fmt: skip
    if epochs < 1:
        raise UsageError(f"epochs is {epochs}; learning w and d needs 1 or more")
    Clip(speed)
    if not 0 < start <= 1:
        raise UsageError(f"start is {start:g}; w begins above 0 and not above 1")
    named = {"binary_w": binary_w, "width": width, "binary_d": binary_d, "depth": depth}
    for name, strength in named.items():
        if not 0 <= strength < float("inf"):
            raise UsageError(f"{name} is {strength:g}; a strength is 0 or more")


STAGES: dict[str, Callable[..., None]] = {"learn-architecture": learn_architecture_stage}
CHECKS: dict[str, Callable[..., None]] = {"learn-architecture": check_learn_architecture}
PATTERNS: dict[str, Callable[[Arguments], list[Arguments]]] = {
    "learn-architecture": lambda arguments: (
        [{"layers": arguments.get("layers", "*")}]
        + [{"layers": layer} for layer in arguments.get("merge", [])]
    ),
}
