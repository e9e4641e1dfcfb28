"""``laconic sensitivity``: how much each layer of a network can lose."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from laconic.cli import show
from laconic.cli.options import Json, Model, Task, in_a_folder
from laconic.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from laconic.measure.sensitivity import Sensitivity
    from laconic.train import Task as TrainTask


def sensitivity(
    model: Model,
    task: Task,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The .json file; a picture, .svg, appears beside it.",
            dir_okay=False,
            callback=in_a_folder,
        ),
    ],
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights of the network (.safetensors).", exists=True, dir_okay=False),
    ] = None,
    filters: Annotated[
        bool, typer.Option("--filters", help="Remove channels and neurons instead of weights.")
    ] = False,
    levels: Annotated[
        str | None, typer.Option(help="Fractions to measure, as 0.5,0.7,0.9.")
    ] = None,
    layers: Annotated[
        list[str] | None, typer.Option("--layer", help="Patterns of layers; all by default.")
    ] = None,
    saliency: Annotated[
        str | None, typer.Option(help="What scores: magnitude, or l1 for filters, by default.")
    ] = None,
    examples: Annotated[
        int | None, typer.Option(help="Validation examples to score; all by default.", min=1)
    ] = None,
    processes: Annotated[int, typer.Option(help="Processes at once.", min=1)] = 1,
    json: Json = False,
) -> None:
    """Prune one layer at a time and score the network on the validation split.

    Goes on with what the file holds already. A recipe takes the result by the stage
    prune-by-sensitivity.
    """  # fmt: skip
    with show.working("loading torch"):
        from laconic.report.sensitivity import picture
        from laconic.search import LEVELS, Setting, analyse

    setting = Setting(
        kind="filters" if filters else "weights",
        levels=LEVELS if levels is None else fractions(levels),
        layers=layers or ["*"],
        saliency=saliency or ("l1" if filters else "magnitude"),
        examples=examples,
    )
    identity = {"model": model, "task": task, "weights": None if weights is None else str(weights)}
    with show.point_bar(quiet=json) as on_point:
        found = analyse(
            partial(network_and_task, model, weights, task), setting, output,
            identity=identity, processes=processes, on_point=on_point,
        )  # fmt: skip
    output.with_suffix(".svg").write_text(picture(found), encoding="utf-8")
    if json:
        show.print_json(asdict(found))
        return
    tell(found)
    show.say(f"{output}, {output.with_suffix('.svg')}")


def network_and_task(model: str, weights: Path | None, task: str) -> tuple[nn.Module, TrainTask]:
    """What the command line names; called in every process."""
    import torch

    from laconic import zoo
    from laconic.cli.compress import load_weights

    torch.manual_seed(0)
    network = zoo.resolve_model(model)
    if weights is not None:
        load_weights(network, weights)
    return network, zoo.resolve_task(task)


def fractions(text: str) -> tuple[float, ...]:
    """Numbers between commas.

    Raises:
        UsageError: something between the commas is no number.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--levels {text} is no list of fractions such as 0.5,0.9") from error


def tell(found: Sensitivity) -> None:
    """A row a layer: the metric at each level."""
    levels = sorted({point.level for point in found.points})
    header = ["layer", *(f"{level:.0%}" for level in levels)]
    lines = []
    for layer in found.layers:
        own = {point.level: point.metric for point in found.points if point.layer == layer}
        lines.append([layer, *(f"{own[level]:.2f}" if level in own else "–" for level in levels)])
    title = f"{found.metric_name} (validation), {found.dense:.2f} as it was given"
    show.console.print(show.cells_table(title, header, lines))
