"""Run by torchrun from test_mask_processes.py: recipes whose zeros and shapes data decide.

torchrun --nproc_per_node=2 two_processes_masks.py OUTPUT_FOLDER [apart]

With "apart" each process sees other inputs, as if each read a part of the examples alone.
"""

import json
import sys
from pathlib import Path

import torch

from laconic import zoo
from laconic.recipe import Recipe, Stage, run
from laconic.represent import plain_state
from laconic.train import make_fabric

TINY = Path(__file__).with_name("tiny.py")
FIT = Stage("fit", {"epochs": 2, "learning_rate": 0.01, "keep_step": 4})
SGD = {"epochs": 4, "learning_rate": 0.1, "optimizer": "sgd"}
RECIPES = {
    "gradual": (
        FIT,
        Stage("agp", {"sparsity": 0.75, "epochs": 3, "frequency": 2, "learning_rate": 0.01}),
        Stage("rewind", {"to": "kept"}),
        FIT,
    ),
    "proximal": (Stage("fit", SGD | {"proximal": {"l1": 0.05, "filters": {"0": 0.1}}}), FIT),
    "penalised": (
        Stage("fit", SGD | {"penalties": {"li": 0.05}}),
        Stage("prune", {"sparsity": 0.5}),
    ),
    "supermask": (Stage("supermask", {"epochs": 3, "learning_rate": 0.1}),),
    "gradual-global": (
        Stage(
            "agp",
            {"sparsity": 0.75, "epochs": 3, "frequency": 2, "learning_rate": 0.01}
            | {"scope": "global", "saliency": "fisher", "examples": 40},
        ),
    ),
    "compensated": (
        FIT,
        Stage("prune", {"sparsity": 0.5, "saliency": "obs"}),
        Stage("compensate", {"examples": 60}),
    ),
    "sampled": (Stage("prune", {"sparsity": 0.5, "saliency": "ewc"}), FIT),
    "greedy-cut": (
        Stage("greedy-cut", {"fraction": 0.25, "per_round": 3, "steps": 2, "examples": 20}),
        Stage("prune", {"sparsity": 0.5, "saliency": "magnitude-increase"}),
    ),
    "learned-architecture": (
        Stage("trim", {"examples": 20}),
        Stage(
            "learn-architecture",
            {"epochs": 5, "merge": ["0"], "learning_rate": 0.01, "start": 0.6, "speed": 5.0}
            | {"binary_w": 0.1, "width": 0.04, "depth": 0.5},
        ),
        Stage("prune", {"sparsity": 0.5}),
    ),
    "convolutions-cut": (
        Stage("cut", {"fraction": 0.5, "saliency": "fisher-channels", "examples": 20}),
        Stage("recalibrate", {"examples": 80}),
        Stage("prune", {"sparsity": 0.5, "saliency": "wanda"}),
    ),
}


def main(folder: Path, *, apart: bool) -> None:
    fabric = make_fabric("cpu", threads=1)
    found = {}
    for name, stages in RECIPES.items():
        torch.manual_seed(0)
        network = "convolutions" if name.startswith("convolutions") else "model"
        model, task = zoo.resolve_model(f"{TINY}:{network}"), zoo.resolve_task(f"{TINY}:task")
        if apart:
            noise = torch.Generator().manual_seed(fabric.global_rank)
            task.train_inputs += torch.randn(task.train_inputs.shape, generator=noise)
        output, directory = folder / f"{name}.lac", folder / name
        run(model, task, Recipe(stages), output, directory, fabric=fabric)
        found[name] = {key: value.tolist() for key, value in plain_state(model).items()}
    (folder / f"{fabric.global_rank}.json").write_text(json.dumps(found))
    fabric.barrier()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), apart="apart" in sys.argv[2:])
