"""What layers of known types say of their own sizes: read from their tensors after a cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

Sizes = dict[str, Any]


def _linear(layer: Any) -> Sizes:
    return {"out_features": layer.weight.shape[0], "in_features": layer.weight.shape[1]}


def _convolution(layer: Any) -> Sizes:
    """A depthwise convolution keeps how many outputs each channel has; others their groups."""
    rows, columns = layer.weight.shape[:2]
    if isinstance(layer, _ConvTransposeNd):
        rows, columns = columns, rows
    # One input channel alone makes no depthwise convolution.
    depthwise = layer.groups > 1 and layer.groups == layer.in_channels
    if not depthwise:
        transposed = isinstance(layer, _ConvTransposeNd)
        grouped = {"rows": rows * layer.groups if transposed else rows}
        inputs = columns if transposed else columns * layer.groups
        return {"out_channels": grouped["rows"], "in_channels": inputs}
    each = layer.out_channels // layer.groups
    groups = columns if isinstance(layer, _ConvTransposeNd) else rows // each
    return {"out_channels": groups * each, "in_channels": groups, "groups": groups}


def _norm(layer: Any) -> Sizes:
    own = layer.weight if layer.weight is not None else layer.running_mean
    return {} if own is None else {"num_features": own.shape[0]}


def _group_norm(layer: Any) -> Sizes:
    if layer.weight is None:
        return {}
    channels = layer.weight.shape[0]
    each = layer.num_groups == layer.num_channels
    return {"num_channels": channels} | ({"num_groups": channels} if each else {})


def _bilinear(layer: Any) -> Sizes:
    rows, first, second = layer.weight.shape
    return {"out_features": rows, "in1_features": first, "in2_features": second}


def _cell(layer: Any) -> Sizes:
    return {"hidden_size": layer.weight_hh.shape[1], "input_size": layer.weight_ih.shape[1]}


def _embedding(layer: Any) -> Sizes:
    return {"embedding_dim": layer.weight.shape[1]}


def _recurrent(layer: Any) -> Sizes:
    return {"hidden_size": layer.weight_hh_l0.shape[1], "input_size": layer.weight_ih_l0.shape[1]}


def _prelu(layer: Any) -> Sizes:
    return {"num_parameters": layer.weight.shape[0]}


def _turned(layer: Any) -> Sizes:
    return {"nf": layer.weight.shape[1], "nx": layer.weight.shape[0]}


SIZES: dict[type[nn.Module], Callable[[Any], Sizes]] = {
    nn.Linear: _linear,
    nn.Bilinear: _bilinear,
    _ConvNd: _convolution,
    _NormBase: _norm,
    nn.GroupNorm: _group_norm,
    nn.Embedding: _embedding,
    nn.EmbeddingBag: _embedding,
    nn.RNNBase: _recurrent,
    nn.RNNCellBase: _cell,
    nn.PReLU: _prelu,
}
"""Layer type → its attributes as its tensors say them."""


def sizes(layer: nn.Module) -> Sizes:
    """The attributes of a layer of a known type that its tensors decide; else none.

    Examples:
        >>> sizes(nn.Linear(3, 2))
        {'out_features': 2, 'in_features': 3}
    """
    for kind, read in SIZES.items():
        if isinstance(layer, kind):
            return read(layer)
    return _turned(layer) if _is_turned(layer) else {}


def _is_turned(layer: nn.Module) -> bool:
    """Whether it is transformers' linear layer with a weight ``[inputs, outputs]``, Conv1D."""
    return type(layer).__name__ == "Conv1D" and hasattr(layer, "nf")


def row_dim(layer: nn.Module, ndim: int) -> int:
    """Along which dimension of a layer's weight its outputs lie.

    Transposed convolutions and embeddings keep them second, and so does a linear layer whose
    weight is ``[inputs, outputs]`` (``Conv1D`` in transformers).
    """
    if ndim < 2:
        return 0
    second = isinstance(layer, _ConvTransposeNd | nn.Embedding | nn.EmbeddingBag) or _is_turned(
        layer
    )
    return 1 if second else 0
