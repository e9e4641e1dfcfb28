"""A chart of the factors, as SVG: a line a setting, a mark a batch and number of threads."""

from __future__ import annotations

import html
from collections.abc import Sequence

from laconic.bench.results import Goal, Result
from laconic.report.axes import LogAxis, log_axis

WIDTH, LEFT, RIGHT, TOP, PITCH = 900, 330, 870, 64, 26
STYLE = """
svg { font: 13px system-ui, sans-serif; --ink: #1b1e23; --quiet: #5d646e; --hair: #e3e5e8;
  --one: #0072b2; --two: #b8500a; background: #fdfdfc }
@media (prefers-color-scheme: dark) { svg { --ink: #e7e9ec; --quiet: #9ba3ae; --hair: #2c3138;
  --one: #56b4e9; --two: #e69f00; background: #15181c } }
text { fill: var(--ink) } .quiet { fill: var(--quiet) } line { stroke: var(--hair) }
.goal { stroke: var(--ink); stroke-width: 2 } .even { stroke: var(--quiet) }
.threads-1 { fill: var(--one) } .threads-2 { fill: var(--two) }
""".strip()


def svg(result: Result) -> str:
    """The chart of a result; empty lines where we could not run."""
    rows: dict[tuple[str, str, bool], list[Goal]] = {}
    for goal in result.goals:
        rows.setdefault((goal.title, goal.setting, "int8" in goal.rival), []).append(goal)
    axis = _axis(result.goals)
    height = TOP + PITCH * len(rows) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>How many times faster than the fastest rival</title>",
        f"<style>{STYLE}</style>",
        *_legend(result.goals),
    ]
    for value in axis.values:
        x, even = _x(axis, value), ' class="even"' if value == 1 else ""
        parts.append(f'<line{even} x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{height - 16}"/>')
        label = f'<text class="quiet" x="{x}" y="{TOP - 14}" text-anchor="middle">{value:g}×</text>'
        parts.append(label)
    for place, ((title, setting, is_int8), goals) in enumerate(rows.items()):
        y = TOP + PITCH * place + 10
        name = html.escape(f"{title}, {setting}" + (", against int8" if is_int8 else ""))
        parts.append(f'<text x="{LEFT - 14}" y="{y + 4}" text-anchor="end">{name}</text>')
        parts += _marks(axis, goals, y)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _axis(goals: Sequence[Goal]) -> LogAxis:
    values = [goal.factor for goal in goals if goal.factor]
    values += [goal.least for goal in goals if goal.least]
    return log_axis(min([1.0, *values]), max([2.0, *values]))


def _x(axis: LogAxis, value: float) -> float:
    return round(LEFT + axis.share(value) * (RIGHT - LEFT), 1)


def _marks(axis: LogAxis, goals: Sequence[Goal], y: int) -> list[str]:
    parts = []
    for least in {goal.least for goal in goals if goal.least}:
        x = _x(axis, least)
        parts.append(f'<line class="goal" x1="{x}" x2="{x}" y1="{y - 9}" y2="{y + 9}"/>')
    batches = sorted({goal.batch for goal in goals})
    for goal in goals:
        if goal.factor:
            tip = f"batch {goal.batch}, threads {goal.threads}: {goal.factor:.2f}× {goal.rival}"
            first = goal.batch == batches[0]
            parts.append(_mark(_x(axis, goal.factor), y, first, goal.threads, html.escape(tip)))
    return parts


def _mark(x: float, y: int, is_circle: bool, threads: int, tip: str) -> str:
    """A circle for the smallest batch, a square for the others."""
    title, kind = f"<title>{tip}</title>", f'class="threads-{threads}" fill-opacity="0.8"'
    if is_circle:
        return f'<circle {kind} cx="{x}" cy="{y}" r="5">{title}</circle>'
    return f'<rect {kind} x="{x - 4.5}" y="{y - 4.5}" width="9" height="9">{title}</rect>'


def _legend(goals: Sequence[Goal]) -> list[str]:
    batches = sorted({goal.batch for goal in goals})
    parts, x = [], 20
    for threads in sorted({goal.threads for goal in goals}):
        for batch in batches:
            parts.append(_mark(x, 20, batch == batches[0], threads, ""))
            words = f"batch {batch}, {threads} thread{'s' * (threads > 1)}"
            parts.append(f'<text x="{x + 12}" y="24">{words}</text>')
            x += 150
    parts.append(f'<line class="goal" x1="{x}" x2="{x}" y1="11" y2="29"/>')
    parts.append(f'<text x="{x + 10}" y="24">goal</text>')
    return parts
