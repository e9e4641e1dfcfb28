"""``laconic compress``: a network, a task and a recipe become a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from laconic.cli import show
from laconic.cli.options import Json, Model, Task
from laconic.measure.receipts import Receipt, dense_receipt

if TYPE_CHECKING:
    from torch import Tensor, nn


def compress(
    model: Model,
    task: Task,
    recipe: Annotated[str, typer.Option(help="A built-in recipe's name or a TOML file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .lac file to write.", dir_okay=False)
    ],
    weights: Annotated[
        Path | None,
        typer.Option(help="Start from these weights (.safetensors).", exists=True, dir_okay=False),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Receipts and checkpoints; OUTPUT.run by default.", file_okay=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in RUN_DIR.")
    ] = False,
    threads: Annotated[int | None, typer.Option(help="Threads to compute with.", min=1)] = None,
    json: Json = False,
) -> None:
    """Compress a network by a recipe: prune, share, quantize, fine-tune, pack.

    Every stage is packed and measured; the receipts and a report are kept in the run directory.
    """
    with show.working("loading torch"):
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
    with show.working(f"reading the data of {task}"):
        data = zoo.resolve_task(task)
    directory = run_dir or output.with_name(output.name + ".run")
    with show.progress_bars(quiet=json or not fabric.is_global_zero) as watcher:
        receipts = run(
            network,
            data,
            steps,
            output,
            directory,
            resume=resume,
            watcher=watcher,
            fabric=fabric,
            identity={"model": model, "task": task},
        )
    if fabric.is_global_zero:  # under torchrun the first process speaks for all
        tell(receipts, output, write_report(directory), json)
    if torch.distributed.is_initialized():
        fabric.barrier()
        torch.distributed.destroy_process_group()


def tell(receipts: list[Receipt], output: Path, report: Path, json: bool) -> None:
    """Print what a run came to."""
    if json:
        show.print_json([asdict(receipt) for receipt in receipts])
        return
    show.console.print(show.stages_table(receipts), "")
    before_after = [("before", dense_receipt(receipts)), ("after", receipts[-1])]
    show.console.print(show.comparison(before_after, "before and after"))
    show.say(f"{output}: {show.bytes_text(receipts[-1].size_bytes)} bytes; report: {report}")


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network from a ``.safetensors`` file; floats of another precision are converted.

    Raises:
        MismatchError: names, shapes or kinds of number differ; the message lists them.
        DataError: the file is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from laconic.errors import DataError, MismatchError

    def described(tensor: Tensor) -> str:
        return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"

    try:
        state = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path} is no safetensors file: {error}") from error
    own = network.state_dict(keep_vars=True)
    # Of tied weights a file may hold one; counters of BatchNorm steps are missing in many
    # published files and decide nothing.
    present = {id(value) for name, value in own.items() if name in state}
    missing = [
        name
        for name, value in own.items()
        if id(value) not in present and not name.endswith("num_batches_tracked")
    ]
    unexpected = [name for name in state if name not in own]
    wrong = [
        f"{name} is {described(state[name])} in the file, {described(value)} in the model"
        for name, value in own.items()
        if name in state
        and (
            state[name].shape != value.shape
            or state[name].is_floating_point() != value.is_floating_point()
        )
    ]
    if missing or unexpected or wrong:
        faults = [f"the file lacks {', '.join(missing)}"] if missing else []
        faults += [f"the model has no {', '.join(unexpected)}"] if unexpected else []
        raise MismatchError(f"{path} does not fit the model: {'; '.join(faults + wrong)}")
    network.load_state_dict(state, strict=False)
