"""Run by torchrun from test_processes.py: train in this process group, write down what came out.

torchrun --nproc_per_node=2 two_processes.py OUTPUT_FOLDER
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn

from laconic.errors import StageError
from laconic.prune import Prune
from laconic.represent import represent
from laconic.share import Share
from laconic.train import evaluate, fit, make_fabric
from laconic.train.array_task import ArrayTask


def task() -> ArrayTask:
    """49 training rows in batches of 16: the last has one, so a second process gets none."""
    generator = torch.Generator().manual_seed(7)
    labels = torch.arange(70) % 3
    centres = 2.0 * torch.randn(3, 8, generator=generator)
    points = centres[labels] + torch.randn(70, 8, generator=generator)
    return ArrayTask(
        points, labels, points[:51], labels[:51],
        validation_fraction=0.3, batch_size=16, eval_batch_size=5,
    )  # fmt: skip


def network(seed: int = 0) -> nn.Sequential:
    """One layer pruned, one pruned and shared (its latent weight stands still), one dense."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)
    )
    represent(model[0], Prune(0.5))
    represent(model[2], Prune(0.5))
    represent(model[2], Share(bits=3))
    return model


def main(folder: Path) -> None:
    fabric = make_fabric("cpu", threads=1)
    # Each process starts from weights of its own: those of process 0 must be everybody's.
    model = network(seed=fabric.global_rank)
    progress = []
    history = fit(
        model, task(), epochs=3, learning_rate=0.01, optimizer="adamw", weight_decay=0.1,
        schedule="cosine", clip_norm=0.5, fabric=fabric, on_progress=progress.append,
        checkpoint=folder / f"checkpoint-{fabric.world_size}.safetensors",
    )  # fmt: skip
    result = {
        "losses": [record["loss"] for record in history],
        "errors": [evaluate(model, task(), split, fabric) for split in ("validation", "test")],
        "reports": len(progress),
        "state": {key: value.tolist() for key, value in model.state_dict().items()},
    }
    if fabric.world_size > 1:
        odd = nn.Linear(8, 3 + fabric.global_rank)
        try:
            fit(odd, task(), epochs=1, fabric=fabric)
        except StageError as error:
            result["refusal"] = str(error)
    path = folder / f"{fabric.world_size}-{fabric.global_rank}.json"
    path.write_text(json.dumps(result))
    fabric.barrier()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
