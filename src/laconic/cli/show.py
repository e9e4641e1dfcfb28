"""Tables and progress bars that several commands share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.status import Status
from rich.table import Table
from rich.text import Text

from laconic.measure.receipts import SAME_AS, Measurement, Receipt, TensorRecord

if TYPE_CHECKING:
    from laconic.measure.sensitivity import Point
    from laconic.recipe import Stage, Watcher
    from laconic.studies import Row
    from laconic.studies import Table as FiguresTable

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def print_json(data: Any) -> None:
    """Exactly one JSON document on the standard output; NaN and infinity, which JSON lacks, null.

    Examples:
        >>> print_json([1.5, float("nan")])
        [
         1.5,
         null
        ]
    """
    data = json.loads(json.dumps(data), parse_constant=lambda constant: None)
    print(json.dumps(data, indent=1, ensure_ascii=False))


def visible(text: str) -> str:
    """`text` with its control characters spelt out: a file's names give a terminal no orders.

    Examples:
        >>> visible("fc\\x1b[2J")
        'fc\\\\x1b[2J'
    """
    spelt = (c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    return "".join(spelt)


def say(text: str, style: str = "") -> None:
    """A line of text as it is: no markup in file names, no line ends put into it."""
    console.print(Text(visible(text), style), soft_wrap=True)


def complain(what: str, error: Exception) -> None:
    """An error and the notes on it, on the standard error."""
    text = "\n".join([str(error), *getattr(error, "__notes__", [])])
    errors.print(Text.assemble((f"{what}: ", "bold red"), visible(text)), soft_wrap=True)


def bytes_text(size: float) -> str:
    """A number of bytes with thousands separators."""
    return f"{size:,.0f}"


def working(text: str) -> Status:
    """A sign of life on the standard error while a block runs."""
    return errors.status(Text(text))


def probe_text(deviation: float | None) -> str:
    """What running the probe showed.

    Examples:
        >>> probe_text(None), probe_text(0.0), probe_text(3e-7)
        ('no probe', 'probe exact', 'probe within 3e-07')
    """
    if deviation is None:
        return "no probe"
    return f"probe within {deviation:.0e}" if deviation else "probe exact"


def metric_text(measurement: Measurement, split: str) -> str:
    """The metric on a split, or a dash."""
    value = measurement.metric.get(split)
    return "–" if value is None else f"{value:.2f}"


FIGURES: list[tuple[str, str, Any]] = [
    ("file bytes", "size_bytes", bytes_text),
    ("float32 bytes", "float32_bytes", bytes_text),
    ("parameters", "parameters", bytes_text),
    ("non-zeros", "nonzeros", bytes_text),
    ("MACs", "macs", bytes_text),
    ("MACs with non-zero weight", "effective_macs", bytes_text),
    ("peak memory bytes", "peak_memory_bytes", bytes_text),
]


def comparison(measurements: Sequence[tuple[str, Measurement]], title: str) -> Table:
    """Measurements side by side; the last column says how the last compares with the first."""
    table = _table(title)
    table.add_column("")
    for name, _ in measurements:
        table.add_column(Text(name), justify="right", overflow="fold")
    several = [measurement for _, measurement in measurements]
    factors = len(several) > 1
    if factors:
        table.add_column("factor", justify="right")
    for label, key, text in FIGURES:
        values = [getattr(measurement, key) for measurement in several]
        factor = [f"{values[0] / values[-1]:.1f}×" if values[-1] else "–"] if factors else []
        table.add_row(label, *map(text, values), *factor)
    times = [m.latency for m in several]
    factor = [f"{times[0].median_ms / times[-1].median_ms:.1f}×"] if factors else []
    medians = [f"{t.median_ms:.2f}" for t in times]
    table.add_row(f"latency ms, median of {times[0].count}", *medians, *factor)
    spread = [f"{t.p5_ms:.2f}–{t.p95_ms:.2f}" for t in times]
    table.add_row("latency ms, p5–p95", *spread, *[""] * factors)
    splits = {split: None for m in several for split in m.metric}
    for split in splits:
        row = [metric_text(m, split) for m in several]
        difference = several[-1].metric.get(split, 0.0) - several[0].metric.get(split, 0.0)
        factor = [f"{difference:+.2f}"] if factors and "–" not in row else [""] * factors
        # As Text: a metric may be called anything, "[bold]" too.
        table.add_row(Text(f"{several[0].metric_name}, {split}"), *row, *factor)
    return table


def _table(title: str) -> Table:
    return Table(
        title=Text(title),
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_style="bold",
    )


def stages_table(receipts: list[Receipt]) -> Table:
    """One row a stage: bytes, ratio, non-zeros, validation metric, seconds."""
    table = _table("stage by stage")
    table.add_column("", justify="right")
    table.add_column("stage", overflow="fold")
    for name in ("bytes", "ratio", "non-zeros", f"{receipts[0].metric_name} (validation)", "s"):
        table.add_column(Text(name), justify="right")
    for receipt in receipts:
        arguments = "".join(
            f" {key}={_argument(value)}" for key, value in receipt.arguments.items()
        )
        table.add_row(
            str(receipt.stage),
            Text.assemble(receipt.kind, (arguments, "dim")),
            bytes_text(receipt.size_bytes),
            f"{receipt.ratio:.1f}×",
            bytes_text(receipt.nonzeros),
            metric_text(receipt, "validation"),
            f"{receipt.seconds:.1f}",
        )
    return table


def _argument(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{pattern}:{item}" for pattern, item in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def tensors_table(records: list[TensorRecord]) -> Table:
    """One row a tensor: shape, steps, distinct values, zeros, coder, bytes, bits a weight."""
    table = _table("")
    table.title = None
    table.add_column("tensor", overflow="fold")
    table.add_column("shape", overflow="fold")
    for name in ("values", "zeros", "bytes", "bits"):
        table.add_column(Text(name), justify="right")
    table.add_column("steps: coder", overflow="fold")
    for record in records:
        count = max(1, record.parameters)
        # Without quotes and the names of arguments, which --json gives.
        steps = re.sub(r"\b\w+=|'", "", " ".join(record.steps))
        tied = steps.startswith(SAME_AS)
        how = steps if tied else ": ".join(filter(None, (steps, record.coder)))
        table.add_row(
            Text(visible(record.name)),
            f"{record.dtype} " + ("×".join(map(str, record.shape)) or "scalar"),
            bytes_text(record.distinct),
            f"{100 * (1 - record.nonzeros / count):.1f} %" if record.parameters else "–",
            bytes_text(record.size_bytes),
            f"{8 * record.size_bytes / count:.2f}",
            Text(visible(how)),
        )
    return table


def rows_table(rows: Sequence[Row], title: str) -> Table:
    """A study's claims, published against ours."""
    table = _table(title)
    for heading in ("claim", "published", "goal", "ours", "met"):
        table.add_column(heading)
    words = {True: Text("yes", "green"), False: Text("no", "bold red"), None: Text("–")}
    for row in rows:
        table.add_row(*map(Text, (row.claim, row.published, row.goal, row.ours)), words[row.met])
    return table


