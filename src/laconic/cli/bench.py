"""``laconic bench``: our runtime against the best general engines, on this machine."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from laconic.cli import show
from laconic.cli.options import Json
from laconic.errors import UsageError

if TYPE_CHECKING:
    from laconic.bench.results import Result


def bench(
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="NAME", help="This network alone (may be given several times)."
        ),
    ] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="Print the kept result without running.")
    ] = False,
    short: Annotated[
        bool,
        typer.Option("--short", help="Small networks: what they compute is compared, no goal."),
    ] = False,
    threads: Annotated[
        list[int] | None, typer.Option(help="Threads of every engine; 1 and 2 by default.", min=1)
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="For each network, batch and number of threads.", min=0)
    ] = 20,
    folder: Annotated[
        Path | None,
        typer.Option(help="Keep the prepared networks here, and use them again.", file_okay=False),
    ] = None,
    json: Json = False,
) -> None:
    """Time networks here, in ONNX Runtime, OpenVINO and PyTorch, taking turns on pinned threads.

    Exit code 1 if a goal is missed. The result of a whole run is kept.
    """
    from laconic.bench import results

    whole = not (only or short or threads)
    if stored and not whole:
        raise UsageError("only the whole result is kept: --stored goes with --json alone")
    if stored:
        result = results.read()
    else:
        result = _measured(only, short, threads, seconds, folder, whole, json)
    if json:
        show.print_json({**asdict(result), "missed": result.missed})
    else:
        _print(result)
    if result.missed:
        raise typer.Exit(1)


def _measured(
    only: list[str] | None,
    short: bool,
    threads: list[int] | None,
    seconds: float,
    folder: Path | None,
    whole: bool,
    quiet: bool,
) -> Result:
    """Run the comparison; a whole one is kept."""
    with show.working("loading torch"):
        from laconic.bench import chart, results
        from laconic.bench.cases import CASES, SHORT_CASES, THREADS
        from laconic.bench.compare import FLOAT_RIVALS, compare
        from laconic.bench.engines import PACKAGES
    from laconic.studies import results_folder

    known = SHORT_CASES if short else CASES
    if unknown := [name for name in only or () if name not in known]:
        raise UsageError(f"no network is named {unknown[0]!r}; there are: {', '.join(known)}")
    if whole:
        results_folder()  # to fail now rather than when everything is computed
    words = ["laconic", "bench", *(["--short"] if short else [])]
    words += [f"--only {name}" for name in only or ()]
    words += [f"--threads {count}" for count in threads or ()]
    with show.progress_bars(quiet) as watcher, tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        result = compare(
            {name: known[name] for name in only or known},
            place,
            command=" ".join(words),
            tell=watcher.on_input or (lambda *told: None),
            threads=threads or (THREADS[:1] if short else THREADS),
            rivals=FLOAT_RIVALS if short else tuple(PACKAGES),
            seconds=0 if short else seconds,
            with_start=not short and not only,
            with_work=not short,
        )
    if whole:
        results.write(result, chart.svg(result))
    return result


def _print(result: Result) -> None:
    """The goals, the limits, and the times behind them."""
    from laconic.bench.results import GOAL_HEADER, LIMIT_HEADER, goal_cells, limit_cells

    show.say(f"{result.command}, {result.date}, {result.processor}")
    for title in dict.fromkeys(goal.title for goal in result.goals):
        goals = [goal_cells(goal) for goal in result.goals if goal.title == title]
        show.console.print(show.cells_table(title, GOAL_HEADER, goals))
    limits = map(limit_cells, result.limits)
    show.console.print(show.cells_table("limits", LIMIT_HEADER, limits))
    for who, why in result.failures.items():
        show.say(f"{who}: {why}")
    asked = sum(goal.met is not None for goal in result.goals) + len(result.limits)
    show.say(f"{asked - result.missed} of {asked} met")
