"""A run and its receipts: what is measured, how often the test data are read, what is written."""

import json
import threading
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import laconic
from laconic import runtime, zoo
from laconic.container import LacFile
from laconic.errors import PatternError, StageError, UnsupportedError, UsageError
from laconic.measure import dense_receipt, from_json, read, to_json
from laconic.measure.file import measure_file, score_file
from laconic.recipe import STAGES, Stage, Watcher
from laconic.represent import plain_state
from laconic.train import evaluate

FIT = Stage("fit", {"epochs": 1})
PRUNE = Stage("prune", {"sparsity": 0.75})
SHARE = Stage("share", {"bits": 3})


def record(receipt, name):
    return next(tensor for tensor in receipt.tensors if tensor.name == name)


def test_every_stage_has_one_receipt(finished, stages):
    assert [(r.stage, r.kind, r.arguments) for r in finished.receipts] == [
        (number, stage.kind, stage.arguments) for number, stage in enumerate(stages, 1)
    ]
    assert all(r.seconds >= 0 and r.seed == 0 and "torch" in r.versions for r in finished.receipts)


def test_the_receipts_are_on_disk_and_read_again(finished):
    assert read(finished.run_dir) == finished.receipts
    assert from_json(to_json(finished.receipts)) == finished.receipts


def test_the_test_split_is_read_twice_and_at_the_very_end(finished):
    assert finished.task.read.count("test") == 2
    assert finished.task.read[-2:] == ["test", "test"]


def test_the_dense_network_and_the_result_alone_have_a_test_metric(finished):
    assert dense_receipt(finished.receipts) is finished.receipts[0]
    splits = [sorted(receipt.metric) for receipt in finished.receipts]
    assert splits == [["test", "validation"], *3 * [["validation"]], ["test", "validation"]]


def test_the_last_receipt_is_what_the_file_measures(finished):
    measured = measure_file(finished.output, finished.task, splits=("validation", "test"), count=3)
    kept = asdict(finished.receipts[-1])
    for name, value in asdict(measured).items():
        if name not in ("latency", "peak_memory_bytes"):  # what the clock and the cache decide
            assert kept[name] == value, name
    assert kept["size_bytes"] == finished.output.stat().st_size
    assert measured.peak_memory_bytes > 0


def test_zeros_and_values_are_counted_exactly(finished):
    last = finished.receipts[-1]
    first, second = record(last, "0.weight"), record(last, "2.weight")
    assert first.nonzeros + second.nonzeros == 152  # a quarter of 608
    assert (first.distinct, second.distinct) == (2**3, 2**2)
    assert (last.parameters, last.nonzeros, last.float32_bytes) == (643, 152 + 35, 4 * 643)
    assert (last.macs, last.effective_macs) == (608, 152)
    sparsity = 1 - first.nonzeros / 512
    assert first.steps == [f"Prune(sparsity={sparsity})", "Share(bits=3, start='linear')"]


def test_the_file_holds_exactly_the_weights_that_were_evaluated(finished):
    with LacFile(finished.output) as file:
        for name, value in plain_state(finished.model).items():
            assert file.array(name).tobytes() == value.numpy().tobytes(), name
        assert list(file.entries) == list(plain_state(finished.model))


def test_a_fresh_network_takes_the_file_and_scores_the_same(finished, model):
    assert laconic.load(finished.output, into=model).probe_deviation < 1e-5
    for split, metric in finished.receipts[-1].metric.items():
        assert evaluate(model, finished.task, split) == metric


def test_the_runtime_scores_as_torch_did(finished):
    session = runtime.load(finished.output)
    for split, metric in finished.receipts[-1].metric.items():
        assert score_file(session, finished.task, split) == metric


def test_the_watcher_is_told_of_stages_steps_and_receipts(tmp_path, runner):
    told = []
    watcher = Watcher(
        lambda number, count, stage: told.append((number, count, stage.kind)),
        lambda progress: told.append(f"{progress.epoch}.{progress.step}"),
        lambda receipt: told.append(receipt.kind),
    )
    runner(tmp_path, (FIT, PRUNE), watcher=watcher)
    assert told == [(1, 2, "fit"), "1.1", "1.2", "1.3", "fit", (2, 2, "prune"), "prune"]


