"""Neurons that nothing reaches, or that reach nothing: their remaining weights go too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from laconic.errors import UsageError
from laconic.prune.threshold import Threshold
from laconic.represent import Grid, chains, latents, represent_layers, weights

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "none": lambda outputs: outputs,
}
"""What may stand between two layers; ``none`` also where there is pooling alone."""


def drop_dead_neurons(model: nn.Module, names: Sequence[str], activation: str = "relu") -> int:
    """Zero what is left of the dead neurons between layers, and hold it at zero.

    DropNeuron, arXiv:1606.07326, section 3, "discard neuron with no connection": a neuron (or
    filter) is dead when all its incoming weights are zero, or all its outgoing ones. One without
    input still gives a constant, the activation of its bias; the paper forgets it, here it moves
    into the biases of the next layer, so that the network computes the same. Its neighbours may
    die of it, so this repeats until no neuron dies. Zero rows and columns are then what surgery
    removes.

    Args:
        model: changed in place.
        names: of weights, in the order of the forward pass, each layer feeding the next alone;
            ``["fc1.weight", "fc2.weight"]``. A linear layer after a convolution takes so many
            columns of each channel (as flattening puts them).
        activation: a key of `ACTIVATIONS`, between all these layers.

    Returns:
        How many neurons were dropped that still had a weight or a bias.

    Raises:
        UsageError: the layers do not feed each other or are on a grid, a BatchNorm changes their
            outputs, no neuron of a layer is left, or a constant has no bias to move to (a
            convolution that pads with zeros does not see it at the border).
    """
    if activation not in ACTIVATIONS:
        listed = ", ".join(ACTIVATIONS)
        raise UsageError(f"no activation is named {activation!r}; there are: {listed}")
    if len(names) < 2:
        raise UsageError(f"neurons stand between two layers, but these are {list(names)}")
    restricted = chains(model)
    for name in names:
        for step in restricted.get(name, []):
            if isinstance(step, Grid):
                raise UsageError(f"{name} is on the grid {step}; drop neurons before that stage")
    found: dict[str, Tensor] = dict(latents(model))
    present = weights(model)
    _check_between(model, {name: len(present[name]) for name in names[:-1]})
    padded = {name for name in names if _pads_with_zeros(model, name)}
    with torch.no_grad():
        for name in names:
            found[name].copy_(present[name])
        count, dropped = -1, 0
        while count < dropped:
            count = dropped
            for before, after in pairwise(names):
                dropped += _drop(found, before, after, ACTIVATIONS[activation], after in padded)
    held = [name for name in names if bool((found[name] == 0).any())]
    represent_layers(model, {name: Threshold(0.0) for name in held})
    return dropped


def _check_between(model: nn.Module, widths: dict[str, int]) -> None:
    """Refuse a BatchNorm as wide as one of these layers: it makes other constants of biases."""
    for path, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            for name, width in widths.items():
                if width == module.num_features:
                    raise UsageError(
                        f"{name} has {width} outputs, as many as the BatchNorm {path} takes: what "
                        "a dead neuron gives is not the activation of its bias; remove such "
                        "channels by the stage remove-dead"
                    )


def _pads_with_zeros(model: nn.Module, name: str) -> bool:
    layer = model.get_submodule(name.rpartition(".")[0])
    padding = getattr(layer, "_reversed_padding_repeated_twice", ())
    return getattr(layer, "padding_mode", "") == "zeros" and any(padding)


def _drop(
    found: dict[str, Tensor], before: str, after: str, activation: Callable[[Tensor], Tensor],
    padded: bool,
) -> int:  # fmt: skip
    rows = found[before].flatten(1)
    outgoing = found[after]
    if outgoing.shape[1] % len(rows):
        raise UsageError(
            f"{before} has {len(rows)} outputs, but {after} takes {outgoing.shape[1]} inputs: it "
            "does not follow; give the layers in the order of the forward pass"
        )
    # [outputs of the next layer, neurons, weights that go from one to the other]
    columns = outgoing.view(len(outgoing), len(rows), -1)
    bias = found.get(_bias(before), rows.new_zeros(len(rows)))
    deaf, mute = (rows == 0).all(1), (columns == 0).all(2).all(0)
    dead = deaf | mute
    if bool(dead.all()):
        raise UsageError(f"{before}: all its {len(rows)} neurons are dead; prune less")
    rest = (rows != 0).any(1) | (bias != 0) | (columns != 0).any(2).any(0)
    constant = torch.where(deaf, activation(bias), 0.0)
    moved = torch.einsum("onk,n->o", columns, constant)
    if bool((moved != 0).any()):
        constants = f"{before}: {int((constant != 0).sum())} neurons without input give constants"
        if _bias(after) not in found:
            raise UsageError(f"{constants}, and {after} has no bias that could take them up")
        if padded:
            raise UsageError(
                f"{constants}, and {after} pads with zeros, so that its bias could not take them "
                "up at the border; leave these layers out"
            )
        found[_bias(after)].add_(moved)
    found[before][dead] = 0
    bias[dead] = 0
    columns[:, dead] = 0
    return int((dead & rest).sum())


def _bias(weight: str) -> str:
    return weight.removesuffix("weight") + "bias"
