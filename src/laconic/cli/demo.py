"""``laconic demo``: the main job, from nothing to a small file that runs without torch."""

from __future__ import annotations

import json as json_module
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from laconic.cli import show
from laconic.cli.options import Json
from laconic.errors import LaconicError
from laconic.measure.receipts import dense_receipt

MODEL, TASK, RECIPE = "zoo:lenet5", "zoo:digits", "demo"

# Runs in a process of its own, so that nothing but the file and NumPy can be at work there.
WITHOUT_TORCH = """
import json, sys
import numpy as np
import laconic.runtime
session = laconic.runtime.load(sys.argv[1])
deviation = session.check_probe()
np.save(sys.argv[3], session.run(np.load(sys.argv[2]))[0])
print(json.dumps({"probe_deviation": deviation, "torch": "torch" in sys.modules}))
"""


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results.", file_okay=False)
    ] = Path("laconic-demo"),
    threads: Annotated[int, typer.Option(help="Threads to compute with.", min=1)] = 1,
    json: Json = False,
) -> None:
    """Train LeNet-5 on handwritten digits, compress it, run the file without torch, report."""
    with show.working("loading torch"):
        import torch

        from laconic import zoo
        from laconic.recipe import load_recipe, run
        from laconic.report import write as write_report
        from laconic.train import make_fabric

    run_dir, file = output / "run", output / "lenet5-digits.lac"
    if (run_dir / "run.json").exists():
        shutil.rmtree(run_dir)
    steps = load_recipe(RECIPE)
    fabric = make_fabric(threads=threads)
    torch.manual_seed(steps.seed)
    network, task = zoo.resolve_model(MODEL), zoo.resolve_task(TASK)
    if not json:
        show.errors.print("LeNet-5 on scikit-learn's digits: train, prune, share, Huffman, pack")
    with show.progress_bars(quiet=json) as watcher:
        receipts = run(network, task, steps, file, run_dir, watcher=watcher, fabric=fabric)
    outside = run_without_torch(file, task, output)
    report = write_report(run_dir)
    dense, packed = dense_receipt(receipts), receipts[-1]
    if json:
        results = {"dense": asdict(dense), "packed": asdict(packed), "outside": outside}
        show.print_json({**results, "file": str(file), "report": str(report)})
        return
    show.console.print(
        show.comparison([("dense", dense), ("packed", packed)], "LeNet-5 on handwritten digits")
    )
    show.say(
        f"{packed.ratio:.1f}× smaller: {show.bytes_text(packed.float32_bytes)} bytes of float32 "
        f"→ {show.bytes_text(packed.size_bytes)} in the file",
        "bold",
    )
    show.say(
        f"without torch, in a process of its own: test error {outside['error_percent']:.2f} %, "
        + show.probe_text(outside["probe_deviation"])
    )
    show.say(f"file: {file}")
    show.say(f"report: {report}")


def run_without_torch(file: Path, task: Any, folder: Path) -> dict[str, Any]:
    """Run the packed file over the test split in a fresh process, with NumPy alone.

    Raises:
        LaconicError: the process failed, or torch was loaded in it.
    """
    batches = list(task.batches("test"))
    inputs, outputs = folder / "inputs.npy", folder / "outputs.npy"
    np.save(inputs, np.concatenate([batch.numpy() for batch, _ in batches]))
    command = [sys.executable, "-c", WITHOUT_TORCH, str(file), str(inputs), str(outputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LaconicError(f"{file} does not run without torch: {done.stderr.strip()[-500:]}")
    told: dict[str, Any] = json_module.loads(done.stdout)
    if told["torch"]:
        raise LaconicError("the process that should run without torch has loaded it")
    targets = np.concatenate([batch.numpy() for _, batch in batches])
    wrong = np.load(outputs).argmax(1) != targets
    inputs.unlink()
    outputs.unlink()
    return {**told, "error_percent": 100 * float(wrong.mean())}