def test_a_trained_network_has_a_receipt_of_its_own_before_the_first_stage(tmp_path, runner):
    done = runner(tmp_path, (PRUNE,))
    assert [(r.stage, r.kind, r.arguments) for r in done.receipts] == [
        (0, "given", {}),
        (1, "prune", {"sparsity": 0.75}),
    ]
    assert done.receipts[0].nonzeros == 643
    assert "test" in done.receipts[0].metric


def test_a_run_that_only_trains_reads_the_test_split_once(tmp_path, runner):
    done = runner(tmp_path, (FIT,))
    assert done.task.read.count("test") == 1
    assert sorted(done.receipts[0].metric) == ["test", "validation"]


def test_quantization_aware_training_may_move_a_weight_off_zero(tmp_path, runner):
    """Codes of a uniform grid change in training: zeros that nobody pruned are no promise."""
    stages = (Stage("uniform", {"bits": 2}), Stage("fit", {"epochs": 3, "learning_rate": 0.05}))
    done = runner(tmp_path, stages)
    before, after = (record(receipt, "0.weight") for receipt in done.receipts[1:])
    assert after.distinct <= 3
    assert after.nonzeros > before.nonzeros


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param((FIT, Stage("fit", {"epochs": 0})), id="training for no epoch"),
        pytest.param((FIT, Stage("prune", {"sparsity": 0.0})), id="pruning nothing"),
        pytest.param((PRUNE, Stage("prune", {"sparsity": 0.5})), id="pruning less than before"),
        pytest.param((SHARE, Stage("share", {"bits": 3})), id="sharing twice alike"),
        pytest.param((Stage("uniform", {"bits": 4}),) * 2, id="quantizing twice alike"),
    ],
)
def test_a_stage_that_changes_nothing_stops_the_run(tmp_path, runner, stages):
    with pytest.raises(StageError) as caught:
        runner(tmp_path, stages)
    expected = f"stage 2 ({stages[1].kind}) changed nothing: every value is what it was before"
    assert str(caught.value) == expected
    assert not (tmp_path / "x.lac").exists()


def unrestrict(model: nn.Module) -> None:
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def add_a_little(context) -> None:
    unrestrict(context.model)
    with torch.no_grad():
        context.model[0].weight += 0.01


def move_kept_weights(context) -> None:
    unrestrict(context.model)
    with torch.no_grad():
        weight = context.model[0].weight
        weight += torch.where(weight != 0, torch.linspace(0.01, 0.1, 512).reshape(32, 16), 0.0)


def test_a_stage_that_revives_pruned_weights_stops_the_run(tmp_path, runner, monkeypatch):
    monkeypatch.setitem(STAGES, "revive", add_a_little)
    with pytest.raises(StageError) as caught:
        runner(tmp_path, (PRUNE, SHARE, Stage("revive")))
    assert str(caught.value) == (
        "stage 3 (revive) undid an earlier stage: 384 of the 384 weights of 0.weight that were "
        "held at zero are no longer zero"
    )
    assert [receipt.stage for receipt in read(tmp_path / "run")] == [0, 1, 2]


def test_a_stage_that_leaves_the_grid_stops_the_run(tmp_path, runner, monkeypatch):
    monkeypatch.setitem(STAGES, "drift", move_kept_weights)
    with pytest.raises(StageError) as caught:
        runner(tmp_path, (PRUNE, SHARE, Stage("drift")))
    assert str(caught.value) == (
        "stage 3 (drift) undid an earlier stage: 0.weight took 8 values, now 129 and no grid "
        "holds it"
    )


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        pytest.param(
            Stage("prune", {"sparsity": 0.5, "layers": "fc*"}),
            "stage 2 (prune): no layer matches 'fc*'; the layers are: 0, 2",
            id="layers of pruning",
        ),
        pytest.param(
            Stage("share", {"bits": {"0": 4, "conv*": 2}}),
            "stage 2 (share): no layer matches 'conv*'; the layers are: 0, 2",
            id="a table of sharing",
        ),
    ],
)
def test_a_pattern_without_layers_is_refused_before_any_training(tmp_path, runner, stage, message):
    with pytest.raises(PatternError) as caught:
        runner(tmp_path, (FIT, stage))
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


