#!/usr/bin/env python3
"""Pruning without retraining: how many answers stay right, by what chose the weights.

The published ResNet-20 (`cifar10_models/resnet20.safetensors` in $LACONIC_DATA), 256 training
examples, 1,000 validation images; percent right without and with `laconic.solve.compensate`. About
five minutes on one core.

    LACONIC_DATA=DIR python benchmarks/one_shot.py [SALIENCY ...]
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Mapping

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from laconic.prune import SCOPES
from laconic.represent import represent_layers, weights
from laconic.saliency import SALIENCIES, Data, input_hessians
from laconic.solve import compensate
from laconic.zoo.locate import locate
from laconic.zoo.models import MODELS
from laconic.zoo.tasks import cifar10

NAMES = ["magnitude", "obs-greedy", "wanda", "obs", "mas", "obd", "fisher", "taylor", "random"]
SPARSITIES = (0.5, 0.7, 0.8)


def kept(
    model: nn.Module, scores: Mapping[str, Tensor], scope: str, sparsity: float
) -> dict[str, Tensor]:
    """The masks."""
    twin = copy.deepcopy(model)
    represent_layers(twin, SCOPES[scope].steps(twin, scores, sparsity))
    return {name: weight != 0 for name, weight in weights(twin).items()}


def right_percent(
    model: nn.Module, values: Mapping[str, Tensor], inputs: Tensor, labels: Tensor
) -> float:
    """With these weights."""
    with torch.no_grad():
        outputs = torch.func.functional_call(model, dict(values), (inputs,))
    return 100 * float((outputs.argmax(1) == labels).float().mean())


def main(names: list[str]) -> None:
    """Print a line for each saliency and scope."""
    task, model = cifar10(), MODELS["resnet20"]().eval()
    model.load_state_dict(load_file(locate("cifar10_models/resnet20.safetensors")))
    inputs, labels = next(task.batches("validation"))
    dense, data = weights(model), Data(task, 256)
    hessians = input_hessians(model, list(dense), data)
    print(f"dense {right_percent(model, dense, inputs, labels):.1f}")
    for name in names:
        began = time.perf_counter()
        scores = SALIENCIES[name]().scores(model, data=data)
        seconds = time.perf_counter() - began
        for scope in ("layer", "global"):
            figures = []
            for sparsity in SPARSITIES:
                masks = kept(model, scores, scope, sparsity)
                plain = {each: dense[each] * masks[each] for each in dense}
                moved = {
                    each: compensate(dense[each], hessians[each], masks[each]) for each in dense
                }
                both = [right_percent(model, values, inputs, labels) for values in (plain, moved)]
                figures.append(f"{sparsity:.0%} {both[0]:5.1f} {both[1]:5.1f}")
            print(
                f"{name:12} {scope:7} {' | '.join(figures)}  scored in {seconds:.1f} s", flush=True
            )


if __name__ == "__main__":
    main(sys.argv[1:] or NAMES)
