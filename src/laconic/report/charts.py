"""Geometry of the report's charts: figures become coordinates here, markup in the template."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from laconic.errors import DataError
from laconic.measure.receipts import TensorRecord
from laconic.report.axes import Axis, linear_axis
from laconic.report.wording import decimal, integer


@dataclass(frozen=True)
class Tick:
    """A label on an axis, and its coordinate in SVG user units."""

    at: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A point of a line, the label beside it and its tooltip."""

    x: float
    y: float
    tip: str
    label: str = ""
    label_x: float = 0.0
    label_y: float = 0.0
    anchor: str = "middle"


@dataclass(frozen=True)
class Series:
    """One figure through the stages; a stage may have none (None), or none to draw (NaN)."""

    name: str
    values: Sequence[float | None]
    texts: Sequence[str]


@dataclass(frozen=True)
class Line:
    """A series in coordinates; `path` is SVG path data, broken where there is no figure."""

    name: str
    path: str
    marks: list[Mark]


@dataclass(frozen=True)
class StageChart:
    """Lines over stages; sizes in SVG user units."""

    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    width: int = 400
    height: int = 234
    left: int = 54
    right: int = 392
    top: int = 14
    bottom: int = 204
    inset: int = 34
    """Room for the first and the last label beside their points."""


@dataclass(frozen=True)
class Strip:
    """The histogram of one tensor at one moment; `note` stands in for an empty one."""

    path: str
    peak: str
    note: str


@dataclass(frozen=True)
class Histogram:
    """Two strips, before over after, on one axis of weight values."""

    before: Strip
    after: Strip
    x_ticks: list[Tick]
    width: int = 240
    height: int = 184
    bar_height: int = 54
    before_base: int = 74
    after_base: int = 158


MARK_LABELS = 6
"""Stages up to which each point bears its figure; above, the tooltip alone does."""
STAGE_LABELS = 12
"""Stages up to which each one stands on the axis."""


def stage_chart(
    stages: Sequence[str],
    series: Sequence[Series],
    axis: Axis,
    tick_label: Callable[[float], str],
) -> StageChart:
    """Lines of `series` over `stages`, drawn on `axis`."""
    frame = StageChart([], [], [])
    first, last = frame.left + frame.inset, frame.right - frame.inset
    pitch = (last - first) / max(len(stages) - 1, 1)
    offset = 0.0 if len(stages) > 1 else (last - first) / 2

    def x(stage: int) -> float:
        return round(first + offset + pitch * stage, 1)

    def y(value: float) -> float:
        return round(frame.bottom - axis.share(value) * (frame.bottom - frame.top), 1)

    every = math.ceil(len(stages) / STAGE_LABELS)
    return StageChart(
        x_ticks=[Tick(x(i), stages[i]) for i in range(0, len(stages), every)],
        y_ticks=[Tick(y(value), tick_label(value)) for value in axis.values],
        lines=[_line(one, series, stages, x, y) for one in series],
    )


def _line(
    one: Series,
    series: Sequence[Series],
    stages: Sequence[str],
    x: Callable[[int], float],
    y: Callable[[float], float],
) -> Line:
    heights = [y(v) if v is not None and drawable(v) else None for v in one.values]
    path: list[str] = []
    marks: list[Mark] = []
    for stage, height in enumerate(heights):
        if height is None:
            continue
        joined = stage > 0 and heights[stage - 1] is not None
        path.append(f"{'L' if joined else 'M'}{x(stage)} {height}")
        mark = Mark(x(stage), height, f"{stages[stage]}: {one.name} {one.texts[stage]}")
        if len(stages) <= MARK_LABELS:
            rivals = [r.values[stage] for r in series if r is not one]
            others = [y(v) for v in rivals if v is not None and drawable(v)]
            mark = _labelled(mark, one.texts[stage], stage, heights, others)
        marks.append(mark)
    return Line(one.name, " ".join(path), marks)


def _labelled(
    mark: Mark, label: str, stage: int, heights: Sequence[float | None], others: Sequence[float]
) -> Mark:
    """The mark with its label where neither the line nor another line's label runs through it."""
    above_left = stage > 0 and _rises(mark.y, heights[stage - 1])
    above_right = stage + 1 < len(heights) and _rises(mark.y, heights[stage + 1])
    crowded = above_left and (above_right or stage + 1 == len(heights))
    if any(other < mark.y for other in others) or (crowded and not others):
        return replace(mark, label=label, label_x=mark.x, label_y=mark.y + 15)
    anchor = "start" if above_left else "end" if above_right else "middle"
    shift = {"start": -4, "end": 0, "middle": 0}[anchor]
    return replace(mark, label=label, label_y=mark.y - 9, label_x=mark.x + shift, anchor=anchor)


def _rises(height: float, neighbour: float | None) -> bool:
    """Whether a neighbouring point stands clearly higher on the page."""
    return neighbour is not None and neighbour < height - 8


def drawable(value: float | None) -> bool:
    """Whether there is a figure, and one that has a place on an axis."""
    return value is not None and math.isfinite(value)


def histogram(before: TensorRecord | None, after: TensorRecord | None) -> Histogram:
    """Non-zero weights before over those after, on a common axis of values.

    Each strip has its own height, that of its fullest bin: pruning leaves too few weights to be
    seen on the scale of the dense ones.

    Raises:
        DataError: bins that do not fit their counts.
    """
    for record in (before, after):
        _check_bins(record)
    edges = [edge for record in (before, after) if record for edge in record.bins]
    low, high = (min(edges), max(edges)) if edges else (-1.0, 1.0)
    if low == high:
        margin = abs(low) / 2 or 1.0
        low, high = low - margin, high + margin
    frame = Histogram(Strip("", "", ""), Strip("", "", ""), [])

    def x(value: float) -> float:
        return round((value - low) / (high - low) * frame.width, 2)

    return Histogram(
        before=_strip(before, x, frame.before_base, frame.bar_height),
        after=_strip(after, x, frame.after_base, frame.bar_height),
        x_ticks=_value_ticks(low, high, x) if edges else [],
    )


def _check_bins(record: TensorRecord | None) -> None:
    if record is None or not (record.bins or record.counts):
        return
    fits = len(record.bins) == len(record.counts) + 1 and record.counts
    if not fits or not all(map(math.isfinite, record.bins)) or min(record.counts) < 0:
        raise DataError(
            f"{record.name}: {len(record.counts)} counts in {len(record.bins)} bin edges make no "
            "histogram; give one finite edge more than counts, or leave both empty"
        )


def _strip(
    record: TensorRecord | None, x: Callable[[float], float], base: int, bar_height: int
) -> Strip:
    if record is None:
        return Strip("", "", "not in this network")
    if record.nonzeros == 0:
        return Strip("", "", "every weight is zero")
    peak = max(record.counts, default=0)
    if peak == 0:
        return Strip("", "", "no histogram in the receipt")
    bars = []
    for left, right, count in zip(record.bins, record.bins[1:], record.counts, strict=False):
        if count:
            # Half a unit is the least that a screen still shows.
            wide = max(x(right) - x(left), 0.5)
            high = max(bar_height * count / peak, 0.5)
            bars.append(f"M{x(left):g} {base}v-{high:.1f}h{wide:.2f}V{base}z")
    return Strip("".join(bars), integer(peak), "")


def _value_ticks(low: float, high: float, x: Callable[[float], float]) -> list[Tick]:
    """The round values inside the axis, without those whose label would be cut off."""
    inside = [value for value in linear_axis(low, high, 3).values if 16 <= x(value) <= 224]
    return [Tick(x(value), decimal(value)) for value in inside]
