#!/usr/bin/env python3
"""Bytes and right answers of the published ResNet-20 under each codebook, without training.

The network is `cifar10_models/resnet20.safetensors` in $LACONIC_DATA; every layer shares its
weights, importances come from training images; the first 2,000 validation images judge, which the
network has probably seen. Two minutes on one core.

    LACONIC_DATA=DIR python benchmarks/codebooks.py
"""

from __future__ import annotations

import copy
from itertools import islice
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from laconic.pack import pack_model_bytes
from laconic.recipe import STAGES, Context
from laconic.train import make_fabric
from laconic.zoo.locate import locate
from laconic.zoo.models import MODELS
from laconic.zoo.tasks import cifar10

FISHER = {"saliency": "true-fisher", "examples": 512}
JOINT = {"scope": "global"}
STAGES_TRIED: list[tuple[str, dict[str, Any]]] = [
    ("share", {"bits": 3}),
    ("share", {"bits": 3, "start": "optimal"}),
    ("share", {"bits": 3, "start": "optimal", **FISHER}),
    ("share", {"bits": 3, "start": "optimal", **FISHER, "damping": 0.0}),
    ("share", {"bits": 3, "start": "optimal", "saliency": "adam-moment", "examples": 4096}),
    ("share", {"bits": 4, "start": "optimal", **JOINT}),
    ("share", {"bits": 4, "start": "optimal", **JOINT, **FISHER}),
    ("share-bins", {"width": 0.5, **JOINT}),
    ("share-bins", {"width": 0.5, **JOINT, **FISHER}),
    ("share-entropy", {"bits": 5, "penalty": 0.02, **JOINT}),
    ("share-entropy", {"bits": 5, "penalty": 0.02, **JOINT, **FISHER}),
    ("share-entropy", {"bits": 5, "penalty": 0.05, **JOINT}),
    ("share-entropy", {"bits": 5, "penalty": 0.01, **JOINT, **FISHER}),
]


def right_percent(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    """Of the images."""
    with torch.no_grad():
        right = [(model(inputs).argmax(1) == labels).float() for inputs, labels in batches]
    return 100 * float(torch.cat(right).mean())


def main() -> None:
    """Print a line for each stage."""
    torch.set_num_threads(1)
    dense = MODELS["resnet20"]().eval()
    dense.load_state_dict(load_file(locate("cifar10_models/resnet20.safetensors")))
    task = cifar10()
    batches = list(islice(task.batches("validation"), 2))
    size = len(pack_model_bytes(dense, program=False))
    print(f"{size:>9,} {right_percent(dense, batches):6.2f} float32", flush=True)
    for kind, arguments in STAGES_TRIED:
        model = copy.deepcopy(dense)
        context = Context(model, task, make_fabric("cpu", threads=1), 0, None, None)
        STAGES[kind](context, **arguments)
        size = len(pack_model_bytes(model.eval(), program=False))
        words = " ".join(f"{key}={value}" for key, value in arguments.items())
        print(f"{size:>9,} {right_percent(model, batches):6.2f} {kind} {words}", flush=True)


if __name__ == "__main__":
    main()
