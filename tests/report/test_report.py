"""The page shows the receipts' figures, escapes their texts and survives their odd cases."""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from laconic.errors import DataError, UnsupportedError
from laconic.measure.receipts import Receipt, TensorRecord, to_json
from laconic.report import charts, html, render, tensors, wording, write
from laconic.report.axes import LogAxis, linear_axis, log_axis

ATTACK = "<script>alert(1)</script>"
WithTensors = Callable[[list[Receipt], list[TensorRecord]], list[Receipt]]


class Structure(HTMLParser):
    """The tags of a page and its text without style; fails on a tag closed out of its turn."""

    VOID = ("meta", "link")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)


def text_of(page: str) -> str:
    structure = Structure(page)
    assert structure.open == []
    return structure.text


def with_last(receipts: list[Receipt], **fields: object) -> list[Receipt]:
    return [*receipts[:-1], replace(receipts[-1], **fields)]


def test_the_headline_compares_float32_bytes_with_the_last_file(receipts: list[Receipt]) -> None:
    page = text_of(render(with_last(receipts, size_bytes=41_203)))
    assert "1,724,320 bytes → 41,203 bytes: 41.8× smaller; error 0.81 % → 0.79 %" in page
    assert "Error: test split, lower is better." in page


def test_the_headline_falls_back_to_validation_and_says_so(receipts: list[Receipt]) -> None:
    page = text_of(render(with_last(receipts, metric={"validation": 0.98})))
    assert "error 1.02 % → 0.98 %" in page
    assert "Error: validation split" in page


def test_a_file_that_grew_is_called_larger_and_an_accuracy_that_fell_worse(
    receipts: list[Receipt],
) -> None:
    changed = [replace(r, metric_name="accuracy_percent", higher_is_better=True) for r in receipts]
    page = text_of(render(with_last(changed, size_bytes=1_810_536)))
    assert "1.05× larger; accuracy 0.81 % → 0.79 %" in page
    assert "0.02 points worse" in page
    assert "higher is better" in page


def test_every_figure_of_every_receipt_stands_on_the_page(receipts: list[Receipt]) -> None:
    page = text_of(render(receipts))
    for receipt in receipts:
        assert f"{receipt.size_bytes:,}" in page
        assert f"{receipt.nonzeros:,}" in page
    for receipt in (receipts[0], receipts[-1]):
        for figure in (receipt.macs, receipt.effective_macs, receipt.peak_memory_bytes):
            assert f"{figure:,}" in page
        assert f"{receipt.latency.median_ms:.3f}" in page
        assert f"{receipt.latency.p5_ms:.3f} – {receipt.latency.p95_ms:.3f}" in page
    for tensor in receipts[-1].tensors:
        assert tensor.name in page
        assert f"{tensor.size_bytes:,}" in page
        assert " × ".join(f"{size:,}" for size in tensor.shape) in page
    assert "laconic.runtime, NumPy, 1 thread, 200 calls" in page
    assert 'bits={"conv*": 6, "fc1": 5, "fc2": 4}, start="linear"' in page
    assert "Prune(sparsity=0.92) → Share(bits=5)" in page
    assert "2.13.0" in page


def test_the_bars_of_a_file_add_up_to_its_bytes(receipts: list[Receipt]) -> None:
    page = text_of(render(receipts))
    rest = receipts[-1].size_bytes - sum(t.size_bytes for t in receipts[-1].tensors)
    assert f"rest of the file: 1,846 → {rest:,} bytes" in page


def test_the_longest_bar_is_full_and_the_others_are_on_its_scale(receipts: list[Receipt]) -> None:
    first, last = receipts[0], receipts[-1]
    drawn, longest = tensors.bars(tensors.pairs(first, last), first, last)
    assert longest == 1_488_000
    for bar, before, after in zip(drawn, first.tensors, last.tensors, strict=False):
        assert bar.before_width == pytest.approx(100 * before.size_bytes / 1_488_000)
        assert bar.after_width == pytest.approx(100 * after.size_bytes / 1_488_000)
        assert bar.bits_after == wording.decimal(8 * after.size_bytes / after.parameters)
    assert f'width="{100 * last.tensors[4].size_bytes / longest:.3f}%"' in render(receipts)


