"""The program `laconic` and its exit codes."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from laconic.cli import bench, compress, demo, files, groups, measure, sensitivity, study
from laconic.cli.show import complain, say
from laconic.errors import LaconicError, UsageError
from laconic.measure.versions import versions

app = typer.Typer(
    name="laconic",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        say(f"laconic {versions().get('laconic', 'from its source')}")
        raise typer.Exit()


@app.callback()
def program(
    shown: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Neural networks in fewer bits: compress, pack, run, measure."""


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
app.command()(groups.groups)
app.command()(sensitivity.sensitivity)
app.command()(study.study)
app.command()(bench.bench)


def main() -> NoReturn:
    """Run the command line and exit: 0 on success, 2 on wrong use, 1 on failure."""
    try:
        app()
    except UsageError as error:
        complain("wrong use", error)
        sys.exit(2)
    except (LaconicError, OSError) as error:
        complain("failed", error)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (error.name or "laconic").split(".")[0] == "laconic":
            raise  # a fault in laconic, not in its surroundings
        cure = f'this command needs {error.name}: pip install "laconic[all]"'
        complain("failed", LaconicError(cure))
        sys.exit(1)
    sys.exit(0)
