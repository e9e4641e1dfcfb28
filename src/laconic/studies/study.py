"""What a study is, how it is run, and where its result is kept."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from laconic.container.atomic import write_bytes
from laconic.errors import DataError
from laconic.measure.records import checked
from laconic.measure.versions import versions
from laconic.recipe import Watcher


@dataclass(frozen=True)
class Row:
    """One line of a study's table, as text; `met` is None where there is no goal."""

    claim: str
    published: str
    goal: str
    ours: str
    met: bool | None


@dataclass(frozen=True)
class Study:
    """A name, and a function that does the work.

    `rows` gets a watcher, whether the short form is wanted, and a folder for the run.
    """

    name: str
    summary: str
    minutes: int
    """About how long it takes on two cores."""
    rows: Callable[[Watcher, bool, Path], list[Row]]


@dataclass(frozen=True)
class Result:
    """What a study found, and how to find it again."""

    study: str
    command: str
    seconds: float
    versions: dict[str, str]
    rows: list[Row]


def perform(study: Study, watcher: Watcher, *, short: bool, run_dir: Path | None) -> Result:
    """Run a study.

    Args:
        study: which.
        watcher: told of the progress.
        short: a form of a minute or so, with goals of its own.
        run_dir: receipts and checkpoints are kept there; a temporary folder by default.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        rows = study.rows(watcher, short, run_dir or Path(temporary))
    seconds = round(time.perf_counter() - start, 1)
    command = f"laconic study {study.name}" + (" --short" if short else "")
    return Result(study.name, command, seconds, versions(), rows)


def results_folder() -> Path:
    """``studies/results`` of the project: here, or where the package's source lies.

    Raises:
        DataError: neither exists (an installed wheel, outside a clone).
    """
    here = Path("studies/results")
    source = Path(__file__).resolve().parents[3] / "studies" / "results"
    for folder in (here, source):
        if folder.is_dir():
            return folder
    raise DataError(
        "results of studies are kept in studies/results of a clone of the project; there is none "
        "here: run the command from a clone"
    )


def write_result(result: Result) -> None:
    """Keep a result as JSON and as a Markdown table."""
    folder = results_folder()
    text = json.dumps(asdict(result), indent=1) + "\n"
    write_bytes(folder / f"{result.study}.json", text.encode())
    write_bytes(folder / f"{result.study}.md", as_markdown(result).encode())


def as_markdown(result: Result) -> str:
    """The table, with the command and the time that it took."""
    lines = [
        f"# {result.study}",
        "",
        f"`{result.command}`, {result.seconds / 60:.1f} minutes; "
        + ", ".join(f"{name} {version}" for name, version in result.versions.items()),
        "",
        "| claim | published | goal | ours | met |",
        "|---|---|---|---|---|",
    ]
    for row in result.rows:
        met = {True: "yes", False: "**no**", None: "–"}[row.met]
        lines.append(f"| {row.claim} | {row.published} | {row.goal} | {row.ours} | {met} |")
    return "\n".join(lines) + "\n"


def read_result(name: str) -> Result:
    """A kept result.

    Raises:
        DataError: none is kept, or it is damaged.
    """
    path = results_folder() / f"{name}.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = [checked(Row(**row)) for row in data["rows"]]
        return checked(Result(**{**data, "rows": rows}))
    except OSError as error:
        raise DataError(f"no result of {name} is kept; run laconic study {name}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is no result of a study: {error!r}") from error