def test_a_network_that_was_cut_is_compared_with_the_whole_one(receipts: list[Receipt]) -> None:
    cut = with_last(receipts, float32_bytes=862_160, size_bytes=41_203)
    page = text_of(render(cut))
    assert "1,724,320 bytes → 41,203 bytes: 41.8× smaller" in page
    assert "float32 bytes before ÷ file bytes 1.07× 41.8×" in page
    assert "41,203 41.8× 36,860" in page
    assert "1,724,320 862,160 2.00× smaller" in page


def test_latencies_of_two_engines_are_not_compared(receipts: list[Receipt]) -> None:
    page = text_of(render(receipts))
    assert "1.90× faster" in page
    other = replace(receipts[-1].latency, threads=2)
    page = text_of(render(with_last(receipts, latency=other)))
    assert "not comparable" in page
    assert "faster" not in page


def test_a_version_that_changed_between_stages_is_shown_with_both(
    receipts: list[Receipt],
) -> None:
    page = text_of(render(with_last(receipts, versions={"torch": "2.14.0"}, seed=5)))
    assert "2.13.0 → 2.14.0" in page
    assert "seed 0 → 5" in page


def test_no_text_of_a_receipt_becomes_markup(
    receipts: list[Receipt], with_tensors: WithTensors
) -> None:
    tensor = replace(
        receipts[-1].tensors[0], name=ATTACK, dtype=ATTACK, steps=[ATTACK], coder=ATTACK
    )
    hostile = [
        replace(
            receipt,
            kind=ATTACK,
            arguments={ATTACK: [ATTACK, '"><img src=x onerror=alert(1)>']},
            metric_name=ATTACK,
            metric={ATTACK: 1.0},
            versions={ATTACK: ATTACK},
            latency=replace(receipt.latency, engine=ATTACK),
        )
        for receipt in with_tensors(receipts, [tensor])
    ]
    page = render(hostile, title=ATTACK)
    assert ATTACK not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    structure = Structure(page)
    assert "script" not in structure.tags
    assert "img" not in structure.tags
    assert structure.text.count(ATTACK) > 10


def test_a_quote_in_a_name_does_not_end_an_attribute(
    receipts: list[Receipt], with_tensors: WithTensors
) -> None:
    name = '" onload="alert(1)'
    page = render(with_tensors(receipts, [replace(receipts[0].tensors[0], name=name)]))
    assert ' onload="alert' not in page
    assert "onload=&#34;alert(1)" in page


def test_the_page_asks_the_network_for_nothing(receipts: list[Receipt]) -> None:
    page = render(receipts)
    for word in ("http:", "https:", "//", "@import", "url(", "<script", "src="):
        assert word not in page
    assert re.findall(r'href="([^"]*)"', page) == ["data:,"]


def test_a_run_without_receipts_is_refused() -> None:
    with pytest.raises(DataError, match="no receipt to report on; a run writes its first one"):
        render([])


def test_one_receipt_makes_a_page_without_an_after(receipts: list[Receipt]) -> None:
    page = text_of(render(receipts[:1]))
    assert "1,724,320 bytes → 1,605,463 bytes: 1.07× smaller; error 0.81 %" in page
    assert "One receipt only: no stage has run yet." in page
    assert "factor" not in page
    assert "after" not in page


def test_a_metric_that_nobody_took_is_said_to_be_missing(receipts: list[Receipt]) -> None:
    page = text_of(render([replace(receipt, metric={}) for receipt in receipts]))
    assert "Error: no split was measured both before and after." in page
    assert "Nothing to draw: no stage has a finite figure." in page
    assert "Error not measured not measured" in page


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN %"), (float("inf"), "∞ %")])
def test_a_metric_that_is_not_finite_is_shown_and_leaves_a_gap_in_its_line(
    receipts: list[Receipt], value: float, word: str
) -> None:
    broken = [replace(r, metric={"validation": value if r.stage == 2 else 1.0}) for r in receipts]
    assert word in text_of(render(broken))
    chart = html.metric_chart(broken)
    assert chart is not None
    assert [line.path.count("M") for line in chart.lines] == [2]
    assert len(chart.lines[0].marks) == 4
    everywhere = [replace(r, metric={"test": value}) for r in receipts]
    assert html.metric_chart(everywhere) is None
    assert f"error {word} → {word}" in text_of(render(everywhere))


