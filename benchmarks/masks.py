#!/usr/bin/env python3
"""Bytes of the published ResNet-56 under each form of mask, without fine-tuning.

The network is `cifar10_models/resnet56.safetensors` in $LACONIC_DATA; its 3×3 layers behind the
first are pruned. Two minutes on one core.

    LACONIC_DATA=DIR python benchmarks/masks.py
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from safetensors.torch import load_file

from laconic.pack import pack_model_bytes
from laconic.prune import Mask, Prune, PruneBalanced, PruneBlocks, PruneNM, PrunePatterns
from laconic.represent import represent_layers, weights
from laconic.zoo.locate import locate
from laconic.zoo.models import MODELS

FORMS: dict[str, Callable[[], Mask]] = {
    "2:4": lambda: PruneNM(2, 4),
    "half, anywhere": lambda: Prune(0.5),
    "patterns of 4 entries": lambda: PrunePatterns(),
    "5 of 9, anywhere": lambda: Prune(5 / 9),
    "75 %, blocks of 4 x 1": lambda: PruneBlocks(0.75, 4, 1),
    "75 %, whole kernels": lambda: PruneBlocks(0.75, 1, 9),
    "75 %, balanced over 8": lambda: PruneBalanced(0.75, 8),
    "75 %, anywhere": lambda: Prune(0.75),
}


def main() -> None:
    """Print a line for each form."""
    dense = MODELS["resnet56"]().eval()
    dense.load_state_dict(load_file(locate("cifar10_models/resnet56.safetensors")))
    example = torch.zeros(1, 3, 32, 32)
    names = [name for name, weight in weights(dense).items() if weight.shape[2:] == (3, 3)][1:]
    print(f"{'dense':24} {len(pack_model_bytes(dense, example_input=example)):>9,}")
    for form, step in FORMS.items():
        model = copy.deepcopy(dense)
        represent_layers(model, {name: step() for name in names})
        size = len(pack_model_bytes(model, example_input=example))
        print(f"{form:24} {size:>9,}", flush=True)


if __name__ == "__main__":
    main()
