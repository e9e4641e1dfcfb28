"""Two gloo processes train what one process trains."""

import json
from pathlib import Path

import pytest
from tests.launching import launch

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, dict]:
    """What one process, and each of two, came to."""
    folder = tmp_path_factory.mktemp("processes")
    for processes in (1, 2):
        done = launch(SCRIPT, folder, processes=processes)
        assert "Warning" not in done.stderr
        assert done.stdout == ""
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_both_numbers_of_processes_ran(runs):
    assert sorted(runs) == ["1-0", "2-0", "2-1"]


@pytest.mark.parametrize("run", ["2-0", "2-1"], ids=["process 0", "process 1"])
def test_two_processes_have_the_losses_and_errors_of_one(runs, run):
    assert runs[run]["losses"] == pytest.approx(runs["1-0"]["losses"], rel=1e-6)
    assert runs[run]["errors"] == pytest.approx(runs["1-0"]["errors"], abs=1e-9)


def test_masks_assignments_and_parameters_are_the_same_in_both_processes(runs):
    """Bit for bit, although each process began with weights and masks of its own."""
    assert runs["2-0"]["state"] == runs["2-1"]["state"]
    masks = [key for key in runs["2-0"]["state"] if key.endswith("mask")]
    assert len(masks) == 2


def test_masks_and_assignments_are_those_of_one_process(runs):
    for key, value in runs["1-0"]["state"].items():
        if key.endswith(("mask", "assignments")):
            assert value == runs["2-0"]["state"][key], key


def test_a_latent_weight_without_gradient_stands_still_in_every_process(runs):
    """AdamW with weight decay: a gradient of zeros would have moved it."""
    key = "2.parametrizations.weight.original"
    assert runs["2-0"]["state"][key] == runs["1-0"]["state"][key]


def test_process_0_alone_reports(runs):
    assert (runs["2-0"]["reports"], runs["2-1"]["reports"]) == (12, 0)


@pytest.mark.parametrize("run", ["2-0", "2-1"], ids=["process 0", "process 1"])
def test_processes_with_different_models_are_refused_everywhere(runs, run):
    assert runs[run]["refusal"].startswith("the processes hold different models")
