"""``laconic study``: a paper's table, published against ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from laconic.cli import show
from laconic.cli.options import Json
from laconic.errors import UsageError

if TYPE_CHECKING:
    from laconic.studies.study import Result, Study


def study(
    name: Annotated[str | None, typer.Argument(help="One of those that --list names.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Name all studies.")] = False,
    stored: Annotated[
        bool, typer.Option("--stored", help="Print the kept result without running.")
    ] = False,
    short: Annotated[
        bool, typer.Option("--short", help="A short form with goals of its own.")
    ] = False,
    scratch: Annotated[
        bool,
        typer.Option(
            "--scratch",
            help="Train the networks that the study cut from scratch as well, for the epochs and "
            "for the multiply-adds of the dense network (Scratch-E and Scratch-B).",
        ),
    ] = False,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Keep receipts and checkpoints here; goes on after a kill.", file_okay=False
        ),
    ] = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="A .safetensors, .npz, .onnx or .lac file of your own, instead of the study's "
            "inputs (study coding alone; may be given several times). Matrices of integers are "
            "coded as they are, those of floats at 8 and 5 bits, and the file untouched.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Rerun a study and compare with the published numbers; exit code 1 if a goal is missed."""
    from laconic import studies

    if list_all:
        _tell_all(json)
        return
    forms = {"--short": short, "--stored": stored, "--scratch": scratch, "--input": bool(inputs)}
    chosen = _chosen(name, forms)
    result = (
        studies.read_result(chosen.name)
        if stored
        else _performed(chosen, run_dir, inputs or [], short=short, scratch=scratch, quiet=json)
    )
    if json:
        show.print_json([asdict(row) for row in result.rows])
    else:
        for table in result.tables if inputs else ():  # those of a whole study are long
            show.console.print(show.figures_table(table))
        show.console.print(show.rows_table(result.rows, chosen.summary))
    if any(row.met is False for row in result.rows):
        raise typer.Exit(1)


def _tell_all(json: bool) -> None:
    """The studies that there are."""
    from laconic import studies

    if json:
        show.print_json([{"name": s.name, "summary": s.summary} for s in studies.STUDIES.values()])
        return
    for one in studies.STUDIES.values():
        show.say(f"{one.name}: {one.summary} (about {one.minutes} minutes)")


def _chosen(name: str | None, forms: Mapping[str, bool]) -> Study:
    """The study of that name, if the forms that are asked for go together.

    Raises:
        UsageError: there is none, or they do not.
    """
    from laconic import studies

    if name not in studies.STUDIES:
        asked = "name a study" if name is None else f"no study is named {name!r}"
        raise UsageError(f"{asked}; there are: {', '.join(studies.STUDIES)}")
    if forms["--stored"] and forms["--short"]:
        raise UsageError("only the whole study is kept: leave out --short or --stored")
    if forms["--input"] and sum(forms.values()) > 1:
        raise UsageError("--input is a form of its own: leave out --short, --scratch and --stored")
    if forms["--stored"] and forms["--scratch"]:
        raise UsageError("what is kept is printed as it is: leave out --scratch or --stored")
    return studies.STUDIES[name]


def _performed(
    chosen: Study, run_dir: Path | None, inputs: list[Path], *, short: bool, scratch: bool,
    quiet: bool,
) -> Result:  # fmt: skip
    """The study's result, which is kept where it is that of a whole one."""
    from laconic import studies

    whole = not short and not inputs
    if whole:
        studies.results_folder()  # to fail now rather than when everything is computed
    with show.progress_bars(quiet=quiet) as watcher:
        result = studies.perform(
            chosen, watcher, short=short, run_dir=run_dir, inputs=inputs, scratch=scratch
        )
    if whole:
        studies.write_result(result)
    return result