def test_a_tensor_without_bins_says_that_it_has_no_histogram(
    receipts: list[Receipt], with_tensors: WithTensors
) -> None:
    bare = replace(receipts[0].tensors[0], bins=[], counts=[])
    assert "no histogram in the receipt" in text_of(render(with_tensors(receipts, [bare])))


def test_a_weight_of_zeros_alone_says_so(
    receipts: list[Receipt], with_tensors: WithTensors
) -> None:
    empty = replace(
        receipts[0].tensors[0], nonzeros=0, distinct=1, bins=[0.0] * 65, counts=[0] * 64
    )
    zeroed = [replace(r, nonzeros=0) for r in with_tensors(receipts, [empty])]
    page = text_of(render(zeroed))
    assert "every weight is zero" in page
    assert "zeros 100 % → 100 %" in page


def test_a_constant_weight_has_one_bar_in_the_middle(receipts: list[Receipt]) -> None:
    constant = replace(receipts[0].tensors[0], bins=[0.5] * 65, counts=[500] + [0] * 63)
    drawn = charts.histogram(constant, constant)
    assert drawn.before.path == "M120 74v-54.0h0.50V74z"


def test_a_histogram_has_a_bar_for_every_bin_that_is_not_empty(receipts: list[Receipt]) -> None:
    before, after = receipts[0].tensors[4], receipts[-1].tensors[4]
    drawn = charts.histogram(before, after)
    for strip, record in ((drawn.before, before), (drawn.after, after)):
        assert strip.path.count("z") == sum(count > 0 for count in record.counts)
        assert strip.peak == f"{max(record.counts):,}"
        assert strip.path.count("v-54.0") == record.counts.count(max(record.counts))


@pytest.mark.parametrize(
    ("bins", "counts"),
    [([0.0, 1.0], [1, 2]), ([0.0, float("inf")], [1]), ([1.0], []), ([0.0, 1.0], [-1])],
    ids=["too many counts", "an infinite edge", "an edge without counts", "a negative count"],
)
def test_bins_that_fit_no_counts_are_refused_with_the_name(
    receipts: list[Receipt], with_tensors: WithTensors, bins: list[float], counts: list[int]
) -> None:
    broken = replace(receipts[0].tensors[0], bins=bins, counts=counts)
    with pytest.raises(DataError, match=r"conv1\.weight: \d counts in \d bin edges"):
        render(with_tensors(receipts, [broken]))


def test_a_tensor_that_a_stage_removed_is_marked(receipts: list[Receipt]) -> None:
    page = text_of(render(with_last(receipts, tensors=receipts[-1].tensors[1:])))
    assert "not in the network any more" in page
    assert "1,860 → — 29.8 → —" in page
    assert "not in this network" in page


def test_empty_tensors_scalars_and_files_of_no_bytes_divide_by_nothing(
    receipts: list[Receipt], with_tensors: WithTensors
) -> None:
    odd = [
        TensorRecord("empty", [0, 3], "float32", [], "raw", 0, 0, 0, 0),
        TensorRecord("scale", [], "float32", [], "raw", 4, 1, 1, 1),
    ]
    empty = [
        replace(r, size_bytes=0, float32_bytes=0, parameters=0, nonzeros=0, macs=0)
        for r in with_tensors(receipts, odd)
    ]
    page = text_of(render(empty))
    assert "0 × 3, float32" in page
    assert "scalar, float32" in page
    assert "Nothing to draw: no file has any bytes." in page


def test_two_hundred_tensors_stand_folded_after_the_largest_twenty_four(
    receipts: list[Receipt], with_tensors: WithTensors
) -> None:
    many = [
        replace(receipts[0].tensors[0], name=f"block{i}.weight", size_bytes=1_000 + i)
        for i in range(200)
    ]
    page = render(with_tensors(receipts, many))
    assert Structure(page).tags.count("details") == 3
    text = text_of(page)
    assert "177 more bars" in text
    assert "176 more tensors" in text
    assert "176 more histograms" in text
    unfolded = page[: page.index("<details>")]
    assert "block199.weight" in unfolded
    assert "block176.weight" in unfolded
    assert "block175.weight" not in unfolded
    assert len(page) < 2_000_000


def test_a_name_of_two_thousand_letters_may_break_anywhere(
    receipts: list[Receipt], with_tensors: WithTensors
) -> None:
    name = "a" * 2_000
    page = render(with_tensors(receipts, [replace(receipts[0].tensors[0], name=name)]))
    assert f'<span class="name">{name}</span>' in page
    assert ".name, code { overflow-wrap: anywhere; }" in page


