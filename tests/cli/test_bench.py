"""laconic bench, on a network that takes no time."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from laconic.bench import cases, compare, results
from laconic.bench.cases import Case, Setting
from laconic.bench.chart import svg
from laconic.bench.results import Goal, Limit, Result

TINY = Case(
    "tiny",
    "Linear 8×6",
    lambda: torch.nn.Linear(6, 8),
    lambda batch: ((batch, 6),),
    (Setting("half zeros", 0.5),),
    batches=(2,),
)
RESULT = Result(
    command="laconic bench",
    date="2026-11-22 12:00 UTC",
    seconds=60.0,
    processor="a processor, 2 CPUs",
    versions={"python": "3.11"},
    goals=[
        Goal("tiny", "Linear 8×6", "half zeros", 1, 1, 1.0, "OpenVINO", 3.0, 2.0, 3.0, 2.5, 3.5)
    ],
    limits=[Limit("memory", "MB", 60, 50)],
    timings=[],
    work=[],
    failures={},
)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where results are kept; the whole comparison is this result."""
    (tmp_path / "studies" / "results").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cases, "SHORT_CASES", {"tiny": TINY})
    return tmp_path / "studies" / "results"


def test_the_short_form_compares_what_is_computed_and_keeps_nothing(laconic, folder, monkeypatch):
    monkeypatch.setattr(compare, "FLOAT_RIVALS", ("ONNX Runtime",))
    ended = laconic("bench", "--short", "--json")
    assert ended.code == 0
    (limit,) = ended.json["limits"]
    assert "laconic, half zeros against ONNX Runtime" in limit["what"]
    assert 0 <= limit["found"] <= limit["most"] == 1e-4
    assert [goal["least"] for goal in ended.json["goals"]] == [None]
    assert {timing["side"] for timing in ended.json["timings"]} == {
        "laconic, half zeros", "ONNX Runtime",
    }  # fmt: skip
    assert list(folder.iterdir()) == []


def test_a_whole_run_is_kept_with_its_chart(laconic, folder, monkeypatch):
    monkeypatch.setattr(compare, "compare", lambda *given, **named: RESULT)
    ended = laconic("bench")
    assert ended.code == 0
    assert "3.00× (2.50–3.50)" in ended.out
    assert ended.out.splitlines()[-1] == "2 of 2 met"
    assert results.read() == RESULT
    assert (folder / "runtime.svg").read_text() == svg(RESULT)


def test_the_kept_result_is_printed_without_running(laconic, folder, monkeypatch):
    results.write(RESULT, svg(RESULT))
    monkeypatch.setattr(compare, "compare", lambda *given, **named: pytest.fail("measured"))
    assert laconic("bench", "--stored").code == 0
    assert laconic("bench", "--stored", "--json").json == {
        **json.loads(json.dumps(asdict(RESULT))), "missed": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "doctored",
    [
        pytest.param({"goals": [replace(RESULT.goals[0], factor=1.99)]}, id="a factor too small"),
        pytest.param({"limits": [replace(RESULT.limits[0], found=61.0)]}, id="a limit exceeded"),
    ],
)
def test_a_goal_that_is_missed_ends_with_1(doctored, laconic, folder):
    missed = replace(RESULT, **doctored)
    results.write(missed, svg(missed))
    ended = laconic("bench", "--stored")
    assert ended.code == 1
    assert ended.out.splitlines()[-1] == "1 of 2 met"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        pytest.param(["--stored"], 1, "no result of the benchmark is kept", id="nothing kept"),
        pytest.param(["--stored", "--short"], 2, "only the whole result is kept", id="both forms"),
        pytest.param(
            ["--short", "--only", "alexnet"], 2, "no network is named 'alexnet'; there are: tiny",
            id="an unknown network",
        ),
        pytest.param(["--threads", "0"], 2, "--threads", id="no thread"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(words, code, message, laconic, folder):
    ended = laconic("bench", *words)
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
