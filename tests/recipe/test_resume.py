"""A run that was interrupted goes on; one that asks for something else is refused."""

import json
import shutil

import pytest
import torch

from laconic.errors import DataError, UsageError
from laconic.measure import read
from laconic.recipe import STAGES, Stage, Watcher
from laconic.recipe.run import stage_seed
from laconic.recipe.run_dir import RunDir


class Stopped(BaseException):
    """Stands for a kill; test_kill.py has the real one."""


def stop_before(stage: int) -> Watcher:
    def on_stage(number, count, what):
        if number == stage:
            raise Stopped

    return Watcher(on_stage=on_stage)


def stop_inside(stage: int, epoch: int) -> Watcher:
    """In the second step of an epoch, so that the checkpoint before it is the last one."""
    inside = []

    def on_progress(progress):
        if len(inside) == stage and (progress.epoch, progress.step) == (epoch, 2):
            raise Stopped

    return Watcher(on_stage=lambda number, *_: inside.append(number), on_progress=on_progress)


@pytest.fixture
def copied(finished, tmp_path):
    """The finished run in a folder of this test's own, without its file."""
    shutil.copytree(finished.run_dir, tmp_path / "run")
    return tmp_path


@pytest.mark.parametrize(
    ("watcher", "done"),
    [
        pytest.param(stop_before(1), 0, id="before the first stage"),
        pytest.param(stop_inside(1, 2), 0, id="inside the first stage"),
        pytest.param(stop_inside(3, 3), 2, id="inside the third stage"),
        pytest.param(stop_before(5), 4, id="between two stages"),
    ],
)
def test_an_interrupted_run_ends_with_the_same_file(
    tmp_path, runner, finished, stages, watcher, done
):
    with pytest.raises(Stopped):
        runner(tmp_path, stages, watcher=watcher)
    receipts = tmp_path / "run" / "receipts.json"
    assert len(read(tmp_path / "run") if receipts.exists() else []) == done
    again = runner(tmp_path, stages, resume=True)
    assert again.output.read_bytes() == finished.output.read_bytes()
    assert [r.metric for r in again.receipts] == [r.metric for r in finished.receipts]
    assert not list(again.run_dir.glob("*.partial.*"))


def test_a_kill_between_the_weights_and_the_receipt_of_a_stage_repeats_it(
    tmp_path, runner, finished, stages, monkeypatch
):
    def stop(self, receipt):
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(RunDir, "finish", stop)
        with pytest.raises(Stopped):
            runner(tmp_path, stages)
    assert (tmp_path / "run" / "stage-1.safetensors").exists()
    assert (tmp_path / "run" / "stage-1.partial.safetensors").exists()
    again = runner(tmp_path, stages, resume=True)
    assert again.output.read_bytes() == finished.output.read_bytes()


def add_noise(context):
    with torch.no_grad():
        context.model[0].weight += torch.randn(32, 16)


def test_a_stage_that_draws_numbers_draws_the_same_after_a_kill(tmp_path, runner, monkeypatch):
    monkeypatch.setitem(STAGES, "noise", add_noise)
    stages = (Stage("noise"), Stage("noise"))
    undisturbed = runner(tmp_path / "undisturbed", stages)
    with pytest.raises(Stopped):
        runner(tmp_path, stages, watcher=stop_before(2))
    torch.rand(7)
    again = runner(tmp_path, stages, resume=True)
    assert again.output.read_bytes() == undisturbed.output.read_bytes()


def test_every_stage_and_every_seed_draw_numbers_of_their_own():
    assert len({stage_seed(seed, number) for seed in range(9) for number in range(9)}) == 81


def test_resuming_a_finished_run_writes_the_same_file_and_reads_no_test_data(
    copied, runner, finished, stages
):
    again = runner(copied, stages, resume=True)
    assert again.output.read_bytes() == finished.output.read_bytes()
    assert again.receipts == finished.receipts
    assert "test" not in again.task.read
    assert "train" not in again.task.read


def test_resuming_nothing_starts_a_run(tmp_path, runner):
    assert runner(tmp_path, (Stage("prune", {"sparsity": 0.5}),), resume=True).output.exists()


