"""``laconic groups``: which channels of a network can only be removed together, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from laconic.cli import show
from laconic.cli.options import CALLABLE, Json, Model
from laconic.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from laconic.surgery import Group


def groups(
    model: Model,
    task: Annotated[
        str | None, typer.Option(help=f"The example comes from this task: {CALLABLE}.")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(metavar="N,C,H,W", help="Or: an example of random numbers of this shape."),
    ] = None,
    json: Json = False,
) -> None:
    """Print the groups of channels, neurons and heads that go together, and what couples them."""
    with show.working("loading torch"):
        from laconic import zoo
        from laconic.surgery import Groups

    network = zoo.resolve_model(model)
    with show.working("following the channels"):
        found = Groups(network, example(task, shape))
        fixed = found.fixed()
    if json:
        data = [as_json(group) for group in found.values()]
        show.print_json({"groups": data, "fixed": fixed})
        return
    for group in found.values():
        show.say(f"{group.name}: {group.size} units", "bold")
        show.console.print(described(group), "")
    if fixed:
        show.say("cannot be removed:", "bold")
        for name, why in fixed.items():
            show.say(f"  {name}: {why}")


def example(task: str | None, shape: str | None) -> Tensor:
    """One input, from a task or of random numbers.

    Raises:
        UsageError: neither or both are given, or the shape is no list of sizes.
    """
    import torch

    from laconic import zoo

    if (task is None) == (shape is None):
        raise UsageError("give --task, or the --shape of an input such as 1,3,32,32; one of them")
    if task is not None:
        return zoo.resolve_task(task).example_input
    try:
        sizes = [int(part) for part in str(shape).split(",")]
    except ValueError as error:
        raise UsageError(f"--shape {shape} is no list of sizes such as 1,3,32,32") from error
    if not sizes or min(sizes) < 1:
        raise UsageError(f"--shape {shape}: every size must be 1 or more")
    return torch.randn(sizes, generator=torch.Generator().manual_seed(0))


def as_json(group: Group) -> dict[str, Any]:
    """A group as JSON data."""
    return {
        "name": group.name,
        "units": group.size,
        "places": [
            {
                "tensor": part.tensor,
                "dimension": part.dim,
                "each": part.each,
                "side": "rows" if part.makes else "columns",
            }
            for part in group.slices
        ],
        "because": [{"operation": str(place), "why": why} for place, why in group.because],
    }


def described(group: Group) -> Table:
    """Its tensors by layer, and the operations that couple them."""
    lines = Table.grid(padding=(0, 1))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    for makes, word in ((True, "  rows"), (False, "  columns")):
        layers: dict[str, list[str]] = {}
        for part in group.slices:
            if part.makes == makes:
                layer, _, key = part.tensor.rpartition(".")
                each = f" ({part.each} each)" if part.each > 1 else ""
                layers.setdefault(layer, []).append(key + each)
        if layers:
            listed = "; ".join(f"{layer} ({', '.join(keys)})" for layer, keys in layers.items())
            lines.add_row(word, Text(show.visible(listed)))
    couplings: dict[tuple[str, str], list[str]] = {}
    for place, why in group.because:
        where = couplings.setdefault((place.operation, why), [])
        where.append(", ".join(part for part in (place.module, place.line) if part))
    for (operation, why), places in couplings.items():
        text = f"{operation}, {why}: {'; '.join(places)}"
        lines.add_row("  by", Text(show.visible(text)))
    return lines
