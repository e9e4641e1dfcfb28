"""The comparison of engines: what is timed, what a goal says, what is kept."""

import os

import numpy as np
import pytest
import torch

from laconic.bench import compare, machine, restrict, results, worker
from laconic.bench.cases import CASES, SHORT_CASES, Case, Setting
from laconic.bench.chart import svg
from laconic.bench.interleaved import Ran, Turns, deviation, ratio
from laconic.bench.interleaved import run as run_sides
from laconic.bench.prepare import Prepared
from laconic.bench.results import Goal, Limit, Result, Timing, Work
from laconic.bench.work import shares_of, work_of
from laconic.errors import DataError, UnsupportedError
from laconic.pack.export import onnx_model

TINY = Case(
    "tiny",
    "Linear 8×6",
    lambda: torch.nn.Linear(6, 8),
    lambda batch: ((batch, 6),),
    (Setting("half zeros", 0.5, 2.0, batches=(2,)), Setting("dense", 0.0)),
    batches=(2,),
)


def goal(factor=3.0, least=2.0, **changed):
    """A goal that is met unless it is changed."""
    known = {
        "case": "tiny", "title": "Linear 8×6", "setting": "half zeros", "batch": 1, "threads": 1,
        "ours_ms": 1.0, "rival": "OpenVINO", "rival_ms": 3.0, "low": 2.5, "high": 3.5,
    }  # fmt: skip
    return Goal(**{**known, **changed}, factor=factor, least=least)


def result(goals=(), limits=(), timings=(), work=(), failures=()):
    """A result of these."""
    return Result(
        "laconic bench", "2026-11-22 12:00 UTC", 60.0, "a processor, 2 CPUs", {"python": "3.11"},
        list(goals), list(limits), list(timings), list(work), dict(failures),
    )  # fmt: skip


def test_the_networks_and_goals_are_those_of_the_table():
    asked = {
        (case.name, setting.name): (setting.least, setting.least_int8)
        for case in CASES.values()
        for setting in case.settings
    }
    assert asked[("resnet56", "90 % zeros")] == (5, 2)
    assert asked[("resnet50", "80 % zeros")] == (2.2, None)
    assert asked[("linear", "91 % zeros, 5 bits")] == (6, None)
    dense = {name: least for (name, setting), (least, _) in asked.items() if setting == "dense"}
    others = dict.fromkeys(("resnet50", "vgg16", "mobilenet-v2"), 1 / 1.3)
    assert dense == {"resnet56": 1 / 1.2, **others}
    assert CASES["lstm"].settings[0].batches == CASES["lstm"].batches == (1, 32)
    assert set(CASES) == {
        "resnet56", "resnet50", "vgg16", "mobilenet-v2", "linear", "lstm", "binary",
    }  # fmt: skip
    assert all(s.least is None for case in SHORT_CASES.values() for s in case.settings)


PARAMETERS = {"resnet50": 25_557_032, "vgg16": 138_357_544, "mobilenet-v2": 3_504_872}


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items(), ids=PARAMETERS)
def test_a_network_has_the_parameters_of_its_paper(name, count):
    with torch.device("meta"):
        model = CASES[name].build()
    assert sum(value.numel() for value in model.parameters()) == count


def test_exactly_the_share_of_zeros_that_is_asked_stands_in_every_weight():
    model = CASES["lstm"].build()
    generator = torch.Generator().manual_seed(0)
    for weight in restrict.weights(model, pointwise=False):
        restrict.prune_at_random(weight.data, 0.9, generator)
        assert int((weight == 0).sum()) == round(0.9 * weight.numel())
        assert float(weight.detach().std()) == pytest.approx(
            0.0226, rel=0.05
        )  # that of uniform ±1/√650


def test_shared_values_and_zero_are_thirty_two():
    weight = torch.randn(64, 64)
    restrict.prune_at_random(weight, 0.5, torch.Generator().manual_seed(0))
    before = int((weight == 0).sum())
    restrict.share(weight)
    assert len(weight.unique()) <= restrict.SHARED_VALUES
    assert int((weight == 0).sum()) == before


def test_only_pointwise_convolutions_of_mobilenet_are_pruned():
    with torch.device("meta"):
        model = CASES["mobilenet-v2"].build()
    found = restrict.weights(model, pointwise=True)
    assert {weight.shape[2:] for weight in found} == {(1, 1)}
    assert len(found) == 16 + 17 + 1  # expansions (none in the first block), projections, the last


