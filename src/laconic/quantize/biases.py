"""Biases as 32-bit integers, in the unit of a layer's sums of products."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.utils import parametrize

from laconic.errors import UnsupportedError, UsageError
from laconic.quantize.activation import activations
from laconic.quantize.activations import Static
from laconic.represent import Grid, chain

MAX_INT32 = 2**31 - 1


def quantize_biases(model: nn.Module) -> list[str]:
    """Round each bias to a whole multiple of s_w · s_x, in place; returns the layers' paths.

    Jacob et al., arXiv:1712.05877, equation 11: the bias of a layer whose inputs have the scale s_x
    and whose weights (or those of one output) have s_w is an int32 with the scale s_w · s_x and
    zero point 0, and is added to the sums as it is. Done at the end: training would move it again.

    Args:
        model: with calibrated `Static` quantizers of 8 bits or fewer at the inputs, and a uniform
            grid on the weights, of layers with a bias; other layers, and transposed convolutions,
            stay as they are.

    Raises:
        UsageError: no layer is such.
        UnsupportedError: by name, a bias beyond 32 bits, or one that has a chain.
    """
    found = []
    for path, place, quantizer in activations(model):
        layer: Any = model.get_submodule(path)
        step = None
        if place == "input" and isinstance(quantizer, Static) and quantizer.bits <= 8:
            step = bias_step(layer, quantizer)
        if step is None:
            continue
        if parametrize.is_parametrized(layer, "bias"):
            raise UnsupportedError(f"{path}.bias: {chain(layer, 'bias')} restricts it already")
        with torch.no_grad():
            codes = torch.round(layer.bias / step)
            most = float(codes.abs().max()) if codes.numel() else 0.0
            if most > MAX_INT32:
                raise UnsupportedError(
                    f"{path}.bias: {most:.3g} steps of its sums do not fit into 32 bits; its "
                    "inputs or weights have too small a scale beside it"
                )
            layer.bias.copy_(codes * step)
        found.append(path)
    if not found:
        raise UsageError(
            "no layer has a bias, inputs quantized to 8 bits and weights on a uniform grid; "
            "quantize weights and activations first"
        )
    return found


def bias_step(layer: Any, quantizer: Static) -> Tensor | None:
    """s_w · s_x of a layer with a bias, for all or for each output; None where there is none."""
    if getattr(layer, "bias", None) is None or not isinstance(layer.bias, Tensor):
        return None
    if isinstance(layer, _ConvTransposeNd):
        return None  # axis 0 of its weight is the inputs'
    grids = [step for step in chain(layer) if isinstance(step, Grid) and step.form == "uniform"]
    if not grids:
        return None
    tables = grids[-1].tables()
    if int(tables["axis"]) not in (-1, 0):
        return None
    scale = tables["scale"].reshape(-1)
    if len(scale) not in (1, len(layer.bias)):
        return None
    step: Tensor = quantizer.scale * scale
    return step
