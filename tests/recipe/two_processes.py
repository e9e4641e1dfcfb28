"""Run by torchrun from test_processes.py: a whole recipe in this process group.

torchrun --nproc_per_node=2 two_processes.py OUTPUT_FOLDER
"""

import sys
from pathlib import Path

import torch

from laconic import zoo
from laconic.recipe import Recipe, Stage, Watcher, run
from laconic.train import make_fabric

TINY = Path(__file__).with_name("tiny.py")
RECIPE = Recipe(
    (
        Stage("fit", {"epochs": 3, "learning_rate": 0.01}),
        Stage("prune", {"sparsity": 0.75, "scope": "global"}),
        Stage("fit", {"epochs": 2, "learning_rate": 0.01}),
        Stage("share", {"bits": 3}),
        Stage("fit", {"epochs": 2, "learning_rate": 0.002}),
    )
)


def main(folder: Path) -> None:
    fabric = make_fabric("cpu", threads=1)
    torch.manual_seed(0)
    model, task = zoo.resolve_model(f"{TINY}:model"), zoo.resolve_task(f"{TINY}:task")
    told = []
    watcher = Watcher(on_receipt=lambda receipt: told.append(receipt.kind))
    receipts = run(
        model, task, RECIPE, folder / "x.lac", folder / "run", watcher=watcher, fabric=fabric
    )
    print(fabric.global_rank, len(receipts), len(told), receipts[-1].metric, file=sys.stderr)
    fabric.barrier()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