def test_a_factor_is_the_median_over_the_rounds():
    ours, theirs = Turns([[1.0, 1.0], [2.0, 2.0], [1.0]]), Turns([[4.0, 4.0], [8.0], [5.0, 5.0]])
    assert ratio(theirs, ours)[1] == 4.0
    assert ours.percentiles_ms()[1] == 1000.0


def test_a_deviation_is_relative_to_the_largest_output():
    outputs = {"a": [np.float32([1, 101])], "b": [np.float32([0, 100])]}
    assert deviation(outputs, "a", "b") == pytest.approx(0.01)


def test_goals_and_limits_are_met_or_missed():
    assert goal(2.0).met
    assert goal(1.99).met is False
    assert goal(1.0, None).met is None
    assert Limit("memory", "MB", 60, 60).met
    assert not Limit("memory", "MB", 60, 60.1).met
    found = result([goal(), goal(1.0), goal(0.0)], [Limit("memory", "MB", 60, 61)])
    assert found.missed == 3


@pytest.fixture
def kept_folder(monkeypatch, tmp_path):
    """Where results are kept, for a test."""
    (tmp_path / "studies" / "results").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "studies" / "results"


def test_a_result_comes_back_from_where_it_is_kept(kept_folder):
    timing = Timing("tiny", "OpenVINO", 1, 1, 3.0, 2.9, 3.1, 50)
    work = Work("tiny", "ours", 1, 1, 2.0, 30.0, 200.0, 4.5, 20.0, {"Gemm sparse ×1": 0.98})
    failures = {"tiny, laconic": "no Wish"}
    found = result([goal()], [Limit("m", "MB", 60, 50)], [timing], [work], failures)
    results.write(found, svg(found))
    assert results.read() == found
    page = (kept_folder / "runtime.md").read_text()
    assert "| Linear 8×6 | half zeros | 1 | 1 | 1 | 3 OpenVINO | ≥ 2× | 3.00× (2.50–3.50) |" in page
    assert "| tiny | OpenVINO | 1 | 1 | 3.000 | 2.900–3.100 | 50 |" in page
    assert "| tiny | ours | 1 | 1 | 2.000 | 30 of 200 | 4.5 of 20.0 | Gemm sparse ×1 98% |" in page
    assert "- tiny, laconic: no Wish" in page


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"goals": [3]}', "no json"], ids=["list", "empty", "numbers", "text"]
)
def test_a_kept_result_that_is_damaged_is_refused(text, kept_folder):
    (kept_folder / "runtime.json").write_text(text)
    with pytest.raises(DataError, match=r"runtime\.json is no result of the benchmark"):
        results.read()


def test_without_a_kept_result_it_says_what_to_run(kept_folder):
    with pytest.raises(DataError, match="run laconic bench"):
        results.read()


def test_the_chart_marks_each_factor_and_each_goal_once():
    found = result([goal(), goal(1.5, batch=32), goal(0.0, threads=2), goal(9.0, None)])
    drawn = svg(found)
    legend = 4 + 1
    assert drawn.count('class="goal"') == 1 + 1
    assert drawn.count("<circle") + drawn.count("<rect") == 3 + legend - 1
    assert "batch 32, threads 1: 1.50× OpenVINO" in drawn


def test_sides_take_turns_and_compute_the_same(tmp_path):
    prepared = Prepared(TINY, 2, tmp_path, ["ONNX Runtime"])
    sides = prepared.sides()
    assert [side.name for side in sides] == [
        "laconic, half zeros", "laconic, dense", "ONNX Runtime",
    ]  # fmt: skip
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    sides.append(type(sides[-1])("broken", "ONNX Runtime", broken))
    ran = run_sides(sides, prepared.arrays(), 1, 0)
    assert set(ran.turns) == {side.name for side in sides[:-1]}
    assert {len(turns.rounds) for turns in ran.turns.values()} == {3}
    assert all(seconds > 0 for turns in ran.turns.values() for seconds in turns.calls)
    assert deviation(ran.outputs, "laconic, dense", "ONNX Runtime") < 1e-6
    assert deviation(ran.outputs, "laconic, half zeros", "ONNX Runtime") > 1e-3
    assert "ONNX Runtime cannot run the network: " in ran.failures["broken"]


def test_what_was_prepared_is_used_again(tmp_path, monkeypatch):
    first = Prepared(TINY, 2, tmp_path, ["ONNX Runtime"]).sides()
    before = {side.path: side.path.stat().st_mtime_ns for side in first}
    monkeypatch.setattr("laconic.bench.prepare.capture", lambda *given, **named: pytest.fail("new"))
    again = Prepared(TINY, 2, tmp_path, ["ONNX Runtime"]).sides()
    assert {side.path: side.path.stat().st_mtime_ns for side in again} == before


