"""Run by torchrun from test_processes.py: each process says which weights its stages pruned.

torchrun --nproc_per_node=2 two_masks.py

The scores of one process differ from the other's, as they may where a device adds up in any order.
"""

import hashlib
import sys
from pathlib import Path

import torch

from laconic import zoo
from laconic.prune import SCOPES
from laconic.recipe import STAGES
from laconic.recipe.context import Context
from laconic.represent import weights
from laconic.saliency import SALIENCIES, Random
from laconic.train import make_fabric

TINY = Path(__file__).with_name("tiny.py")


class Rank(Random):
    """Other scores in every process."""

    def __init__(self) -> None:
        super().__init__(torch.distributed.get_rank())


def main() -> None:
    fabric = make_fabric("cpu", threads=1)
    SALIENCIES["rank"] = Rank
    stages = [("prune", {"sparsity": 0.5, "scope": scope}) for scope in SCOPES]
    stages += [("prune", {"sparsity": {"0": 0.6, "2": 0.4}}), ("prune-n-m", {"n": 1, "m": 4})]
    lines = []
    for saliency in ("rank", "fisher", "wanda"):
        for kind, arguments in stages:
            torch.manual_seed(0)
            model, task = zoo.resolve_model(f"{TINY}:model"), zoo.resolve_task(f"{TINY}:task")
            torch.manual_seed(fabric.global_rank)
            context = Context(model, task, fabric, 5, None, None)
            STAGES[kind](context, saliency=saliency, examples=50, **arguments)
            masks = b"".join((w != 0).numpy().tobytes() for w in weights(model).values())
            digest = hashlib.sha256(masks).hexdigest()[:12]
            title = f"{saliency} {kind} {arguments}".replace(" ", "_")
            lines.append(f"{title} {fabric.global_rank} {digest}")
    for rank in range(fabric.world_size):
        if rank == fabric.global_rank:
            print("\n".join(lines), file=sys.stderr, flush=True)
        fabric.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
