"""``laconic compress``: a network, a task and a recipe become a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from laconic.cli import show
from laconic.cli.options import Json, Model, Task
from laconic.measure.receipts import dense_receipt


def compress(
    model: Model,
    task: Task,
    recipe: Annotated[str, typer.Option(help="A built-in recipe's name or a TOML file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .lac file to write.")],
    weights: Annotated[
        Path | None,
        typer.Option(help="Start from these weights (.safetensors).", exists=True, dir_okay=False),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Receipts and checkpoints. [default: OUTPUT.run]")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on with the run in RUN_DIR.")] = False,
    threads: Annotated[int | None, typer.Option(help="Threads to compute with.", min=1)] = None,
    json: Json = False,
) -> None:
    """Compress a network by a recipe: prune, share, quantize, fine-tune, pack.

    Every stage is packed and measured; the receipts and a report are kept in the run directory.
    """
    import torch

    from laconic import zoo
    from laconic.recipe import load_recipe, run
    from laconic.report import write as write_report
    from laconic.train import make_fabric

    steps = load_recipe(recipe)
    fabric = make_fabric(threads=threads)
    torch.manual_seed(steps.seed)
    network = zoo.resolve_model(model)
    if weights is not None:
        load_weights(network, weights)
    directory = run_dir or output.with_name(output.name + ".run")
    with show.progress_bars(quiet=json) as watcher:
        receipts = run(
            network,
            zoo.resolve_task(task),
            steps,
            output,
            directory,
            resume=resume,
            watcher=watcher,
            fabric=fabric,
            identity={"model": model, "task": task},
        )
    report = write_report(directory)
    if json:
        show.print_json([asdict(receipt) for receipt in receipts])
        return
    show.console.print(show.stages_table(receipts))
    before_after = {"before": dense_receipt(receipts), "after": receipts[-1]}
    show.console.print(show.comparison(before_after, f"{model}, {task}, {recipe}"))
    show.console.print(f"{output}: {show.bytes_text(receipts[-1].size_bytes)} bytes; {report}")


def load_weights(network: object, path: Path) -> None:
    """Fill a network from a ``.safetensors`` file.

    Raises:
        MismatchError: names or shapes differ; the message lists them.
        DataError: the file is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from torch import nn

    from laconic.errors import DataError, MismatchError

    if not isinstance(network, nn.Module):
        raise MismatchError(f"{type(network).__name__} is no torch.nn.Module")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path} is no safetensors file: {error}") from error
    try:
        found = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise MismatchError(f"{path}: {error}") from error
    # Counters of BatchNorm steps are missing in many published files and decide nothing.
    missing = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        raise MismatchError(
            f"{path} does not fit the model; missing: {missing or 'none'}, "
            f"not in the model: {found.unexpected_keys or 'none'}"
        )
