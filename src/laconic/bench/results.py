"""What a comparison found, where it is kept, and whether its goals are met."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from laconic.container.atomic import write_bytes
from laconic.errors import DataError
from laconic.measure.records import checked
from laconic.studies import results_folder

NAME = "runtime"
"""Of the kept files: ``runtime.json``, ``runtime.md`` and ``runtime.svg``."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a call of one side; percentiles over all calls."""

    case: str
    side: str
    batch: int
    threads: int
    median_ms: float
    low_ms: float
    """10th percentile."""
    high_ms: float
    """90th percentile."""
    calls: int


@dataclass(frozen=True)
class Goal:
    """How many times faster we are than a rival, and how many times we must be."""

    case: str
    title: str
    setting: str
    batch: int
    threads: int
    ours_ms: float
    """0 where we could not run."""
    rival: str
    """The fastest of those that count."""
    rival_ms: float
    least: float | None
    """None: the factor is told, and nothing asked of it."""
    factor: float
    """Median over the rounds; 0 where we could not run."""
    low: float
    """10th percentile over the rounds."""
    high: float
    """90th percentile over the rounds."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        return None if self.least is None else self.factor >= self.least


@dataclass(frozen=True)
class Limit:
    """A figure that must not be larger than another."""

    what: str
    unit: str
    most: float
    found: float
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether it is not larger."""
        return self.found <= self.most


@dataclass(frozen=True)
class Work:
    """Where the time of a call of ours goes, and how much of the machine it uses."""

    case: str
    side: str
    batch: int
    threads: int
    median_ms: float
    gflops: float
    """10⁹ operations a second, zeros left out; a MAC is two. 0 where they were not counted."""
    peak_gflops: float
    """Of the machine, on as many threads."""
    gigabytes: float
    """10⁹ bytes a second, each weight in memory read once a call."""
    peak_gigabytes: float
    """Of the machine, on as many threads."""
    shares: dict[str, float]
    """Operator, form and how many of them → share of the time."""


@dataclass(frozen=True)
class Result:
    """One run of the comparison."""

    command: str
    date: str
    seconds: float
    processor: str
    versions: dict[str, str]
    goals: list[Goal]
    limits: list[Limit]
    timings: list[Timing]
    work: list[Work]
    failures: dict[str, str]
    """Case, side, batch and threads → why that side could not run."""

    @property
    def missed(self) -> int:
        """How many goals and limits are not met."""
        met = [goal.met for goal in self.goals] + [limit.met for limit in self.limits]
        return met.count(False)


def write(result: Result, chart: str) -> Path:
    """Keep a result as JSON, as Markdown and as a chart; returns where the chart is."""
    folder = results_folder()
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n"
    write_bytes(folder / f"{NAME}.json", text.encode())
    write_bytes(folder / f"{NAME}.md", as_markdown(result).encode())
    write_bytes(folder / f"{NAME}.svg", chart.encode())
    return folder / f"{NAME}.svg"


def read() -> Result:
    """The kept result.

    Raises:
        DataError: none is kept, or it is damaged.
    """
    path = results_folder() / f"{NAME}.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        kinds = {"goals": Goal, "limits": Limit, "timings": Timing, "work": Work}
        lists = {key: [checked(kind(**one)) for one in data[key]] for key, kind in kinds.items()}
        return checked(Result(**{**data, **lists}))
    except OSError as error:
        raise DataError("no result of the benchmark is kept; run laconic bench") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is no result of the benchmark: {error!r}") from error


def as_markdown(result: Result) -> str:
    """The goals, the limits and every time."""
    named = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    lines = [
        "# Networks in laconic's runtime and in others",
        "",
        f"`{result.command}`, {result.date}, {result.seconds / 60:.1f} minutes; "
        f"{result.processor}; {named}",
        "",
        f"![How many times faster]({NAME}.svg)",
        "",
        "Rivals run the dense network in float32, or in 8 bits where it says so. All sides take "
        "turns, each in a process of its own on as many processors as it has threads; a factor is "
        "the median over the rounds, in brackets its 10th and 90th percentile.",
        "",
        *_table(
            ["network", *GOAL_HEADER],
            [[goal.title, *goal_cells(goal)] for goal in result.goals],
        ),
        "",
        *_table(
            LIMIT_HEADER,
            [limit_cells(limit) for limit in result.limits],
        ),
        "",
        "## Where our time goes",
        "",
        "Operations with weights that are not zero, and the weights' bytes in memory read once a "
        "call, against what ONNX Runtime's matrix product and reading memory in order reach on as "
        "many threads.",
        "",
        *_table(
            ["network", "side", "batch", "threads", "ms", "10⁹ operations/s", "10⁹ bytes/s", "of"],
            [_work_cells(work) for work in result.work],
        ),
        "",
        "## Milliseconds a call",
        "",
        *_table(
            ["network", "side", "batch", "threads", "median", "p10–p90", "calls"],
            [_timing_cells(timing) for timing in result.timings],
        ),
    ]
    if result.failures:
        lines += ["", "## What could not run", ""]
        lines += [f"- {who}: {why}" for who, why in result.failures.items()]
    return "\n".join(lines) + "\n"


WORDS = {True: "yes", False: "**no**", None: "–"}


GOAL_HEADER = ["weights", "batch", "threads", "ms", "rival's ms", "goal", "factor", "met"]
LIMIT_HEADER = ["limit", "most", "found", "met"]


def goal_cells(goal: Goal) -> list[str]:
    """A goal as the cells of a table."""
    ours, spread, factor = "–", "", "–"
    if goal.factor:
        ours, spread = f"{goal.ours_ms:.3g}", f" ({goal.low:.2f}–{goal.high:.2f})"
        factor = f"{goal.factor:.2f}×{spread}"
    return [
        goal.setting, str(goal.batch), str(goal.threads), ours,
        f"{goal.rival_ms:.3g} {goal.rival}", _goal_text(goal.least), factor, WORDS[goal.met],
    ]  # fmt: skip


def _goal_text(least: float | None) -> str:
    """Below 1 the goal bounds our time instead.

    Examples:
        >>> _goal_text(3.5), _goal_text(1 / 1.2), _goal_text(None)
        ('≥ 3.5×', '≥ 1/1.2×', '')
    """
    if least is None:
        return ""
    return f"≥ {least:g}×" if least >= 1 else f"≥ 1/{1 / least:g}×"


def limit_cells(limit: Limit) -> list[str]:
    """A limit as the cells of a table."""
    note = f" ({limit.note})" if limit.note else ""
    return [
        limit.what, f"{limit.most:g} {limit.unit}".strip(), f"{limit.found:.3g}{note}",
        WORDS[limit.met],
    ]  # fmt: skip


def _timing_cells(timing: Timing) -> list[str]:
    return [
        timing.case, timing.side, str(timing.batch), str(timing.threads),
        f"{timing.median_ms:.3f}", f"{timing.low_ms:.3f}–{timing.high_ms:.3f}", str(timing.calls),
    ]  # fmt: skip


def _work_cells(work: Work) -> list[str]:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in work.shares.items())
    operations = f"{work.gflops:.0f} of {work.peak_gflops:.0f}" if work.gflops else "–"
    return [
        work.case, work.side, str(work.batch), str(work.threads), f"{work.median_ms:.3f}",
        operations, f"{work.gigabytes:.1f} of {work.peak_gigabytes:.1f}", shares,
    ]  # fmt: skip


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return [f"| {' | '.join(header)} |", "|---" * len(header) + "|", *rows]
