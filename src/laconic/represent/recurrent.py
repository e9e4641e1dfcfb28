"""Recurrent layers of torch: their fused kernels read a list of weights, not the attributes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def read_through_chains(layer: nn.RNNBase) -> None:
    """Let the kernel of a restricted `nn.LSTM`, `nn.GRU` or `nn.RNN` see what its chains give.

    The kernel gets ``_flat_weights``, which torch keeps in the layer and renews in `forward` and
    `to`. Renewed from a chain it would hold the results of a computation: what was computed last,
    which no copy can be made of. So in the class that parametrization made for this layer it is
    computed whenever it is read, from the attributes, and never kept. With
    ``parametrize.cached()``, as in training and evaluation, a chain runs once a step; without, a
    call of the layer reads the list twice.

    cuDNN wants these weights side by side and copies them there in each call, with a warning; on
    a CPU nothing is lost.

    Args:
        layer: with a chain on at least one of its weights.
    """
    kind: Any = type(layer)
    kind._flat_weights = property(_present_weights, _keep_nothing)
    kind._update_flat_weights = _renew_nothing
    kind._init_flat_weights = _renew_nothing


def read_directly(layer: nn.RNNBase) -> None:
    """Let the kernel of a layer whose chains were taken off see its parameters again."""
    layer._init_flat_weights()


def _present_weights(layer: nn.RNNBase) -> list[Tensor | None]:
    return [getattr(layer, name, None) for name in layer._flat_weights_names]


def _keep_nothing(layer: nn.RNNBase, weights: list[Tensor | None]) -> None:
    """What torch would keep is computed when it is read."""


def _renew_nothing(layer: nn.RNNBase) -> None:
    """Nothing is kept that could be out of date."""
