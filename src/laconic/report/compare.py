"""The network before and after: the headline and the table under it."""

from __future__ import annotations

from dataclasses import dataclass

from laconic.measure.receipts import Receipt, dense_receipt
from laconic.report.wording import (
    MISSING,
    change,
    integer,
    metric_change,
    metric_label,
    metric_value,
    milliseconds,
    times,
)


@dataclass(frozen=True)
class Row:
    """One line of the before/after table; `tone` is ``better``, ``worse`` or ``same``."""

    label: str
    unit: str
    before: str
    after: str
    change: str = ""
    tone: str = "same"


@dataclass(frozen=True)
class Headline:
    """The run in one sentence; the widths are those of its two bars, in percent."""

    sentence: str
    split: str | None
    float32: str
    file: str
    float32_width: float
    file_width: float


def common_split(first: Receipt, last: Receipt) -> str | None:
    """The split that both metrics were taken on: test if there is one, else validation."""
    shared = [split for split in first.metric if split in last.metric]
    for split in ("test", "validation"):
        if split in shared:
            return split
    return shared[0] if shared else None


def ratio(first: Receipt, receipt: Receipt) -> str:
    """Float32 bytes of the first network over the bytes of this file.

    The first network's, because a stage that cuts channels away lowers the float32 bytes of its
    own network, and would make itself look worse.
    """
    return times(first.float32_bytes / receipt.size_bytes) if receipt.size_bytes else MISSING


def headline(receipts: list[Receipt]) -> Headline:
    """First network against last file: bytes, ratio and metric."""
    first, last = dense_receipt(receipts), receipts[-1]
    split = common_split(first, last)
    factor, _ = change(first.float32_bytes, last.size_bytes, "smaller", "larger")
    words = f"{integer(first.float32_bytes)} bytes → {integer(last.size_bytes)} bytes: {factor}"
    if split is not None:
        values = [metric_value(r.metric_name, r.metric[split]) for r in (first, last)]
        shown = values[0] if len(receipts) == 1 else " → ".join(values)
        words += f"; {metric_label(last.metric_name)} {shown}"
    longest = max(first.float32_bytes, last.size_bytes, 1)
    return Headline(
        sentence=words,
        split=split,
        float32=integer(first.float32_bytes),
        file=integer(last.size_bytes),
        float32_width=100 * first.float32_bytes / longest,
        file_width=100 * last.size_bytes / longest,
    )


def rows(receipts: list[Receipt]) -> list[Row]:
    """Every figure of the first and the last receipt, side by side."""
    first, last = dense_receipt(receipts), receipts[-1]
    return [
        _counted(
            "Float32 weights",
            "bytes",
            first.float32_bytes,
            last.float32_bytes,
            "smaller",
            "larger",
        ),
        _counted("File", "bytes", first.size_bytes, last.size_bytes, "smaller", "larger"),
        Row(
            "Ratio",
            "float32 bytes before ÷ file bytes",
            ratio(first, first),
            ratio(first, last),
        ),
        _counted("Parameters", "", first.parameters, last.parameters, "fewer", "more"),
        _counted("Non-zero parameters", "", first.nonzeros, last.nonzeros, "fewer", "more"),
        _counted("MACs", "a call", first.macs, last.macs, "fewer", "more"),
        _counted(
            "MACs with non-zero weights",
            "a call",
            first.effective_macs,
            last.effective_macs,
            "fewer",
            "more",
        ),
        _counted(
            "Peak memory",
            "bytes",
            first.peak_memory_bytes,
            last.peak_memory_bytes,
            "smaller",
            "larger",
        ),
        *_latency(first, last),
        *_metrics(first, last),
    ]


def _counted(label: str, unit: str, before: int, after: int, less: str, more: str) -> Row:
    return Row(label, unit, integer(before), integer(after), *change(before, after, less, more))


def _latency(first: Receipt, last: Receipt) -> list[Row]:
    """Median, spread and conditions; a factor only where the conditions are the same."""
    before, after = first.latency, last.latency
    comparable = (before.engine, before.threads) == (after.engine, after.threads)
    spread = [f"{milliseconds(x.p5_ms)} – {milliseconds(x.p95_ms)}" for x in (before, after)]
    conditions = [
        f"{x.engine}, {integer(x.threads)} thread{'s' * (x.threads != 1)}, "
        f"{integer(x.count)} call{'s' * (x.count != 1)}"
        for x in (before, after)
    ]
    median = [milliseconds(x.median_ms) for x in (before, after)]
    words = (
        change(before.median_ms, after.median_ms, "faster", "slower")
        if comparable
        else ("not comparable", "same")
    )
    return [
        Row("Latency, median", "ms", median[0], median[1], *words),
        Row("Latency, p5 – p95", "ms", spread[0], spread[1]),
        Row("Latency, taken with", "", conditions[0], conditions[1]),
    ]


def _metrics(first: Receipt, last: Receipt) -> list[Row]:
    """One line a split, in the order test, validation, others."""
    name, label = last.metric_name, metric_label(last.metric_name)
    splits = sorted(
        dict.fromkeys([*first.metric, *last.metric]),
        key=lambda split: (split != "test", split != "validation"),
    )
    if not splits:
        return [Row(label.capitalize(), "", *[metric_value(name, None)] * 2)]
    return [
        Row(
            label.capitalize(),
            split,
            metric_value(name, first.metric.get(split)),
            metric_value(name, last.metric.get(split)),
            *metric_change(
                name, last.higher_is_better, first.metric.get(split), last.metric.get(split)
            ),
        )
        for split in splits
    ]
