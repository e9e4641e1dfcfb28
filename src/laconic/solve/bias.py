"""How far a changed network's layers have moved on average, for their biases to take back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
Means = dict[str, Tensor]


def shifts(model: nn.Module, reference: nn.Module, inputs: Tensor) -> Means:
    """What to add to each bias so that a layer's mean output is that of the reference.

    Nagel, van Baalen, Blankevoort, Welling, "Data-Free Quantization Through Weight Equalization
    and Bias Correction", arXiv:1906.04721, section 4.2, in its empirical form (appendix D): layer
    by layer, each seeing what the corrected layers before it give. One pass does all layers, as the
    shift of a layer is added to its output on the way.

    Args:
        model: changed; left as it is, and looked at in eval mode.
        reference: the network as it was, with the same paths; likewise.
        inputs: examples, without labels; one batch.

    Returns:
        Path of each linear or convolutional layer with a bias that was called → ``[outputs]``.
    """
    wanted: Means = {}

    def remember(path: str, found: Tensor, outputs: Tensor) -> None:
        wanted.setdefault(path, found)

    _watched(reference, inputs, remember)
    moved: Means = {}

    def correct(path: str, found: Tensor, outputs: Tensor) -> Tensor:
        # Of a layer that is called again the first call decides: it has one bias.
        shift = moved.setdefault(path, wanted[path] - found)
        if isinstance(model.get_submodule(path), nn.Linear):
            return outputs + shift
        return outputs + shift.reshape(-1, *[1] * (outputs.ndim - 2))

    _watched(model, inputs, correct)
    return moved


def _watched(
    model: nn.Module, inputs: Tensor, see: Callable[[str, Tensor, Tensor], Tensor | None]
) -> None:
    """Show each layer's mean output, by channel, and its outputs, which may be replaced.

    In eval mode: dropped outputs have other means, and a BatchNorm would take the batch's.
    """

    def hook(path: str) -> Callable[..., Tensor | None]:
        def look(layer: Any, args: Any, outputs: Tensor) -> Tensor | None:
            last = isinstance(layer, nn.Linear)
            channels = outputs.flatten(0, -2) if last else outputs.transpose(0, 1).flatten(1).T
            return see(path, channels.mean(0), outputs)

        return look

    hooks = [
        module.register_forward_hook(hook(path)) for path, module in biased_layers(model).items()
    ]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for module, mode in modes:
            module.training = mode
        for handle in hooks:
            handle.remove()


def biased_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers whose outputs are a bias more than a product, by path."""
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, Layer) and module.bias is not None
    }
