"""``laconic study``: a paper's table, published against ours."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from laconic.cli import show
from laconic.cli.options import Json
from laconic.errors import UsageError


def study(
    name: Annotated[str | None, typer.Argument(help="One of those that --list names.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Name all studies.")] = False,
    stored: Annotated[bool, typer.Option(help="Print the kept result without running.")] = False,
    short: Annotated[bool, typer.Option(help="A short form with goals of its own.")] = False,
    run_dir: Annotated[
        Path | None, typer.Option(help="Keep receipts and checkpoints here; goes on after a kill.")
    ] = None,
    json: Json = False,
) -> None:
    """Rerun a study and compare with the published numbers; exit code 1 if a goal is missed."""
    from laconic import studies

    if list_all or name is None:
        if json:
            show.print_json(
                [{"name": s.name, "summary": s.summary} for s in studies.STUDIES.values()]
            )
            return
        for one in studies.STUDIES.values():
            show.console.print(f"{one.name}: {one.summary} (about {one.minutes} minutes)")
        return
    if name not in studies.STUDIES:
        raise UsageError(f"no study is named {name!r}; there are: {', '.join(studies.STUDIES)}")
    chosen = studies.STUDIES[name]
    if stored and short:
        raise UsageError("only the whole study is kept: leave out --short or --stored")
    if stored:
        result = studies.read_result(name)
    else:
        with show.progress_bars(quiet=json) as watcher:
            result = studies.perform(chosen, watcher, short=short, run_dir=run_dir)
        if not short:
            studies.write_result(result)
    if json:
        show.print_json([asdict(row) for row in result.rows])
    else:
        table = Table(title=f"{chosen.summary}", title_justify="left")
        for heading in ("claim", "published", "goal", "ours", "met"):
            table.add_column(heading)
        for row in result.rows:
            met = {True: "[green]yes[/]", False: "[bold red]no[/]", None: "–"}[row.met]
            table.add_row(row.claim, row.published, row.goal, row.ours, met)
        show.console.print(table)
    if any(row.met is False for row in result.rows):
        raise typer.Exit(1)
