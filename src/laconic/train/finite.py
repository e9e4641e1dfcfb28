"""Gradients that are no numbers stop a training before they reach the weights."""

from __future__ import annotations

import re

import torch
from torch import nn

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
