"""The program `laconic` and its exit codes."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from laconic.cli import compress, demo, files, measure, study
from laconic.cli.show import errors
from laconic.errors import LaconicError, UsageError

app = typer.Typer(
    name="laconic",
    help="Neural networks in fewer bits: compress, pack, run, measure.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

app.command()(demo.demo)
app.command()(compress.compress)
app.command()(files.pack)
app.command()(files.unpack)
app.command()(files.export)
app.command()(files.inspect)
app.command()(files.verify)
app.command()(files.run)
app.command()(measure.measure)
app.command()(measure.report)
app.command()(study.study)


def main() -> NoReturn:
    """Run the command line and exit: 0 on success, 2 on wrong use, 1 on failure."""
    try:
        app()
    except UsageError as error:
        errors.print(f"[bold red]wrong use:[/] {_escaped(error)}")
        sys.exit(2)
    except (LaconicError, OSError) as error:
        errors.print(f"[bold red]failed:[/] {_escaped(error)}")
        sys.exit(1)
    sys.exit(0)


def _escaped(error: Exception) -> str:
    return str(error).replace("[", "\\[")
