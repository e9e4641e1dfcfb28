"""Tables and progress bars that several commands share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from laconic.measure.receipts import Measurement, Receipt

if TYPE_CHECKING:
    from laconic.recipe import Stage, Watcher

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def print_json(data: Any) -> None:
    """Exactly one JSON document on the standard output."""
    print(json.dumps(data, indent=1))


def bytes_text(size: float) -> str:
    """A number of bytes with thousands separators."""
    return f"{size:,.0f}"


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


def comparison(measurements: Mapping[str, Measurement], title: str) -> Table:
    """Measurements side by side; the last column says how the last compares with the first."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in measurements:
        table.add_column(name, justify="right")
    several = list(measurements.values())
    factors = len(several) > 1
    if factors:
        table.add_column("factor", justify="right")
    for label, key, text in FIGURES:
        values = [getattr(measurement, key) for measurement in several]
        factor = [f"{values[0] / values[-1]:.1f}×" if values[-1] else "–"] if factors else []
        table.add_row(label, *map(text, values), *factor)
    times = [m.latency for m in several]
    spread = [f"{t.median_ms:.2f} ({t.p5_ms:.2f}–{t.p95_ms:.2f})" for t in times]
    factor = [f"{times[0].median_ms / times[-1].median_ms:.1f}×"] if factors else []
    table.add_row(f"latency ms, median (p5–p95) of {times[0].count}", *spread, *factor)
    splits = {split: None for m in several for split in m.metric}
    for split in splits:
        row = [metric_text(m, split) for m in several]
        difference = several[-1].metric.get(split, 0.0) - several[0].metric.get(split, 0.0)
        factor = [f"{difference:+.2f}"] if factors and "–" not in row else [""] * factors
        table.add_row(f"{several[0].metric_name}, {split}", *row, *factor)
    return table


def stages_table(receipts: list[Receipt]) -> Table:
    """One row a stage: bytes, ratio, non-zeros, validation metric, seconds."""
    table = Table(title="stage by stage", title_justify="left")
    for name in ("stage", "what", "file bytes", "ratio", "non-zeros"):
        table.add_column(name, justify="left" if name == "what" else "right")
    table.add_column(f"{receipts[0].metric_name}, validation", justify="right")
    table.add_column("seconds", justify="right")
    for receipt in receipts:
        arguments = ", ".join(f"{key}={value}" for key, value in receipt.arguments.items())
        table.add_row(
            str(receipt.stage),
            f"{receipt.kind} [dim]{arguments}[/]",
            bytes_text(receipt.size_bytes),
            f"{receipt.ratio:.1f}×",
            bytes_text(receipt.nonzeros),
            metric_text(receipt, "validation"),
            f"{receipt.seconds:.1f}",
        )
    return table


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
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=errors,
        transient=True,
    )
    with bars:
        bar = bars.add_task("starting", total=None, note="")

        def on_stage(number: int, count: int, stage: Stage) -> None:
            bars.reset(bar, description=f"stage {number}/{count} {stage.kind}", total=None, note="")

        def on_progress(progress: FitProgress) -> None:
            total = progress.epochs * progress.steps if progress.steps else None
            done = (progress.epoch - 1) * (progress.steps or 0) + progress.step
            note = f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.4f}"
            bars.update(bar, total=total, completed=done, note=note)

        def on_receipt(receipt: Receipt) -> None:
            errors.print(
                f"[green]✓[/] {receipt.kind:<8} {bytes_text(receipt.size_bytes):>11} bytes  "
                f"{receipt.ratio:5.1f}×  {receipt.metric_name} "
                f"{metric_text(receipt, 'validation')} (validation)  {receipt.seconds:.1f} s"
            )

        yield Watcher(on_stage, on_progress, on_receipt)