def test_tables_without_a_layer_in_common_are_refused(tmp_path, runner):
    stage = Stage("uniform", {"bits": {"0": 4}, "axis": {"2": 0}})
    with pytest.raises(UsageError) as caught:
        runner(tmp_path, (stage,))
    assert "stage 1 (uniform): " in str(caught.value)


def test_a_network_that_does_not_fit_the_task_is_refused_before_any_training(tmp_path, runner):
    with pytest.raises(UsageError) as caught:
        runner(tmp_path, (FIT,), model=nn.Linear(5, 3))
    message = str(caught.value)
    assert message.startswith(
        "the network and the task do not fit: (a tensor of shape [32, 16], a tensor of shape [32]) "
        "gives RuntimeError: "
    )
    assert "RuntimeError" in message
    assert ".py, line " in message
    assert list(tmp_path.iterdir()) == []


def test_a_network_with_an_output_too_few_is_refused_before_any_training(tmp_path, runner):
    with pytest.raises(UsageError) as caught:
        runner(tmp_path, (FIT,), model=nn.Linear(16, 2))
    assert "IndexError: Target 2 is out of bounds" in str(caught.value)


class Branching(nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs) if inputs.sum() > 0 else super().forward(-inputs)


def test_a_network_that_no_file_can_hold_is_refused_before_any_training(tmp_path, runner, tiny):
    task = zoo.resolve_task(f"{tiny}:task")
    with pytest.raises(UnsupportedError) as caught:
        runner(tmp_path, (FIT,), model=Branching(16, 3), task=task)
    assert "cannot be exported" in str(caught.value)
    assert "train" not in task.read


class Sorting(nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs).topk(3).values


def test_a_network_that_cannot_be_measured_is_refused_before_any_training(tmp_path, runner, tiny):
    """TopK runs in the native engine, but not in NumPy, where MACs are counted."""
    task = zoo.resolve_task(f"{tiny}:task")
    with pytest.raises(UnsupportedError) as caught:
        runner(tmp_path, (FIT,), model=Sorting(16, 3), task=task)
    assert str(caught.value).startswith("the runtime has no TopK; it has 99 other operators.")
    assert "A recipe measures the network after each stage" in str(caught.value)
    assert "train" not in task.read


class Locked(nn.Linear):
    def __init__(self):
        super().__init__(16, 3)
        self.lock = threading.Lock()


class Noting(nn.Linear):
    def get_extra_state(self):
        return {"note": "hello"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param(Locked(), "the network cannot be copied (TypeError: cannot", id="a lock"),
        pytest.param(
            Noting(16, 3), "_extra_state: a dict in the state dict; a file holds", id="a note"
        ),
    ],
)
def test_a_network_that_cannot_be_kept_is_refused_before_any_training(
    tmp_path, runner, model, message
):
    with pytest.raises(UnsupportedError) as caught:
        runner(tmp_path, (FIT,), model=model)
    assert str(caught.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_lazy_layers_takes_its_shape_from_the_task(tmp_path, runner):
    torch.manual_seed(0)
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(3))
    assert runner(tmp_path, (PRUNE,), model=model).receipts[-1].parameters == 17 * 4 + 5 * 3


def test_a_directory_in_the_place_of_the_file_is_refused_before_anything(tmp_path, runner):
    (tmp_path / "x.lac").mkdir()
    with pytest.raises(UsageError) as caught:
        runner(tmp_path, (FIT,))
    assert not (tmp_path / "run").exists()
    assert str(caught.value) == f"{tmp_path / 'x.lac'} is a directory; name the file to write"


def test_the_folder_of_the_file_is_made(tmp_path, runner):
    assert runner(tmp_path / "a" / "b", (PRUNE,)).output.is_file()


def test_receipts_are_plain_json(finished):
    data = json.loads((finished.run_dir / "receipts.json").read_text())
    assert data[1]["kind"] == "prune"
    assert data[-1]["metric"]["test"] == finished.receipts[-1].metric["test"]
    assert np.isfinite(data[-1]["latency"]["median_ms"])
