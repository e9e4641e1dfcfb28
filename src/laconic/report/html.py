"""The report as one HTML page that needs no network, no script and no font of its own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from laconic.errors import DataError, UnsupportedError
from laconic.measure.receipts import Receipt, dense_receipt, read
from laconic.report import compare, tensors, wording
from laconic.report.axes import Axis, linear_axis, log_axis
from laconic.report.charts import Series, StageChart, drawable, histogram, stage_chart

if TYPE_CHECKING:
    import jinja2

TEMPLATE = "template.html.j2"
LOG_FROM = 8
"""Largest over smallest file from which the axis of bytes is logarithmic."""


def render(receipts: list[Receipt], title: str = "Compression report") -> str:
    """The page as text: before and after, tensors, histograms, stages, versions.

    Before is the dense network (`dense_receipt`), after the last receipt. Whatever the receipts
    hold is escaped.

    Args:
        receipts: In the order of the stages; at least one.
        title: Heading of the page.

    Raises:
        DataError: there is no receipt, or a histogram does not fit its bins.
        UnsupportedError: jinja2 is not installed.
    """
    if not receipts:
        raise DataError("no receipt to report on; a run writes its first one for the dense network")
    first, last = dense_receipt(receipts), receipts[-1]
    matched = tensors.pairs(first, last)
    bars, longest = tensors.bars(matched, first, last)
    return _template().render(
        title=title,
        receipts=receipts,
        first=first,
        last=last,
        single=len(receipts) == 1,
        headline=compare.headline(receipts),
        rows=compare.rows(receipts),
        pairs=matched,
        shown=tensors.SHOWN,
        bars=bars,
        bar_ticks=[wording.short_bytes(longest * share / 4) for share in range(5)],
        histograms=[(p, histogram(p.before, p.after)) for p in matched if p.is_weight],
        bytes_chart=bytes_chart(receipts),
        metric_chart=metric_chart(receipts),
        splits=splits(receipts),
        ratios=[compare.ratio(first, receipt) for receipt in receipts],
        seeds=wording.distinct_in_order(r.seed for r in receipts),
        versions=versions(receipts),
        words=wording,
        tensors=tensors,
    )


def write(run_dir: str | os.PathLike[str], path: str | os.PathLike[str] | None = None) -> Path:
    """Write the report of a run directory and return its path.

    The page goes to a sibling temporary file first, then is renamed: a report that stood there is
    either whole and old or whole and new.

    Args:
        run_dir: Directory with a ``receipts.json``.
        path: File to write; ``report.html`` in the run directory if None.

    Raises:
        DataError: the directory has no readable receipts, or the file cannot be written.
        UnsupportedError: jinja2 is not installed.
    """
    target = Path(run_dir) / "report.html" if path is None else Path(path)
    text = render(read(run_dir))
    try:
        handle, sibling = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise DataError(f"{target}: {error.strerror}; does its directory exist?") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        # mkstemp makes files for their owner alone; a report is to be read by others too.
        os.chmod(sibling, 0o644)
        os.replace(sibling, target)
    except OSError as error:
        os.unlink(sibling)
        raise DataError(f"{target}: {error.strerror}") from error
    return target


def splits(receipts: list[Receipt]) -> list[str]:
    """Every split that any receipt has a metric of, validation first: it chose the stages."""
    found = dict.fromkeys(split for receipt in receipts for split in receipt.metric)
    return sorted(found, key=lambda split: (split != "validation", split != "test"))


def versions(receipts: list[Receipt]) -> dict[str, str]:
    """What each package's version was; an arrow where it changed between stages."""
    names = dict.fromkeys(name for receipt in receipts for name in receipt.versions)
    return {
        name: wording.distinct_in_order(r.versions[name] for r in receipts if name in r.versions)
        for name in names
    }


def bytes_chart(receipts: list[Receipt]) -> StageChart | None:
    """File bytes by stage, or None where no file has any."""
    sizes = [float(receipt.size_bytes) for receipt in receipts]
    if max(sizes) == 0:
        return None
    if min(sizes) > 0 and max(sizes) >= LOG_FROM * min(sizes):
        axis: Axis = log_axis(min(sizes), max(sizes))
    else:
        axis = linear_axis(0, max(sizes))
    texts = [wording.short_bytes(size) for size in sizes]
    return stage_chart(
        _stage_names(receipts), [Series("file", sizes, texts)], axis, wording.short_bytes
    )


def metric_chart(receipts: list[Receipt]) -> StageChart | None:
    """The metric by stage, a line a split, or None where no stage has a finite one."""
    series = [
        Series(
            split,
            [r.metric.get(split) for r in receipts],
            [wording.metric_value(r.metric_name, r.metric.get(split)) for r in receipts],
        )
        for split in splits(receipts)
    ]
    figures = [value for one in series for value in one.values]
    finite = [value for value in figures if value is not None and drawable(value)]
    if not finite:
        return None
    name = receipts[-1].metric_name
    unit = " %" if name.endswith("_percent") else ""
    return stage_chart(
        _stage_names(receipts),
        series,
        linear_axis(min(finite), max(finite)),
        lambda value: f"{wording.decimal(value)}{unit}",
    )


def _stage_names(receipts: list[Receipt]) -> list[str]:
    """Number and kind; the number alone where the kinds would run into each other."""
    roomy = len(receipts) <= 6 and all(len(receipt.kind) <= 8 for receipt in receipts)
    return [f"{r.stage} {r.kind}" if roomy else str(r.stage) for r in receipts]


def _template() -> jinja2.Template:
    """The template with escaping on for everything, in one place for every text of a receipt."""
    try:
        import jinja2
    except ImportError as error:
        raise UnsupportedError(
            'the HTML report needs jinja2; install it with pip install "laconic[report]"'
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE)