def compared(monkeypatch, ran):
    """The comparison of the tiny network whose sides ran like this."""
    monkeypatch.setattr(compare, "run", lambda *given: ran)
    monkeypatch.setattr(compare, "_deviations", lambda *given: [])
    monkeypatch.setattr(compare.Prepared, "sides", lambda self: [
        compare.Side(f"laconic, {s.name}", "laconic", None, s) for s in TINY.settings
    ])  # fmt: skip
    told = []
    found = compare.compare(
        {"tiny": TINY}, None, command="laconic bench", tell=lambda *words: told.append(words),
        threads=(1,), with_start=False, with_work=False,
    )  # fmt: skip
    assert [number for number, count, _ in told] == [1, 2]
    assert {count for _, count, _ in told} == {2}
    return found


def test_the_faster_of_the_float_rivals_counts(monkeypatch):
    turns = {
        "laconic, half zeros": Turns([[1.0]]), "laconic, dense": Turns([[8.0]]),
        "ONNX Runtime": Turns([[4.0]]), "OpenVINO": Turns([[3.0]]), "PyTorch": Turns([[0.1]]),
    }  # fmt: skip
    found = compared(monkeypatch, Ran(turns, {}, {}, {}))
    sparse, dense = found.goals
    assert (sparse.factor, sparse.rival, sparse.rival_ms, sparse.met) == (3, "OpenVINO", 3000, True)
    assert (dense.factor, dense.met) == (0.375, None)
    assert {timing.side for timing in found.timings} == set(turns)


def test_a_goal_is_missed_where_we_cannot_run(monkeypatch):
    ran = Ran({"ONNX Runtime": Turns([[4.0]])}, {}, {"laconic, half zeros": "no Wish"}, {})
    found = compared(monkeypatch, ran)
    assert (found.goals[0].factor, found.goals[0].met) == (0.0, False)
    assert found.failures["tiny, laconic, half zeros, batch 2, threads 1"] == "no Wish"


def test_without_rivals_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(compare, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'pip install "laconic\[bench\]"'):
        compare.compare({}, tmp_path, command="", tell=lambda *words: None)


def test_a_worker_keeps_to_its_processors_and_threads(monkeypatch):
    pinned = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    monkeypatch.setattr(
        os, "sched_setaffinity", lambda process, cpus: pinned.append(cpus), raising=False
    )
    for variable in worker.THREAD_VARIABLES:
        monkeypatch.setenv(variable, "")
    worker.keep_to(2)
    assert pinned == [[3, 5]]
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_a_worker_that_ends_is_no_hang(monkeypatch, tmp_path):
    path = tmp_path / "x.onnx"
    case = Prepared(TINY, 2, tmp_path, [])
    path.write_bytes(onnx_model(case.program(), []).SerializeToString())
    with worker.Worker("ONNX Runtime", path, case.arrays(), 1) as one:
        with pytest.raises(UnsupportedError, match="ONNX Runtime cannot run the network"):
            one.ready()
        with pytest.raises(UnsupportedError, match="ended without a word"):
            one.ready()


def test_the_machine_is_measured_in_a_process_of_its_own():
    found = machine.measured(1)
    assert found.threads == 1
    assert found.gflops > 0
    assert found.gigabytes > 0


def test_shares_are_by_operator_and_form_the_largest_first():
    parts = [
        ("Conv", "sparse", 3.0),
        ("Add", "", 1.0),
        ("Conv", "sparse", 3.98),
        ("Relu", "", 0.02),
    ]
    shares = shares_of(parts)
    assert list(shares) == ["Conv sparse ×2", "Add ×1"]
    assert shares["Add ×1"] == pytest.approx(0.125)


def test_work_is_what_the_machine_does_against_what_it_can(tmp_path):
    prepared = Prepared(TINY, 2, tmp_path, ["ONNX Runtime"])
    sides = prepared.sides()
    ran = run_sides(sides, prepared.arrays(), 1, 0)
    limit = machine.Machine(1, 200.0, 20.0)
    half, dense = work_of(TINY, sides, 2, limit, {}, ran)
    assert dense.gflops * dense.median_ms == pytest.approx(1e-6 * 2 * 2 * 48)
    assert half.gflops * half.median_ms == pytest.approx(1e-6 * 2 * 2 * 24)
    assert dense.gigabytes * dense.median_ms >= 1e-6 * 4 * 48
    assert next(iter(dense.shares)).startswith("Gemm")
