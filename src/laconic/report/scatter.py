"""Points on two axes, some figures of some networks against each other, as SVG."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from laconic.report.axes import Axis, linear_axis
from laconic.report.sensitivity import STYLE

WIDTH, HEIGHT = 620, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 590, 64, 350
OTHER = ".other { fill: var(--dense) }"


@dataclass(frozen=True)
class Point:
    """One network."""

    x: float
    y: float
    label: str
    series: str


def scatter(title: str, across: str, up: str, points: Sequence[Point]) -> str:
    """A mark a point with its label beside it; circles and squares tell two series apart.

    Args:
        title: above.
        across: what the horizontal axis says.
        up: what the vertical axis says.
        points: one or more, of one or two series.

    Examples:
        >>> drawn = scatter("Speed", "bytes", "times", [Point(1, 2, "a & b", "ours")])
        >>> drawn.count("<circle"), "a &amp; b" in drawn
        (2, True)
    """
    x_axis = linear_axis(min(p.x for p in points), max(p.x for p in points))
    y_axis = linear_axis(min(p.y for p in points), max(p.y for p in points))
    names = list(dict.fromkeys(point.series for point in points))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{html.escape(title)}</title>",
        f"<style>{STYLE} {OTHER}</style>",
        _text(LEFT, 22, title, "start", "name"),
        _text((LEFT + RIGHT) / 2, HEIGHT - 12, across, "middle"),
        _text(LEFT, TOP - 10, up, "start"),
    ]
    for place, name in enumerate(names):
        x = RIGHT - 150.0 * (len(names) - place) + 10
        parts += [_mark(x, 40, place), _text(x + 10, 44, name, "start")]
    for value in x_axis.values:
        x = _x(x_axis, value)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{BOTTOM}"/>')
        parts.append(_text(x, BOTTOM + 16, f"{value:g}", "middle"))
    for value in y_axis.values:
        y = _y(y_axis, value)
        parts.append(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{value:g}", "end"))
    for point in points:
        x, y = _x(x_axis, point.x), _y(y_axis, point.y)
        tip = f"{point.label}, {point.series}: {point.x:.4g}, {point.y:.4g}"
        place = names.index(point.series)
        parts.append(_mark(x, y, place, tip))
        # To the inner side, so that a label at the right edge stays in the picture; those of the
        # first series above their marks, the others below.
        inner = x < (LEFT + RIGHT) / 2
        lower = y + (16 if place else -6)
        parts.append(_text(x + (9 if inner else -9), lower, point.label, _side(inner)))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _side(inner: bool) -> str:
    return "start" if inner else "end"


def _x(axis: Axis, value: float) -> float:
    return round(LEFT + axis.share(value) * (RIGHT - LEFT), 1)


def _y(axis: Axis, value: float) -> float:
    return round(BOTTOM - axis.share(value) * (BOTTOM - TOP), 1)


def _mark(x: float, y: float, place: int, tip: str = "") -> str:
    title = f"<title>{html.escape(tip)}</title>"
    if place == 0:
        return f'<circle cx="{x}" cy="{y}" r="5">{title}</circle>'
    return f'<rect class="other" x="{x - 4.5}" y="{y - 4.5}" width="9" height="9">{title}</rect>'


def _text(x: float, y: float, words: str, anchor: str, kind: str = "quiet") -> str:
    words = html.escape(words)
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{words}</text>'
