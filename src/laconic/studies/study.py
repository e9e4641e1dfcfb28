"""What a study is, how it is run, and where its result is kept."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from laconic.container.atomic import write_bytes
from laconic.errors import DataError, UsageError
from laconic.measure.records import checked
from laconic.measure.versions import versions
from laconic.recipe import Watcher
from laconic.studies.clock import Clock
from laconic.train import Task


@dataclass(frozen=True)
class Row:
    """One line of a study's table, as text; `met` is None where there is no goal."""

    claim: str
    published: str
    goal: str
    ours: str
    met: bool | None


@dataclass(frozen=True)
class Table:
    """Figures behind the rows, as text: one line an input."""

    title: str
    header: list[str]
    lines: list[list[str]]


@dataclass(frozen=True)
class CutNetwork:
    """A network that a study made smaller, and what its controls need (``--scratch``)."""

    name: str
    model: nn.Module
    fresh: Callable[[], nn.Module]
    """Draws the dense network anew, by torch's global generator."""
    task: Task
    training: Mapping[str, Any]
    """Arguments of `laconic.train.fit` that trained the dense network, ``epochs`` among them."""
    tuned: float
    """Metric of the cut and fine-tuned network on the test split."""
    tuned_epochs: float = 0.0
    """Of the fine-tuning, by the multiply-adds of the cut network."""
    dense_epochs: float | None = None
    """Those that led to the cut network at the dense one's size; None: the epochs of `training`."""


@dataclass(frozen=True)
class Control:
    """A cut network's shape, trained from scratch."""

    name: str
    ratio: float
    """Multiply-adds, dense over cut."""
    tuned: float
    """As in `CutNetwork`."""
    epochs: tuple[float, float]
    """Of Scratch-E and Scratch-B."""
    errors: tuple[float, float]
    """Their metrics on the test split."""


@dataclass(frozen=True)
class Findings:
    """What a study's function gives back."""

    rows: list[Row]
    tables: list[Table] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    """Name → SVG."""
    cut: list[CutNetwork] = field(default_factory=list)
    """Networks that ``--scratch`` trains again from scratch."""


@dataclass(frozen=True)
class Study:
    """A name, and a function that does the work."""

    name: str
    summary: str
    minutes: int
    """About how long it takes on two cores."""
    compare: Callable[[Watcher, bool, Path], Findings]
    """Given a watcher, whether the short form is wanted, and a folder for the run."""
    compare_own: Callable[[Watcher, Sequence[Path], Path], Findings] | None = None
    """Given a watcher, a person's own files, and a folder; None: the study has no such form."""
    leaves_cut: bool = False
    """Whether it makes networks smaller, so that ``--scratch`` has something to train."""


@dataclass(frozen=True)
class Result:
    """What a study found, and how to find it again."""

    study: str
    command: str
    seconds: float
    versions: dict[str, str]
    rows: list[Row]
    tables: list[Table] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    """Name → SVG; kept beside the result as ``STUDY-NAME.svg``, not in it."""


def perform(
    study: Study,
    watcher: Watcher,
    *,
    short: bool,
    run_dir: Path | None,
    inputs: Sequence[Path] = (),
    scratch: bool = False,
) -> Result:
    """Run a study.

    Args:
        study: which.
        watcher: told of the progress.
        short: a form of a minute or so, with goals of its own.
        run_dir: receipts and checkpoints are kept there, and the seconds of all parts of a run
            that was interrupted; a temporary folder by default.
        inputs: a person's own files, instead of the study's.
        scratch: the networks that the study cut are trained from scratch as well.

    Raises:
        UsageError: there are inputs, and the study has no form for them; or `scratch`, and it cuts
            no network; or `run_dir` holds something else.
        DataError: the record of the time in `run_dir` is damaged.
    """
    from laconic.studies.scratch import with_controls  # which needs the classes above

    if scratch and not study.leaves_cut:
        raise UsageError(
            f"the study {study.name} makes no network smaller, so there is nothing to train from "
            "scratch: leave out --scratch"
        )
    if inputs and study.compare_own is None:
        raise UsageError(f"the study {study.name} has inputs of its own: leave out --input")
    words = ["laconic", "study", study.name, *(["--short"] if short else [])]
    words += ["--scratch"] if scratch else []
    words += [f"--input {path}" for path in inputs]
    command = " ".join(words)
    with tempfile.TemporaryDirectory() as temporary:
        folder = run_dir or Path(temporary)
        clock = Clock(folder, command)
        watcher = clock.watching(watcher)
        if inputs and study.compare_own is not None:
            findings = study.compare_own(watcher, inputs, folder)
        else:
            findings = study.compare(watcher, short, folder)
        if scratch:
            findings = with_controls(findings, folder, watcher)
        clock.write()
    return Result(
        study.name, command, clock.seconds, versions(), findings.rows, findings.tables,
        findings.pictures,
    )  # fmt: skip


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
    """Keep a result as JSON, as a Markdown table and as its pictures."""
    folder = results_folder()
    data = asdict(result)
    for name, picture in data.pop("pictures").items():
        write_bytes(folder / f"{result.study}-{name}.svg", picture.encode())
    text = json.dumps(data, indent=1) + "\n"
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
    for table in result.tables:
        lines += ["", f"## {table.title}", "", f"| {' | '.join(table.header)} |"]
        # Names to the left, figures to the right.
        lines.append("|---|" + "---:|" * (len(table.header) - 1))
        lines += [f"| {' | '.join(line)} |" for line in table.lines]
    for name in result.pictures:
        lines += ["", f"![{name}]({result.study}-{name}.svg)"]
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
        tables = [checked(Table(**table)) for table in data.get("tables", [])]
        return checked(Result(**{**data, "rows": rows, "tables": tables}))
    except OSError as error:
        raise DataError(f"no result of {name} is kept; run laconic study {name}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is no result of a study: {error!r}") from error
