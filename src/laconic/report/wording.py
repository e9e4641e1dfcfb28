"""How the report words its figures; every text that stands for a number is made here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

MISSING = "—"


def integer(value: int) -> str:
    """A count with thousands separators.

    >>> integer(1724320)
    '1,724,320'
    """
    return f"{value:,}"


def short_bytes(value: float) -> str:
    """A size in bytes for an axis or a mark, decimal units, three digits.

    >>> short_bytes(41203), short_bytes(1724320), short_bytes(12)
    ('41.2 kB', '1.72 MB', '12 B')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            scaled = value / size
            return f"{scaled:.3g} {unit}" if scaled < 999.5 else f"{scaled:,.0f} {unit}"
    return f"{value:.3g} B"


def decimal(value: float, digits: int = 3) -> str:
    """A float to `digits` significant digits, with a true minus and no exponent if it is readable.

    >>> decimal(-0.17251), decimal(float("nan")), decimal(float("-inf")), decimal(1234567.0)
    ('−0.173', 'NaN', '−∞', '1,234,567')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.{digits}g}"
    return text.replace("-", "−")


def milliseconds(value: float) -> str:
    """A latency with three digits that all stand, so that two of them compare at a glance.

    >>> milliseconds(0.25), milliseconds(4.7514), milliseconds(1234.5)
    ('0.250', '4.75', '1,234')
    """
    if not math.isfinite(value):
        return decimal(value)
    places = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{places}f}"


def percent(part: int, whole: int) -> str:
    """The share of `part` in `whole`; only a complete share reads ``100 %``, only none ``0 %``.

    >>> percent(92, 100), percent(99999, 100000), percent(0, 10), percent(1, 0)
    ('92.0 %', '> 99.9 %', '0 %', '—')
    """
    if whole == 0:
        return MISSING
    if part in (0, whole):
        return "100 %" if part else "0 %"
    share = 100 * part / whole
    if share < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if share > 99.9 else f"{share:.1f} %"


def times(factor: float) -> str:
    """A factor of at least one, to three digits.

    >>> times(41.849), times(1.138), times(312.6)
    ('41.8×', '1.14×', '313×')
    """
    places = 2 if factor < 9.995 else 1 if factor < 99.95 else 0
    return f"{factor:,.{places}f}×"


def change(before: float, after: float, less: str, more: str) -> tuple[str, str]:
    """What became of a figure of which less is better: the words, and ``better/worse/same``.

    >>> change(100, 25, "smaller", "larger"), change(10, 10, "smaller", "larger")
    (('4.00× smaller', 'better'), ('unchanged', 'same'))
    >>> change(10, 0, "smaller", "larger")
    ('—', 'same')
    """
    if before == after:
        return "unchanged", "same"
    if not (before > 0 and after > 0 and math.isfinite(before / after)):
        return MISSING, "same"
    if before > after:
        return f"{times(before / after)} {less}", "better"
    return f"{times(after / before)} {more}", "worse"


def metric_label(name: str) -> str:
    """The metric's name without its unit.

    >>> metric_label("error_percent"), metric_label("mean_square_error")
    ('error', 'mean square error')
    """
    return name.removesuffix("_percent").replace("_", " ")


def metric_value(name: str, value: float | None) -> str:
    """The metric with its unit; None is a metric that nobody took.

    >>> metric_value("error_percent", 0.8), metric_value("loss", 0.12345)
    ('0.80 %', '0.1235')
    >>> metric_value("loss", None)
    'not measured'
    """
    if value is None:
        return "not measured"
    if name.endswith("_percent"):
        text = f"{value:.2f}".replace("-", "−") if math.isfinite(value) else decimal(value)
        return f"{text} %"
    return decimal(value, 4)


def metric_change(
    name: str, higher_is_better: bool, before: float | None, after: float | None
) -> tuple[str, str]:
    """The metric's difference in its own unit: the words, and ``better/worse/same``.

    >>> metric_change("error_percent", False, 0.81, 0.79)
    ('0.02 points better', 'better')
    >>> metric_change("accuracy", True, 0.9, float("nan"))
    ('—', 'same')
    """
    if before is None or after is None or not math.isfinite(after - before):
        return MISSING, "same"
    size = metric_value(name, abs(after - before)).replace(" %", " points")
    if metric_value(name, before) == metric_value(name, after):
        return "unchanged", "same"
    tone = "better" if (after > before) == higher_is_better else "worse"
    return f"{size} {tone}", tone


def arguments(values: dict[str, Any]) -> str:
    """A stage's arguments on one line.

    >>> arguments({"sparsity": 0.92, "scope": "layer"})
    'sparsity=0.92, scope="layer"'
    """
    return ", ".join(
        f"{key}={json.dumps(value, ensure_ascii=False, default=str)}"
        for key, value in values.items()
    )


def distinct_in_order(values: Iterable[object]) -> str:
    """Each value once, in the order of its first appearance, joined by arrows.

    >>> distinct_in_order(["2.13.0", "2.13.0"]), distinct_in_order([0, 1, 0])
    ('2.13.0', '0 → 1')
    """
    return " → ".join(dict.fromkeys(str(value) for value in values))
