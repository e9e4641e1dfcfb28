"""Quantizers of activations in a network: before or behind layers, in the layers' state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import signature
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from laconic.errors import MismatchError, PatternError, UnsupportedError, UsageError
from laconic.quantize.quantizer import ActivationQuantizer
from laconic.represent import layer_paths, matches_layer, weights

PLACES = ("input", "output")
"""Where a quantizer may stand: before a layer, or behind it."""
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
Described = list[dict[str, Any]]
"""JSON data: ``[{"layer": "conv1", "place": "input", "quantizer": "Static", "bits": 8}, …]``."""


def attach(
    model: nn.Module,
    layers: str | list[str],
    make: Callable[[], ActivationQuantizer],
    place: str = "input",
) -> list[str]:
    """Put a new quantizer before, or behind, every layer that matches; a former one goes.

    It becomes the layer's child ``input_quantizer`` (``output_quantizer``), so that its state is
    part of the layer's, and a hook lets the layer's first argument (its result) pass through it.

    Args:
        model: changed in place; with or without chains.
        layers: patterns for layers with weights of two dimensions or more (see `weights`).
        make: gives a new quantizer for each.
        place: one of `PLACES`.

    Returns:
        The layers' paths.

    Raises:
        PatternError: a pattern matches no layer.
        UsageError: no such place, or one where this quantizer cannot stand.
        UnsupportedError: a layer takes no floats, or is never called.

    Examples:
        >>> from laconic.quantize.activations import Dynamic
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> attach(net, "*", lambda: Dynamic(bits=8))
        ['0', '2']
        >>> net[0]
        Linear(
          in_features=4, out_features=3, bias=True
          (input_quantizer): Dynamic(bits=8, per='sample')
        )
    """
    check_place(None, place)
    paths = quantizable(model, weights(model, layers), place)
    for path in paths:
        put(model.get_submodule(path), make(), place)
    return list(paths)


def quantizable(model: nn.Module, names: Iterable[str], place: str = "input") -> dict[str, str]:
    """Layer path → its weight, for all layers that hold one of these weights, shared ones too.

    Of an embedding and a linear layer that share a weight it is the linear layer alone whose
    inputs a quantizer can take.

    Args:
        model: the network.
        names: weights, as `weights` names them.
        place: one of `PLACES`.

    Raises:
        UnsupportedError: a layer takes no floats, or is never called.
    """
    found, holders = {}, layer_paths(model)
    for name in names:
        layers = {path: model.get_submodule(path) for path in holders[name]}
        for path, layer in layers.items():
            if isinstance(layer, NonDynamicallyQuantizableLinear):
                raise UnsupportedError(
                    f"{path}: torch's attention reads this weight and never calls the layer, so "
                    "that nothing passes a quantizer there; leave this layer out"
                )
        if place == "input":
            embeddings = [p for p, m in layers.items() if isinstance(m, EMBEDDINGS)]
            if len(embeddings) == len(layers):
                raise UnsupportedError(
                    f"{embeddings[0]}: an embedding takes integers, which need no quantizer; leave "
                    "this layer out"
                )
            layers = {path: layer for path, layer in layers.items() if path not in embeddings}
        found.update(dict.fromkeys(layers, name))
    return found


def put(layer: nn.Module, quantizer: ActivationQuantizer, place: str = "input") -> None:
    """Put one quantizer before or behind one layer, in the place of a former one.

    Raises:
        UsageError: it scales what its layer gives, and shall stand behind it.
    """
    check_place(type(quantizer), place)
    setattr(layer, _child(place), quantizer)
    if place == "input" and quantize_input not in layer._forward_pre_hooks.values():
        layer.register_forward_pre_hook(quantize_input, with_kwargs=True)
    if quantizer.scales_outputs and scale_output not in layer._forward_hooks.values():
        # Before an output's quantizer, in whatever order they came.
        layer.register_forward_hook(scale_output, prepend=True)
    if place == "output" and quantize_output not in layer._forward_hooks.values():
        layer.register_forward_hook(quantize_output)


def check_place(kind: type[ActivationQuantizer] | None, place: str) -> None:
    """Refuse a place that there is not, or where this kind of quantizer cannot stand.

    Raises:
        UsageError: it is such a place.
    """
    if place not in PLACES:
        raise UsageError(f"place is {place!r}; it is one of: {', '.join(PLACES)}")
    if place == "output" and kind is not None and kind.scales_outputs:
        raise UsageError(
            f"{kind.__name__} scales the sums of its layer by what came in: it stands at the "
            'input; place = "input"'
        )


def detach(model: nn.Module, layers: str | list[str] = "*") -> list[str]:
    """Take the quantizers of matching layers away, in place; returns the layers' paths.

    Raises:
        PatternError: a pattern matches no layer that has one.
    """
    present = list(dict.fromkeys(path for path, _, _ in activations(model)))
    chosen = set()
    for pattern in [layers] if isinstance(layers, str) else layers:
        matches = {path for path in present if matches_layer(pattern, f"{path}.weight")}
        if not matches:
            raise PatternError(pattern, present)
        chosen |= matches
    for path in chosen:
        layer = model.get_submodule(path)
        for place in PLACES:
            if isinstance(getattr(layer, _child(place), None), ActivationQuantizer):
                delattr(layer, _child(place))
        for hooks, own in (
            (layer._forward_pre_hooks, quantize_input),
            (layer._forward_hooks, quantize_output),
            (layer._forward_hooks, scale_output),
        ):
            for key in [key for key, hook in hooks.items() if hook is own]:
                del hooks[key]
                layer._forward_pre_hooks_with_kwargs.pop(key, None)
    return [path for path in present if path in chosen]


def activations(model: nn.Module) -> Iterator[tuple[str, str, ActivationQuantizer]]:
    """Layer path, place and quantizer of all that are attached."""
    for path, layer in model.named_modules():
        for place in PLACES:
            found = layer._modules.get(_child(place))
            if isinstance(found, ActivationQuantizer):
                yield path, place, found


def describe_activations(model: nn.Module) -> Described:
    """What is attached, as JSON data; `rebuild_activations` reads it."""
    return [
        {
            "layer": path, "place": place,
            "quantizer": type(quantizer).__name__, **quantizer.configuration,
        }
        for path, place, quantizer in activations(model)
    ]  # fmt: skip


def rebuild_activations(
    model: nn.Module,
    described: Described,
    classes: Mapping[str, type[ActivationQuantizer]],
) -> None:
    """Attach uncalibrated quantizers to a fresh model, so that a saved state dict fits it.

    Args:
        model: without quantizers.
        described: what `describe_activations` gave.
        classes: class name → class.

    Raises:
        MismatchError: a class or a layer does not exist, or a class refuses its arguments.
    """
    for entry in described:
        arguments = dict(entry)
        path, place = arguments.pop("layer"), arguments.pop("place")
        kind = arguments.pop("quantizer")
        try:
            layer = model.get_submodule(path)
            put(layer, classes[kind](**arguments), place)
        except (AttributeError, KeyError, TypeError, UsageError) as error:
            raise MismatchError(
                f"{path}: no quantizer {kind!r} can be put there again: {error}"
            ) from error


def quantize_input(
    layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The hook before a layer: its first argument passes through ``input_quantizer``."""
    quantizer: Any = layer.input_quantizer
    if arguments:
        return (pass_through(quantizer, arguments[0]), *arguments[1:]), named
    first = next((name for name in signature(layer.forward).parameters if name in named), None)
    if first is None:
        raise UsageError(f"{type(layer).__name__} was called without an input to quantize")
    return arguments, {**named, first: pass_through(quantizer, named[first])}


def quantize_output(layer: nn.Module, arguments: tuple[Any, ...], result: Any) -> Any:
    """The hook behind a layer: its result, or the first of several, passes through."""
    quantizer: Any = layer.output_quantizer
    if isinstance(result, tuple):
        return (pass_through(quantizer, result[0]), *result[1:])
    return pass_through(quantizer, result)


def scale_output(layer: nn.Module, arguments: tuple[Any, ...], result: Any) -> Any:
    """The hook behind a layer whose quantizer of inputs also scales outputs."""
    quantizer: Any = layer.input_quantizer
    return quantizer.scale_output(layer, result) if quantizer.scales_outputs else result


def pass_through(quantizer: ActivationQuantizer, values: Tensor) -> Tensor:
    """The quantized values; in calibration the values themselves, once they were looked at."""
    if quantizer.watching is not None:
        try:
            quantizer.see(values)
        except UsageError as error:
            raise UsageError(f"{quantizer.watching}: {error}") from error
        return values
    if not quantizer.is_calibrated:
        raise UsageError(
            f"{quantizer} has no range yet: calibrate(model, batches) gives it one from examples"
        )
    result: Tensor = quantizer(values)
    return result


def _child(place: str) -> str:
    return f"{place}_quantizer"
