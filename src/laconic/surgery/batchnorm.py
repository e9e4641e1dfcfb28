"""BatchNorm statistics measured again: after a cut they are no longer those of the inputs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from laconic.errors import UsageError


def recalibrate(model: nn.Module, inputs: Iterable[Tensor]) -> int:
    """Replace the running statistics of all BatchNorm layers by those of `inputs`, in place.

    Mean and variance are the plain averages over the batches, each layer seeing what the layers
    before it make of the batch. The weights stay.

    Args:
        model: in any mode, which it keeps.
        inputs: batches of training examples, never of the validation or test split.

    Returns:
        How many layers were measured.

    Raises:
        UsageError: there is no BatchNorm layer with running statistics, or no input.

    Examples:
        >>> norm = nn.BatchNorm1d(2)
        >>> recalibrate(norm, [torch.tensor([[1.0, 4.0], [3.0, 4.0]])])
        1
        >>> norm.running_mean.tolist(), norm.running_var.tolist()
        ([2.0, 4.0], [2.0, 0.0])
    """
    layers = [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]
    if not layers:
        raise UsageError("the network has no BatchNorm layer with running statistics")
    batches = iter(inputs)
    first = next(batches, None)
    if first is None:
        raise UsageError("there is no input to measure BatchNorm statistics on")
    modes = [(module, module.training) for module in model.modules()]
    momenta = [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over all batches
        layer.train()
    try:
        with torch.no_grad(), parametrize.cached():
            for batch in chain([first], batches):
                model(batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in modes:
            module.training = mode
    return len(layers)
