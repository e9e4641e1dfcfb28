"""What tables look like in a terminal of 80 columns."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress as Bars

from laconic.cli import show
from laconic.measure import Latency, Measurement, Receipt, TensorRecord
from laconic.recipe import Stage
from laconic.studies import Row
from laconic.train import Progress

MEASURED = {
    "size_bytes": 1_438_050,
    "float32_bytes": 1_724_320,
    "parameters": 431_080,
    "nonzeros": 431_080,
    "macs": 2_293_000,
    "effective_macs": 357_800,
    "peak_memory_bytes": 4_983_660,
    "latency": Latency(0.305, 0.29, 0.36, 30, 1, "an engine"),
    "metric_name": "error_percent",
    "higher_is_better": False,
    "metric": {"validation": 1.85, "test": 2.02},
}


def receipt(stage: int, kind: str, **arguments) -> Receipt:
    return Receipt(
        **MEASURED, stage=stage, kind=kind, arguments=arguments, seconds=9.71, seed=0, versions={},
        tensors=[],
    )  # fmt: skip


def printed(renderable, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_measurements_stand_side_by_side():
    small = Measurement(**{**MEASURED, "size_bytes": 38_267, "metric": {"test": 2.5}})
    table = show.comparison([("dense", Measurement(**MEASURED)), ("packed", small)], "before")
    assert printed(table) == [
        "before",
        "                               dense     packed  factor",
        "───────────────────────────────────────────────────────",
        "file bytes                 1,438,050     38,267   37.6×",
        "float32 bytes              1,724,320  1,724,320    1.0×",
        "parameters                   431,080    431,080    1.0×",
        "non-zeros                    431,080    431,080    1.0×",
        "MACs                       2,293,000  2,293,000    1.0×",
        "MACs with non-zero weight    357,800    357,800    1.0×",
        "peak memory bytes          4,983,660  4,983,660    1.0×",
        "latency ms, median of 30        0.30       0.30    1.0×",
        "latency ms, p5–p95         0.29–0.36  0.29–0.36",
        "error_percent, validation       1.85          –",
        "error_percent, test             2.02       2.50   +0.48",
    ]


def test_one_measurement_has_no_factors():
    lines = printed(show.comparison([("a[b].lac", Measurement(**MEASURED))], ""))
    assert lines[0].split() == ["a[b].lac"]
    assert not any("×" in line for line in lines)


def test_stages_stand_below_each_other_with_their_arguments():
    receipts = [
        receipt(1, "fit", epochs=20, learning_rate=0.001, schedule="cosine"),
        receipt(2, "prune", sparsity={"conv*": 0.3, "fc1": 0.9}, layers=["conv*", "fc1"]),
    ]
    assert printed(show.stages_table(receipts)) == [
        "stage by stage",
        "                                                              error_percent",
        "   stage                     bytes  ratio  non-zeros           (validation)    s",
        "────────────────────────────────────────────────────────────────────────────────",
        "1  fit epochs=20         1,438,050   1.2×    431,080                   1.85  9.7",
        "   learning_rate=0.001",
        "   schedule=cosine",
        "2  prune                 1,438,050   1.2×    431,080                   1.85  9.7",
        "   sparsity=conv*:0.3",
        "   fc1:0.9",
        "   layers=conv*,fc1",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_no_text_is_cut_off_in_a_table(width):
    record = TensorRecord(
        "features.12.block.3.weight", [128, 64, 3, 3], "F32",
        ["Prune(sparsity=0.90625)", "Share(bits=5, start='linear')"],
        "codebook gap", 1_234_567, 73_728, 6_912, 32,
    )  # fmt: skip
    tables = [
        show.tensors_table([record]),
        show.stages_table([receipt(3, "fit", epochs=20, learning_rate=0.001, schedule="cosine")]),
        show.comparison([("a/very/long/path/" * 4, Measurement(**MEASURED))] * 2, "a title " * 20),
        show.rows_table([Row("a claim " * 9, "40×, 27 KB", "≤ 27,000 bytes", "1 %", True)], "x"),
    ]
    for table in tables:
        lines = printed(table, width)
        assert not any("…" in line for line in lines)
        assert all(len(line) <= width for line in lines)
    letters = "".join("".join(printed(tables[0], width)).split())
    for text in ("128×64×3×3", "1,234,567", "133.96", "Prune(0.90625)", "90.6%"):
        assert text in letters


def test_a_tied_tensor_says_with_which():
    record = TensorRecord("b", [2], "F32", ["same as a"], "plain raw", 2, 2, 2, 2)
    assert printed(show.tensors_table([record]))[-1].endswith("same as a")


def test_the_claims_of_a_study_say_whether_they_are_met():
    rows = [
        Row("one", "1 %", "≤ 2 %", "1.5 %", True),
        Row("two", "1 %", "≤ 2 %", "3 %", False),
        Row("three", "", "", "[bold]5", None),
    ]
    assert printed(show.rows_table(rows, "a study")) == [
        "a study",
        "claim  published  goal   ours     met",
        "─────────────────────────────────────",
        "one    1 %        ≤ 2 %  1.5 %    yes",
        "two    1 %        ≤ 2 %  3 %      no",
        "three                    [bold]5  –",
    ]


def test_the_bar_shows_the_stage_the_time_left_and_the_loss(monkeypatch):
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(show, "errors", console)
    with show.progress_bars(quiet=False) as watcher:
        watcher.on_stage(2, 5, Stage("fit", {"epochs": 4}))
        watcher.on_progress(Progress(2, 4, 5, 10, 0.12345, seconds=30.0))
        watcher.on_receipt(receipt(2, "fit"))
    text = console.file.getvalue()
    assert "stage 2/5 fit" in text
    assert "0:00:50 left, epoch 2/4, loss 0.1235" in text
    assert "✓ fit        1,438,050 bytes    1.2×  error_percent 1.85 (validation)  9.7 s\n" in text


def test_a_new_stage_begins_with_an_empty_bar(monkeypatch):
    made = []

    class Kept(Bars):
        def __init__(self, *columns, **named):
            super().__init__(*columns, **named)
            made.append(self)

    monkeypatch.setattr(show, "Progress", Kept)
    with show.progress_bars(quiet=False) as watcher:
        watcher.on_stage(1, 2, Stage("fit", {"epochs": 4}))
        watcher.on_progress(Progress(4, 4, 10, 10, 0.5, seconds=30.0))
        (done,) = made[0].tasks
        watcher.on_stage(2, 2, Stage("share", {"bits": 4}))
        (fresh,) = made[0].tasks
    assert (done.total, done.completed) == (1, 1.0)
    assert (fresh.total, fresh.completed, fresh.fields["note"]) == (None, 0, "")
    assert fresh.description == "stage 2/2 share"


def test_a_quiet_run_tells_nobody():
    with show.progress_bars(quiet=True) as watcher:
        assert (watcher.on_stage, watcher.on_progress, watcher.on_receipt) == (None, None, None)


def test_numbers_that_json_lacks_become_null(capsys):
    show.print_json({"a": float("inf"), "b": [float("nan"), 1.5], "c": "×"})
    assert capsys.readouterr().out == (
        '{\n "a": null,\n "b": [\n  null,\n  1.5\n ],\n "c": "×"\n}\n'
    )


def test_a_name_gives_the_terminal_no_orders() -> None:
    with show.console.capture() as captured:
        show.say("packed fc\x1b[2J.weight")
    assert "\x1b" not in captured.get()
    assert "fc\\x1b[2J.weight" in captured.get()
