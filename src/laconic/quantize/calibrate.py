"""Calibration: the ranges of activations, from training examples."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from laconic.errors import UsageError
from laconic.quantize.activation import activations


def calibrate(model: nn.Module, batches: Iterable[Tensor], *, again: bool = False) -> list[str]:
    """Give every attached quantizer its range from what comes to it, in place; no training.

    The network computes in eval mode, with its restricted weights; a quantizer that is calibrated
    looks at what the unquantized network has there, one that was calibrated before restricts it.

    Args:
        model: with quantizers attached.
        batches: inputs of training examples, never of the validation or test split.
        again: also give a new range to those that have one.

    Returns:
        ``layer.place`` of those that were calibrated.

    Raises:
        UsageError: nothing is to be calibrated, there is no batch, the data hold NaN, or a layer
            saw a constant or nothing at all; the message names the layer.

    Examples:
        >>> from laconic.quantize.activation import attach
        >>> from laconic.quantize.activations import Static
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> _ = attach(net, "*", lambda: Static(bits=8))
        >>> calibrate(net, [torch.cat([torch.eye(4), -torch.eye(4)])])
        ['0.input', '2.input']
        >>> float(net[0].input_quantizer.scale), int(net[0].input_quantizer.zero_point)
        (0.007843137718737125, 127)
    """
    wanted = {
        f"{path}.{place}".lstrip("."): quantizer
        for path, place, quantizer in activations(model)
        if quantizer.learnt and (again or not quantizer.is_calibrated)
    }
    if not wanted:
        raise UsageError(
            "no quantizer of activations waits for a range; attach some, or calibrate with again"
        )
    modes = [(module, module.training) for module in model.modules()]
    for name, quantizer in wanted.items():
        quantizer.watching = name
    try:
        with torch.no_grad(), parametrize.cached():
            _watch(model.eval(), batches)
        for name, quantizer in wanted.items():
            try:
                quantizer.settle()
            except UsageError as error:
                raise UsageError(f"{name}: {error}") from error
    finally:
        for quantizer in wanted.values():
            quantizer.watching = None
        for module, mode in modes:
            module.training = mode
    return list(wanted)


def _watch(model: nn.Module, batches: Iterable[Tensor]) -> None:
    count = 0
    for count, batch in enumerate(batches, 1):
        if not bool(torch.isfinite(batch).all()):
            raise UsageError(
                f"calibration batch {count} holds NaN or infinity; clean the data, or leave those "
                "examples out"
            )
        model(batch)
    if not count:
        raise UsageError("there is no batch to calibrate on")
