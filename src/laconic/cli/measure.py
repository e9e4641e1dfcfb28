"""``laconic measure`` and ``laconic report``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from laconic.cli import show
from laconic.cli.options import Json, MaxBytes, Task, in_a_folder
from laconic.container import MAX_BYTES
from laconic.errors import LaconicError


def measure(
    files: Annotated[list[Path], typer.Argument(help=".lac files", exists=True, dir_okay=False)],
    task: Task,
    threads: Annotated[int, typer.Option(help="Threads for the timing.", min=1)] = 1,
    count: Annotated[int, typer.Option(help="Timed calls.", min=1)] = 50,
    max_bytes: MaxBytes = MAX_BYTES,
    json: Json = False,
) -> None:
    """Measure .lac files on a task, side by side: bytes, MACs, memory, latency, metric."""
    with show.working("loading torch"):
        from laconic import zoo
        from laconic.measure.file import measure_file

    with show.working(f"reading the data of {task}"):
        data = zoo.resolve_task(task)
    measured = []
    for file in files:
        with show.working(f"measuring {file}"):
            try:
                found = measure_file(file, data, threads=threads, count=count, max_bytes=max_bytes)
            except LaconicError as error:
                error.add_note(f"in {file}")
                raise
        measured.append((str(file), found))
    if json:
        show.print_json([{"file": name, **asdict(value)} for name, value in measured])
        return
    threads_text = "1 thread" if threads == 1 else f"{threads} threads"
    show.console.print(show.comparison(measured, f"{task}, {threads_text}"))


def report(
    run_dir: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The page to write; report.html in RUN_DIR by default.",
            dir_okay=False,
            callback=in_a_folder,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write report.html from the receipts of a run directory."""
    from laconic.report import write

    path = write(run_dir, output)
    if json:
        show.print_json({"report": str(path)})
        return
    show.say(f"{path}: {show.bytes_text(path.stat().st_size)} bytes")
