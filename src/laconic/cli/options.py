"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import typer

Given = TypeVar("Given", Path, Path | None)


def in_a_folder(target: Given) -> Given:
    """Refuse a file to write whose folder does not exist, before anything is computed."""
    if target is not None and not target.parent.is_dir():
        raise typer.BadParameter(f"the folder {target.parent} does not exist")
    return target


CALLABLE = "zoo:NAME, module:callable or file.py:callable"

Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Model = Annotated[str, typer.Argument(help=f"The network: {CALLABLE}.")]
Task = Annotated[str, typer.Option(help=f"Data, loss and metric: {CALLABLE}.")]
Coding = Annotated[
    str,
    typer.Option(help="smallest; or balanced or fastest: more bytes that decode faster."),
]
Engine = Annotated[
    str,
    typer.Option(
        help="Who computes: native, in C++; numpy, the reference; onnxruntime, from whole weights."
    ),
]
Threads = Annotated[
    int | None, typer.Option(help="At most so many compute one call.", min=1, show_default="all")
]
MaxBytes = Annotated[
    int,
    typer.Option("--max-bytes", help="Refuse a file that would unpack to more bytes.", min=0),
]
Source = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]
Target = Annotated[Path, typer.Argument(dir_okay=False, callback=in_a_folder)]