def test_a_directory_with_a_run_is_refused_without_resume(copied, runner, stages):
    with pytest.raises(UsageError) as caught:
        runner(copied, stages)
    assert str(caught.value) == (
        f"{copied / 'run'} holds a run already; pass --resume to go on with it, or choose another "
        "--run-dir"
    )


def test_a_run_directory_that_is_a_file_is_refused(tmp_path, runner, stages):
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError) as caught:
        runner(tmp_path, stages)
    assert str(caught.value) == f"{tmp_path / 'run'} is no directory; choose another --run-dir"


CHANGES = {
    "another argument": (
        lambda stages, model: {"stages": (*stages[:1], Stage("prune", {"sparsity": 0.5}))},
        "stage 2 was {'kind': 'prune', 'sparsity': 0.75, 'scope': 'global'}, "
        "now {'kind': 'prune', 'sparsity': 0.5}; stage 3 was ",
    ),
    "a stage more": (
        lambda stages, model: {"stages": (*stages, Stage("fit", {"epochs": 1}))},
        "stage 6 was None, now {'kind': 'fit', 'epochs': 1}; choose another",
    ),
    "another seed": (
        lambda stages, model: {"stages": stages, "seed": 1},
        "another run: seed was 0, now 1; choose another",
    ),
    "other weights": (
        lambda stages, model: {"stages": stages, "model": perturbed(model)},
        "another run: starting weights was ",
    ),
    "another model": (
        lambda stages, model: {"stages": stages, "identity": {"model": "zoo:lenet5"}},
        "another run: model was None, now 'zoo:lenet5'; choose another",
    ),
}


def perturbed(model):
    with torch.no_grad():
        model[2].bias[1] += 1e-6
    return model


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES.keys())
def test_another_run_in_the_directory_is_refused(copied, runner, stages, model, change, message):
    asked = change(stages, model)
    with pytest.raises(UsageError) as caught:
        runner(copied, asked.pop("stages"), resume=True, **asked)
    assert f"{copied / 'run'} holds another run: " in str(caught.value)
    assert message in str(caught.value)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edit(path, change):
    records = json.loads(path.read_text())
    change(records)
    path.write_text(json.dumps(records))


DAMAGES = {
    "receipts cut short": ("receipts.json", truncate),
    "receipts that are no text": ("receipts.json", lambda path: path.write_bytes(b"\xff\xfe\x00")),
    "receipts that are a table": ("receipts.json", lambda path: path.write_text("{}")),
    "receipts nested too deeply": ("receipts.json", lambda path: path.write_text("[" * 99999)),
    "a receipt without its stage": (
        "receipts.json",
        lambda path: edit(path, lambda records: records[0].pop("stage")),
    ),
    "a receipt whose stage is a text": (
        "receipts.json",
        lambda path: edit(path, lambda records: records[-1].update(stage="five")),
    ),
    "weights cut short": ("stage-5.safetensors", truncate),
    "weights with a flipped bit": ("stage-5.safetensors", flip),
    "weights that are gone": ("stage-5.safetensors", lambda path: path.unlink()),
    "what was asked, cut short": ("run.json", truncate),
    "what was asked, as a list": ("run.json", lambda path: path.write_text("[1]")),
}


@pytest.mark.parametrize(("name", "damage"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_run_directory_is_named(copied, runner, stages, name, damage):
    damage(copied / "run" / name)
    with pytest.raises(DataError) as caught:
        runner(copied, stages, resume=True)
    assert str(copied / "run" / name) in str(caught.value)
    assert not (copied / "x.lac").exists()


def test_a_damaged_checkpoint_inside_a_stage_is_named_and_can_be_deleted(tmp_path, runner, stages):
    with pytest.raises(Stopped):
        runner(tmp_path, stages, watcher=stop_inside(1, 2))
    path = tmp_path / "run" / "stage-1.partial.safetensors"
    flip(path)
    with pytest.raises(DataError) as caught:
        runner(tmp_path, stages, resume=True)
    assert str(path) in str(caught.value)
    assert "delete it to start again" in str(caught.value)
    path.unlink()
    assert runner(tmp_path, stages, resume=True).output.exists()