def figures_table(table: FiguresTable) -> Table:
    """The figures behind a study's rows."""
    shown = _table(table.title)
    for number, heading in enumerate(table.header):
        shown.add_column(heading, justify="right" if number else "left")
    for line in table.lines:
        shown.add_row(*map(Text, line))
    return shown


def cells_table(title: str, header: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    """Lines of text under headings; the last column says yes, no or a dash."""
    shown = _table(title)
    for place, heading in enumerate(header):
        shown.add_column(heading, no_wrap=place > 0)
    colours = {"yes": "green", "**no**": "bold red"}
    for line in lines:
        last = Text(line[-1].strip("*"), colours.get(line[-1], ""))
        shown.add_row(*map(Text, line[:-1]), last)
    return shown


@contextmanager
def point_bar(quiet: bool) -> Iterator[Callable[[int, int, Point], None]]:
    """A bar over the points of a sensitivity analysis.

    Args:
        quiet: show nothing (``--json``).
    """
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), console=errors, transient=True, disable=quiet
    )

    def on_point(number: int, count: int, point: Point) -> None:
        note = f"{number}/{count} {point.layer} {point.level:.0%}: {point.metric:.2f}"
        bars.update(bars.task_ids[0], total=count, completed=number, description=note)

    with bars:
        bars.add_task("measuring", total=None)
        yield on_point


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Watcher]:
    """A watcher that shows a bar with the time left for the stage that runs.

    Args:
        quiet: show nothing (``--json``).
    """
    from laconic.recipe import Watcher
    from laconic.train import Progress as FitProgress

    if quiet:
        yield Watcher()
        return
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        console=errors,
        transient=True,
    )

    def on_stage(number: int, count: int, stage: Stage) -> None:
        bars.remove_task(bars.task_ids[0])
        bars.add_task(f"stage {number}/{count} {stage.kind}", total=None, note="")

    def on_progress(progress: FitProgress) -> None:
        left = timedelta(seconds=round(progress.seconds_left))
        note = f"{left} left, epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.4f}"
        bars.update(bars.task_ids[0], total=1, completed=progress.fraction, note=note)

    def on_receipt(receipt: Receipt) -> None:
        errors.print(
            f"[green]✓[/] {receipt.kind:<8} {bytes_text(receipt.size_bytes):>11} bytes  "
            f"{receipt.ratio:5.1f}×  {receipt.metric_name} "
            f"{metric_text(receipt, 'validation')} (validation)  {receipt.seconds:.1f} s"
        )

    def on_input(number: int, count: int, name: str) -> None:
        bars.update(bars.task_ids[0], total=count, completed=number - 1, note=name)

    with bars:
        bars.add_task("starting", total=None, note="")
        yield Watcher(on_stage, on_progress, on_receipt, on_input)
