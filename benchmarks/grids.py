#!/usr/bin/env python3
"""Bytes and right answers of the published ResNet-20 on each grid, without training.

The network is `cifar10_models/resnet20.safetensors` in $LACONIC_DATA; every layer is put on the
grid; the first 500 validation images judge, which it has probably seen. Two minutes on one core.

    LACONIC_DATA=DIR python benchmarks/grids.py
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from safetensors.torch import load_file
from torch import nn

from laconic.pack import pack_model_bytes
from laconic.quantize import CLIPS, Affine, FixedPoint, Narrow, Uniform, UniformFull
from laconic.represent import Step, represent_layers, weights
from laconic.zoo.locate import locate
from laconic.zoo.models import MODELS
from laconic.zoo.tasks import cifar10

IMAGES = 500
GRIDS: list[Callable[[], Step]] = [
    *(lambda clip=clip: Uniform(4, clip=clip) for clip in CLIPS),
    *(lambda clip=clip: Uniform(4, axis=0, clip=clip) for clip in CLIPS if clip != "average"),
    lambda: UniformFull(4, axis=0),
    lambda: UniformFull(4, axis=0, clip="mse"),
    lambda: Affine(4, axis=0),
    lambda: Affine(4, axis=0, clip="mse"),
    lambda: Uniform(8),
    lambda: Uniform(8, axis=0),
    lambda: FixedPoint(1, 6),
    *(lambda name=name: Narrow(name) for name in ("bfloat16", "float16", "e4m3", "e5m2")),
]


def right_percent(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Of the images."""
    with torch.no_grad():
        return 100 * float((model(inputs).argmax(1) == labels).float().mean())


def main() -> None:
    """Print a line for each grid."""
    dense = MODELS["resnet20"]().eval()
    dense.load_state_dict(load_file(locate("cifar10_models/resnet20.safetensors")))
    inputs, labels = (part[:IMAGES] for part in next(cifar10().batches("validation")))
    size = len(pack_model_bytes(dense, program=False))
    print(f"{'float32':44} {size:>9,} {right_percent(dense, inputs, labels):6.1f}")
    for make in GRIDS:
        model = copy.deepcopy(dense)
        represent_layers(model, {name: make() for name in weights(model)})
        size = len(pack_model_bytes(model, program=False))
        print(f"{make()!s:44} {size:>9,} {right_percent(model, inputs, labels):6.1f}", flush=True)


if __name__ == "__main__":
    main()
