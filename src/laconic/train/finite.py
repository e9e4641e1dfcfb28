"""Losses and gradients that are no numbers stop a training before they reach the weights."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from laconic.errors import StageError

LATENT = re.compile(r"parametrizations\.([^.]+)\.original$")
"""The name of a latent parameter, of which a person knows the last part."""


def check_gradients(model: nn.Module, place: str, learning_rate: float) -> None:
    """Refuse gradients that are not finite; one norm over all of them when they are.

    Args:
        model: after the backward pass.
        place: for the message: ``"epoch 2, step 3"``.
        learning_rate: for the message.

    Raises:
        StageError: a gradient holds NaN or an infinity; the message names the first such layer.
    """
    found = [(name, p.grad) for name, p in model.named_parameters() if p.grad is not None]
    if torch.isfinite(nn.utils.get_total_norm([gradient for _, gradient in found])):
        return
    for name, gradient in found:
        bad = int((~torch.isfinite(gradient)).sum())
        if bad:
            plain = LATENT.sub(r"\1", name)
            raise StageError(
                f"{place}: {bad} of the {gradient.numel()} gradients of {plain} are NaN or "
                "infinite, though the loss is finite; lower the learning rate "
                f"({learning_rate:g}), or look for a square root or a quotient at 0 in the loss"
            )


def first_not_finite(model: nn.Module, inputs: Tensor) -> str:
    """Which layer's outputs are the first to hold NaN or infinities, as part of a message.

    Args:
        model: whose loss is not finite; it is run once more.
        inputs: of the batch.

    Returns:
        ``" (fc1 is the first layer whose outputs are not finite: 12 of 640)"``; nothing when all
        outputs are finite.

    Examples:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> _ = nn.init.constant_(model[0].bias, torch.inf)
        >>> first_not_finite(model, torch.zeros(1, 2))
        ' (0 is the first layer whose outputs are not finite: 3 of 3)'
    """
    found: list[str] = []

    def look(name: str, outputs: object) -> None:
        if found or not isinstance(outputs, Tensor) or not outputs.is_floating_point():
            return
        bad = int((~torch.isfinite(outputs)).sum())
        if bad:
            found.append(
                f" ({name} is the first layer whose outputs are not finite: {bad} of "
                f"{outputs.numel()})"
            )

    hooks = [
        module.register_forward_hook(lambda _, __, outputs, name=name: look(name, outputs))
        for name, module in model.named_modules()
        if name and "parametrizations" not in name.split(".")
    ]
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return "".join(found)