def test_every_drawing_is_an_image_with_a_label_and_a_tooltip(receipts: list[Receipt]) -> None:
    drawings = re.findall(r"<svg[^>]*>\s*(?:<title>)?", render(receipts))
    spoken = [drawing for drawing in drawings if "aria-hidden" not in drawing]
    headline, stages, bars, histograms = 2, 2, 9, 4
    axis, legend = 1, 2
    assert len(spoken) == headline + stages + bars + histograms
    assert len(drawings) - len(spoken) == axis + legend
    for drawing in spoken:
        assert 'role="img"' in drawing
        assert "aria-label=" in drawing
        assert drawing.endswith("<title>")


def test_many_stages_keep_their_labels_apart(receipts: list[Receipt]) -> None:
    many = [replace(receipts[-1], stage=i, size_bytes=41_203 + i) for i in range(30)]
    chart = html.bytes_chart(many)
    assert chart is not None
    assert len(chart.x_ticks) <= charts.STAGE_LABELS
    assert [mark.label for mark in chart.lines[0].marks] == [""] * 30
    assert chart.lines[0].marks[7].tip == "7: file 41.2 kB"


def test_a_large_range_of_bytes_is_drawn_by_factors_and_a_small_one_from_zero(
    receipts: list[Receipt],
) -> None:
    large, small = html.bytes_chart(receipts), html.bytes_chart(receipts[3:])
    assert large is not None
    assert small is not None
    assert large.y_ticks[0].label == "20 kB"
    assert small.y_ticks[0].label == "0 B"
    assert large.y_ticks[0].at == large.bottom


@pytest.mark.parametrize("low", [1e-300, 0.3, 1.0, 41_203.0, 5e15])
@pytest.mark.parametrize("factor", [1.0, 1.0001, 7.0, 1e3, 1e9])
def test_axes_cover_their_figures_with_a_few_round_values(low: float, factor: float) -> None:
    high = low * factor
    for axis in (linear_axis(low, high), linear_axis(-high, low), log_axis(low, high)):
        assert 2 <= len(axis.values) <= 13
        assert axis.values == sorted(set(axis.values))
        assert axis.share(axis.values[0]) == 0
        assert axis.share(axis.values[-1]) == 1
        assert 0 <= axis.share(low) <= 1 + 1e-9
        assert 0 <= axis.share(high if isinstance(axis, LogAxis) else low) <= 1 + 1e-9


def test_write_puts_the_page_into_the_run_directory(
    receipts: list[Receipt], tmp_path: Path
) -> None:
    (tmp_path / "receipts.json").write_text(to_json(receipts), encoding="utf-8")
    (tmp_path / "report.html").write_text("an old page")
    target = write(tmp_path)
    assert target == tmp_path / "report.html"
    assert target.read_text(encoding="utf-8") == render(receipts)
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["receipts.json", "report.html"]


def test_write_takes_another_path(receipts: list[Receipt], tmp_path: Path) -> None:
    (tmp_path / "receipts.json").write_text(to_json(receipts), encoding="utf-8")
    assert write(tmp_path, tmp_path / "other.html") == tmp_path / "other.html"
    assert not (tmp_path / "report.html").exists()


def test_write_names_a_directory_that_does_not_exist(
    receipts: list[Receipt], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"is .* a run directory"):
        write(tmp_path / "nowhere")
    (tmp_path / "receipts.json").write_text(to_json(receipts), encoding="utf-8")
    with pytest.raises(DataError, match="does its directory exist"):
        write(tmp_path, tmp_path / "nowhere" / "report.html")


def test_a_write_that_fails_leaves_the_old_page_and_no_other_file(
    receipts: list[Receipt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "receipts.json").write_text(to_json(receipts), encoding="utf-8")
    (tmp_path / "report.html").write_text("an old page")
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(DataError, match=r"report\.html: No space left on device"):
        write(tmp_path)
    assert (tmp_path / "report.html").read_text() == "an old page"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["receipts.json", "report.html"]


def test_without_jinja2_the_error_names_the_extra(
    receipts: list[Receipt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UnsupportedError, match=r'pip install "laconic\[report\]"'):
        render(receipts)
