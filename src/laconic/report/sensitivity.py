"""A sensitivity analysis as a picture: a small chart a layer, SVG."""

from __future__ import annotations

import html

from laconic.measure.sensitivity import Sensitivity
from laconic.report.axes import Axis, linear_axis

COLUMNS, WIDTH, HEIGHT = 4, 240, 170
LEFT, RIGHT, TOP, BOTTOM = 44, 20, 30, 28
STYLE = """
svg { font: 11px system-ui, sans-serif; --ink: #1b1e23; --quiet: #5d646e; --hair: #e3e5e8;
  --line: #0072b2; --dense: #b8500a; background: #fdfdfc }
@media (prefers-color-scheme: dark) { svg { --ink: #e7e9ec; --quiet: #9ba3ae; --hair: #2c3138;
  --line: #56b4e9; --dense: #e69f00; background: #15181c } }
text { fill: var(--quiet) } .name { fill: var(--ink); font-weight: 600 }
line { stroke: var(--hair) }
.dense { stroke: var(--dense) } polyline { fill: none; stroke: var(--line); stroke-width: 2 }
circle { fill: var(--line) }
""".strip()


def picture(found: Sensitivity) -> str:
    """All layers on the same axes, in the order of the network; the dense metric as a line."""
    rows = -(-len(found.layers) // COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT + 26
    values = [found.dense, *(point.metric for point in found.points)]
    up, across = linear_axis(min(values), max(values)), Axis([0.0, 0.5, 1.0])
    what = "zeros" if found.identity.get("kind") == "weights" else "units removed"
    title = html.escape(f"{found.metric_name} (validation) against the share of {what}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="name" x="12" y="18">{title}</text>',
    ]
    for place, layer in enumerate(found.layers):
        x, y = place % COLUMNS * WIDTH, place // COLUMNS * HEIGHT + 26
        parts += _chart(found, layer, x, y, up, across)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _chart(found: Sensitivity, layer: str, x: int, y: int, up: Axis, across: Axis) -> list[str]:
    inner, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(level: float, metric: float) -> tuple[float, float]:
        return (
            round(x + LEFT + across.share(level) * inner, 1),
            round(y + TOP + (1 - up.share(metric)) * tall, 1),
        )

    start, end = x + LEFT, x + WIDTH - RIGHT
    parts = [f'<text class="name" x="{start}" y="{y + 20}">{html.escape(layer)}</text>']
    for value in up.values:
        _, height = at(0, value)
        parts.append(
            f'<line x1="{x + LEFT}" x2="{x + WIDTH - RIGHT}" y1="{height}" y2="{height}"/>'
        )
        parts.append(
            f'<text x="{x + LEFT - 6}" y="{height + 4}" text-anchor="end">{value:g}</text>'
        )
    for value in across.values:
        place, _ = at(value, found.dense)
        bottom = y + HEIGHT - BOTTOM + 14
        parts.append(f'<text x="{place}" y="{bottom}" text-anchor="middle">{value:.0%}</text>')
    _, dense = at(0, found.dense)
    parts.append(f'<line class="dense" x1="{start}" x2="{end}" y1="{dense}" y2="{dense}"/>')
    points = [(p.level, p.metric) for p in found.points if p.layer == layer]
    marks = [at(*point) for point in [(0.0, found.dense), *sorted(points)]]
    parts.append(f'<polyline points="{" ".join(f"{a},{b}" for a, b in marks)}"/>')
    for (a, b), (level, metric) in zip(marks[1:], sorted(points), strict=True):
        tip = f"{layer}: {metric:g} at {level:.0%}"
        parts.append(
            f'<circle cx="{a}" cy="{b}" r="2.5"><title>{html.escape(tip)}</title></circle>'
        )
    return parts
