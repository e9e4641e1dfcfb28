"""``laconic compress``: a network, a task and a recipe become a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from laconic.cli import show
from laconic.cli.options import CALLABLE, Json, Model
from laconic.measure.receipts import Receipt, dense_receipt

if TYPE_CHECKING:
    from torch import Tensor, nn

DROP = 0.5
"""Without a recipe and without --drop."""


def compress(
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .lac file to write.", dir_okay=False)
    ],
    task: Annotated[str | None, typer.Option(help=f"Data, loss and metric: {CALLABLE}.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A built-in recipe's name or a TOML file.")
    ] = None,
    drop: Annotated[
        float | None,
        typer.Option(
            help="Without a recipe: how much worse the metric may become, in its unit; 0.5.",
            show_default=False,
        ),
    ] = None,
    finetune: Annotated[
        int, typer.Option(help="Without a recipe: epochs of training at the end.", min=0)
    ] = 0,
    data_free: Annotated[
        bool,
        typer.Option(
            "--data-free", help="No task: DROP percent of squared output error on random inputs."
        ),
    ] = False,
    shape: Annotated[
        str | None, typer.Option(help="With --data-free: of one input, such as 3,32,32.")
    ] = None,
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
    """Compress a network: by a recipe, or to the smallest file that keeps the metric.

    Every stage is packed and measured; the receipts and a report are kept in the run directory.
    """
    sizes = _checked(task, recipe, drop, finetune, data_free, shape)
    with show.working("loading torch"):
        import torch

        from laconic import zoo
        from laconic.recipe import default_recipe, load_recipe, run
        from laconic.report import write as write_report
        from laconic.train import RandomInputs, make_fabric

    named = None if recipe is None else load_recipe(recipe)
    fabric = make_fabric(threads=threads)
    torch.manual_seed(0 if named is None else named.seed)
    network = zoo.resolve_model(model)
    if weights is not None:
        load_weights(network, weights)
    if task is None:
        data: Any = RandomInputs(network, sizes)
    else:
        with show.working(f"reading the data of {task}"):
            data = zoo.resolve_task(task)
    if named is None:
        allowed = DROP if drop is None else drop
        named = default_recipe(network, data.example_input, allowed, epochs=finetune)
    directory = run_dir or output.with_name(output.name + ".run")
    with show.progress_bars(quiet=json or not fabric.is_global_zero) as watcher:
        receipts = run(
            network,
            data,
            named,
            output,
            directory,
            resume=resume,
            watcher=watcher,
            fabric=fabric,
            identity={"model": model, "task": task or f"random inputs of {shape}"},
        )
    if fabric.is_global_zero:  # under torchrun the first process speaks for all
        tell(receipts, output, write_report(directory), json)
    if torch.distributed.is_initialized():
        fabric.barrier()
        torch.distributed.destroy_process_group()


def _checked(
    task: str | None, recipe: str | None, drop: float | None, finetune: int, data_free: bool,
    shape: str | None,
) -> tuple[int, ...]:  # fmt: skip
    """Refuse words that contradict each other; the shape of an input where there is no task."""
    if recipe is not None and (drop is not None or finetune or data_free):
        raise typer.BadParameter(
            "a recipe says what is done; --drop, --finetune and --data-free are for none"
        )
    if data_free == (task is not None):
        raise typer.BadParameter("give --task, or --data-free with --shape; not both")
    if data_free and finetune:
        raise typer.BadParameter("--finetune trains on the data of a task; --data-free has none")
    if data_free != (shape is not None):
        raise typer.BadParameter("--shape and --data-free belong together: --shape 3,32,32")
    try:
        sizes = tuple(int(size) for size in shape.split(",")) if shape else ()
    except ValueError:
        sizes = (0,)
    if any(size < 1 for size in sizes):
        raise typer.BadParameter(f"--shape {shape} is no list of sizes such as 3,32,32")
    return sizes


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
