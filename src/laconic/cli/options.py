"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CALLABLE = "zoo:NAME, package.module:callable or path/to/file.py:callable"

Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Model = Annotated[str, typer.Argument(help=f"The network: {CALLABLE}.")]
Task = Annotated[str, typer.Option(help=f"Data, loss and metric: {CALLABLE}.")]
Source = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]
Target = Annotated[Path, typer.Argument()]
