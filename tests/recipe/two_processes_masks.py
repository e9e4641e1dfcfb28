"""Run by torchrun from test_mask_processes.py: recipes whose masks change while they train.

torchrun --nproc_per_node=2 two_processes_masks.py OUTPUT_FOLDER
"""

import json
import sys
from pathlib import Path

import torch

from laconic import zoo
from laconic.recipe import Recipe, Stage, run
from laconic.represent import weights
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
}


def main(folder: Path) -> None:
    fabric = make_fabric("cpu", threads=1)
    found = {}
    for name, stages in RECIPES.items():
        torch.manual_seed(0)
        model, task = zoo.resolve_model(f"{TINY}:model"), zoo.resolve_task(f"{TINY}:task")
        output, directory = folder / f"{name}.lac", folder / name
        run(model, task, Recipe(stages), output, directory, fabric=fabric)
        found[name] = {key: value.tolist() for key, value in weights(model.eval()).items()}
    (folder / f"{fabric.global_rank}.json").write_text(json.dumps(found))
    fabric.barrier()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
