"""Quantizers of activations: modules at the inputs or outputs of layers, in the layers' state."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from laconic.errors import MismatchError, PatternError, UnsupportedError, UsageError
from laconic.represent import matches_layer, weights

PLACES = ("input", "output")
"""Where a quantizer may stand: before a layer, or behind it."""
Described = list[dict[str, Any]]
"""JSON data: ``[{"layer": "conv1", "place": "input", "quantizer": "Static", "bits": 8}, …]``."""


class ActivationQuantizer(nn.Module, ABC):
    """Restricts the values that pass through it, in training as in the exported program.

    As a `Step` for weights, but what it restricts comes new with every batch. A subclass stores its
    constructor's arguments under their own names, lists in `learnt` the buffers and parameters
    that calibration sets, registers each as None, and implements `forward`; one that calibration
    must look at data for also implements `see` and `settle`.
    """

    learnt: ClassVar[tuple[str, ...]] = ()
    """Names of the buffers and parameters that calibration sets."""
    unpacked: ClassVar[tuple[str, ...]] = ()
    """Those of them that training alone needs: no file holds them."""
    scales_outputs: ClassVar[bool] = False
    """Whether it also changes what its layer gives, by `scale_output`."""

    def __init__(self) -> None:
        super().__init__()
        self.watching: str | None = None
        """In calibration the name of its place: values pass unchanged and are looked at."""

    @abstractmethod
    def forward(self, values: Tensor) -> Tensor:
        """The restricted values, same shape and dtype, with the gradient its paper gives it."""

    def see(self, values: Tensor) -> None:
        """Look at a batch in calibration.

        Raises:
            UsageError: it holds NaN or infinity; the calibration adds the layer's name.
        """

    def settle(self) -> None:
        """Set what is learnt from all that was seen, and forget that.

        Raises:
            UsageError: nothing was seen, or only a constant; the calibration adds the name.
        """

    def scale_output(self, layer: nn.Module, result: Tensor) -> Tensor:
        """What becomes of the layer's result, where `scales_outputs` says so."""
        return result

    @property
    def configuration(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def is_calibrated(self) -> bool:
        """Whether calibration, or a state dict, has given it what it learns."""
        needed = set(self.learnt) - set(self.unpacked)
        return all(getattr(self, name) is not None for name in needed)

    def extra_repr(self) -> str:
        """The constructor's arguments, so that `str(quantizer)` is the constructor call."""
        return ", ".join(f"{name}={value!r}" for name, value in self.configuration.items())

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *rest: Any, **named: Any
    ) -> None:
        # Rebuilt, it is not calibrated yet: give each learnt tensor the saved one's shape first.
        for name in self.learnt:
            saved = state_dict.get(prefix + name)
            if saved is None:
                continue
            self.check_loaded(name, saved, prefix.rstrip("."))
            if getattr(self, name) is None:
                empty = torch.empty_like(saved)
                trained = name in self._parameters
                setattr(self, name, nn.Parameter(empty) if trained else empty)
        super()._load_from_state_dict(state_dict, prefix, *rest, **named)

    def check_loaded(self, name: str, saved: Tensor, path: str) -> None:
        """Refuse a saved value that this quantizer cannot have; the message begins with `path`.

        Raises:
            MismatchError: it is not on the grid.
        """


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
        UnsupportedError: a layer takes no floats.

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
    if place not in PLACES:
        raise UsageError(f"place is {place!r}; it is one of: {', '.join(PLACES)}")
    paths = list(dict.fromkeys(name.rpartition(".")[0] for name in weights(model, layers)))
    for path in paths:
        layer = model.get_submodule(path)
        if place == "input" and isinstance(layer, nn.Embedding | nn.EmbeddingBag):
            raise UnsupportedError(
                f"{path}: an embedding takes integers, which need no quantizer; leave this layer "
                "out"
            )
    for path in paths:
        put(model.get_submodule(path), make(), place)
    return paths


def put(layer: nn.Module, quantizer: ActivationQuantizer, place: str = "input") -> None:
    """Put one quantizer before or behind one layer, in the place of a former one."""
    setattr(layer, _child(place), quantizer)
    if place == "input" and quantize_input not in layer._forward_pre_hooks.values():
        layer.register_forward_pre_hook(quantize_input, with_kwargs=True)
    if quantizer.scales_outputs and scale_output not in layer._forward_hooks.values():
        layer.register_forward_hook(scale_output)
    if place == "output" and quantize_output not in layer._forward_hooks.values():
        layer.register_forward_hook(quantize_output)


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
    first = next(iter(named))
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
