"""laconic compress, measure and report: a person's own network, task, weights and recipe."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.launching import launch
from torch import nn

from laconic import runtime, zoo
from laconic.cli.compress import load_weights
from laconic.measure import read
from laconic.train.tensor_file import write_tensors


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe; returns its path."""

    def write(*stages: str):
        text = "\n".join(f"[[stage]]\nkind = {stage}" for stage in stages)
        (tmp_path / "r.toml").write_text(text)
        return tmp_path / "r.toml"

    return write


def test_the_example_is_compressed_run_and_measured(laconic, example, tmp_path):
    """The three commands of a person with a network and data of her own."""
    wine, task = tmp_path / "wine.lac", f"{example}:task"
    ended = laconic(
        "compress", f"{example}:model", "--task", task,
        "--recipe", "deep-compression", "-o", wine, "--threads", "1",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    receipts = _check_what_compress_tells(ended, wine)

    inputs, targets = next(zoo.resolve_task(task).batches("test"))
    np.save(tmp_path / "i.npy", inputs.numpy())
    assert laconic("run", wine, tmp_path / "i.npy", tmp_path / "o.npy").code == 0
    wrong = (np.load(tmp_path / "o.npy").argmax(1) != targets.numpy()).mean()
    assert receipts[-1].metric["test"] == pytest.approx(100 * wrong)

    measured = laconic("measure", wine, "--task", task, "--count", "2", "--json").json
    assert [one["file"] for one in measured] == [str(wine)]
    assert measured[0]["metric"] == {"test": receipts[-1].metric["test"]}
    assert measured[0]["nonzeros"] == receipts[-1].nonzeros
    assert measured[0]["latency"]["count"] == 2


def _check_what_compress_tells(ended, wine):
    assert ended.err.count("✓") == 5
    receipts = read(f"{wine}.run")
    assert [receipt.kind for receipt in receipts] == ["fit", "prune", "fit", "share", "fit"]
    size = wine.stat().st_size
    assert receipts[-1].size_bytes == size
    assert receipts[-1].ratio > 5
    report = wine.with_name("wine.lac.run") / "report.html"
    assert report.exists()
    lines = ended.out.splitlines()
    assert lines[-1] == f"{wine}: {size:,} bytes; report: {report}"
    assert "4  share bits=5" in ended.out
    row = next(line.split() for line in lines if line.startswith("error_percent, test"))
    assert row[2:4] == [f"{r.metric['test']:.2f}" for r in (receipts[0], receipts[-1])]
    return receipts


def test_files_are_measured_side_by_side(laconic, files, compressed, tiny):
    dense, pruned = files / "tiny.lac", compressed / "x.lac"
    words = ["measure", dense, pruned, "--task", f"{tiny}:task", "--count", "2"]
    ended = laconic(*words)
    lines = ended.out.splitlines()
    assert lines[0].strip() == f"{tiny}:task, 1 thread"
    assert lines[1].split() == [str(dense), str(pruned), "factor"]
    row = next(line.split() for line in lines if line.startswith("file bytes"))
    sizes = [dense.stat().st_size, pruned.stat().st_size]
    assert row[2:] == [*(f"{size:,}" for size in sizes), f"{sizes[0] / sizes[1]:.1f}×"]
    assert [one["file"] for one in laconic(*words, "--json").json] == [str(dense), str(pruned)]


def test_the_file_that_cannot_be_measured_is_named(laconic, files, tiny):
    good, bad = files / "tiny.lac", files / "weights.lac"
    ended = laconic("measure", good, bad, "--task", f"{tiny}:task", "--count", "1")
    assert (ended.code, ended.out) == (1, "")
    assert "4 tensors and no program" in ended.err
    assert ended.err.endswith(f"\nin {bad}\n")


def test_a_file_beside_itself_stands_twice(laconic, files, tiny):
    path = files / "tiny.lac"
    ended = laconic("measure", path, path, "--task", f"{tiny}:task", "--count", "1", "--json")
    assert [one["file"] for one in ended.json] == [str(path)] * 2


def test_compress_as_json_prints_the_receipts_and_nothing_else(laconic, tiny, recipe, tmp_path):
    ended = laconic(
        "compress", f"{tiny}:model", "--task", f"{tiny}:task", "--json", "--threads", "1",
        "--recipe", recipe('"prune"\nsparsity = 0.5'), "-o", tmp_path / "x.lac",
        "--run-dir", tmp_path / "run",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert ended.json == json.loads((tmp_path / "run" / "receipts.json").read_text())
    assert ended.err == ""


def compress(laconic, tiny, recipe, tmp_path, *more, stages=('"prune"\nsparsity = 0.5',)):
    return laconic(
        "compress", f"{tiny}:model", "--task", f"{tiny}:task", "--threads", "1",
        "--recipe", recipe(*stages), "-o", tmp_path / "x.lac", *more,
    )  # fmt: skip


def test_a_run_starts_from_given_weights(laconic, tiny, recipe, tmp_path):
    state = zoo.resolve_model(f"{tiny}:model").state_dict()
    state["2.bias"] = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float16)
    save_file(state, tmp_path / "w.safetensors")
    ended = compress(laconic, tiny, recipe, tmp_path, "--weights", tmp_path / "w.safetensors")
    assert ended.code == 0, ended.err
    session = runtime.load(tmp_path / "x.lac", engine="numpy")
    assert session.executor.tensors["2.bias"].tolist() == [1.0, 2.0, 3.0]


def drop(state):
    del state["2.bias"]


def add(state):
    state["3.bias"] = torch.ones(3)


def reshape(state):
    state["2.bias"] = torch.ones(4)


def to_integers(state):
    state["2.bias"] = torch.ones(3, dtype=torch.int8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(drop, "the file lacks 2.bias", id="a name missing"),
        pytest.param(add, "the model has no 3.bias", id="a name too many"),
        pytest.param(
            reshape, "2.bias is float32 [4] in the file, float32 [3] in the model", id="a shape"
        ),
        pytest.param(
            to_integers, "2.bias is int8 [3] in the file, float32 [3] in the model", id="integers"
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(laconic, tiny, recipe, tmp_path, change, message):
    state = zoo.resolve_model(f"{tiny}:model").state_dict()
    change(state)
    save_file(state, tmp_path / "w.safetensors")
    ended = compress(laconic, tiny, recipe, tmp_path, "--weights", tmp_path / "w.safetensors")
    assert (ended.code, ended.out) == (1, "")
    assert f"failed: {tmp_path / 'w.safetensors'} does not fit the model: " in ended.err
    assert message in ended.err
    assert not (tmp_path / "x.lac.run").exists()


def test_weights_that_are_no_safetensors_file_are_refused(laconic, tiny, recipe, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\x80\x04pickle")
    ended = compress(laconic, tiny, recipe, tmp_path, "--weights", tmp_path / "w.safetensors")
    assert ended.code == 1
    assert f"{tmp_path / 'w.safetensors'} is no safetensors file: " in ended.err


def test_published_weights_without_counters_of_batchnorm_are_taken(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    state = {name: 7 * value for name, value in model.state_dict().items()}
    del state["1.num_batches_tracked"]
    save_file(state, tmp_path / "w.safetensors")
    load_weights(model, tmp_path / "w.safetensors")
    assert model[1].weight.tolist() == [7.0, 7.0]
    assert int(model[1].num_batches_tracked) == 0


TIED = """
from torch import nn

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 3)
        self.second.weight = self.first.weight

    def forward(self, rows):
        return self.last(self.second(self.first(rows).relu()))
"""


def test_of_tied_weights_a_file_may_hold_one(laconic, tiny, recipe, tmp_path):
    (tmp_path / "tied.py").write_text(TIED)
    state = zoo.resolve_model(f"{tmp_path / 'tied.py'}:Tied").state_dict()
    del state["second.weight"]
    save_file(state, tmp_path / "w.safetensors")
    ended = laconic(
        "compress", f"{tmp_path / 'tied.py'}:Tied", "--task", f"{tiny}:task", "--threads", "1",
        "--recipe", recipe('"prune"\nsparsity = 0.5'), "-o", tmp_path / "x.lac",
        "--weights", tmp_path / "w.safetensors",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert read(tmp_path / "x.lac.run")[-1].parameters == 256 + 16 + 16 + 48 + 3


def test_weights_that_are_not_finite_are_refused(laconic, tiny, recipe, tmp_path):
    state = zoo.resolve_model(f"{tiny}:model").state_dict()
    state["0.weight"][3, 4] = float("nan")
    save_file(state, tmp_path / "w.safetensors")
    ended = compress(laconic, tiny, recipe, tmp_path, "--weights", tmp_path / "w.safetensors")
    assert ended.code == 2
    assert "stage 1 (prune): 0.weight: 1 of 512 values are NaN or infinite" in ended.err


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        pytest.param(['"squash"'], "r.toml, stage 1: no stage is named 'squash'", id="a stage"),
        pytest.param(['"fit"\nepoch = 3'], "fit has no argument 'epoch'", id="an argument"),
        pytest.param(['"fit"\nepochs = "ten"'], "fit: epochs is 'ten'; a whole", id="a type"),
        pytest.param(['"fit"\nepochs = ['], "r.toml is no valid TOML", id="no TOML"),
        pytest.param(
            ['"prune"\nsparsity = 1.2'], "sparsity 1.2 is outside [0, 1)", id="a sparsity of 1.2"
        ),
        pytest.param(
            ['"prune"\nsparsity = 0.5\nlayers = "fc*"'],
            "stage 1 (prune): no layer matches 'fc*'; the layers are: 0, 2",
            id="a pattern",
        ),
    ],
)
def test_a_faulty_recipe_is_wrong_use(laconic, tiny, recipe, tmp_path, stages, message):
    ended = compress(laconic, tiny, recipe, tmp_path, stages=stages)
    assert (ended.code, ended.out) == (2, "")
    assert "wrong use: " in ended.err
    assert message in ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.toml"]


NAMES = {
    "an unknown model of the zoo": ({"MODEL": "zoo:lenet6"}, "the zoo has no model 'lenet6'"),
    "a model without a file": ({"MODEL": "nowhere.py:model"}, "there is no file nowhere.py"),
    "a model that the file lacks": ({"MODEL": "TINY:network"}, "there is no 'network'; it defines"),
    "a task for a model": ({"MODEL": "TINY:task"}, "gives a TinyTask, not a network"),
    "an unknown task": ({"TASK": "zoo:numbers"}, "the zoo has no task 'numbers'"),
    "a model for a task": ({"TASK": "TINY:model"}, "gives a Sequential, which is no task"),
    "an unknown recipe": ({"RECIPE": "shrink"}, "shrink: neither a readable TOML file nor a built"),
    "a model with an output too few": (
        {"MODEL": "TINY:narrow_model"}, "the network and the task do not fit: ",
    ),
    "a model of other inputs": ({"MODEL": "zoo:lenet5"}, "the network and the task do not fit: "),
}  # fmt: skip


@pytest.mark.parametrize(("names", "message"), NAMES.values(), ids=NAMES.keys())
def test_a_faulty_name_is_wrong_use(laconic, tiny, tmp_path, names, message):
    chosen = {"MODEL": "TINY:model", "TASK": "TINY:task", "RECIPE": "deep-compression", **names}
    words = {key: value.replace("TINY", str(tiny)) for key, value in chosen.items()}
    ended = laconic(
        "compress", words["MODEL"], "--task", words["TASK"], "--recipe", words["RECIPE"],
        "-o", tmp_path / "x.lac",
    )  # fmt: skip
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_a_run_needs_resume(laconic, compressed, tiny):
    words = [
        "compress", f"{tiny}:model", "--task", f"{tiny}:task", "--threads", "1",
        "--recipe", compressed / "r.toml", "-o", compressed / "x.lac",
    ]  # fmt: skip
    ended = laconic(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "holds a run already; pass --resume to go on with it" in ended.err
    before = (compressed / "x.lac").read_bytes()
    assert laconic(*words, "--resume").code == 0
    assert (compressed / "x.lac").read_bytes() == before
    words[1] = f"{tiny}:other_model"
    ended = laconic(*words, "--resume")
    assert ended.code == 2
    assert f"model was '{tiny}:model', now '{tiny}:other_model'" in ended.err


def test_a_damaged_run_directory_is_a_failure(laconic, tiny, recipe, tmp_path):
    (tmp_path / "x.lac.run").mkdir()
    (tmp_path / "x.lac.run" / "run.json").write_text("{")
    ended = compress(laconic, tiny, recipe, tmp_path, "--resume")
    assert (ended.code, ended.out) == (1, "")
    assert "run.json is damaged" in ended.err


def test_the_report_is_made_again(laconic, compressed, tmp_path):
    run_dir = compressed / "x.lac.run"
    ended = laconic("report", run_dir, "-o", tmp_path / "r.html")
    size = (tmp_path / "r.html").stat().st_size
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'r.html'}: {size:,} bytes\n")
    assert (tmp_path / "r.html").read_text() == (run_dir / "report.html").read_text()
    assert laconic("report", run_dir, "--json").json == {"report": str(run_dir / "report.html")}


def test_a_report_of_no_run_is_a_failure(laconic, tmp_path):
    ended = laconic("report", tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert f"is {tmp_path} a run directory?" in ended.err


def test_a_stage_file_can_not_be_taken_for_weights_of_the_model(laconic, tiny, recipe, tmp_path):
    write_tensors(
        tmp_path / "w.safetensors", {"0.parametrizations.weight.original": torch.ones(2)}, {}
    )
    ended = compress(laconic, tiny, recipe, tmp_path, "--weights", tmp_path / "w.safetensors")
    assert ended.code == 1
    assert "the file lacks 0.weight, 0.bias, 2.weight, 2.bias" in ended.err


@pytest.mark.slow
def test_of_two_processes_the_first_alone_speaks(tiny, recipe, tmp_path):
    words = [
        "compress", f"{tiny}:model", "--task", f"{tiny}:task", "--threads", "1", "--json",
        "--recipe", str(recipe('"prune"\nsparsity = 0.5')), "-o", str(tmp_path / "x.lac"),
    ]  # fmt: skip
    done = launch("-m", "laconic", *words)
    assert [receipt["kind"] for receipt in json.loads(done.stdout)] == ["given", "prune"]
    assert (tmp_path / "x.lac").exists()


@pytest.mark.slow
def test_the_demo_shrinks_lenet5_thirtyfold_and_keeps_its_accuracy(laconic, tmp_path):
    ended = laconic("demo", "-o", tmp_path / "demo", "--json")
    assert ended.code == 0, ended.err
    dense, packed = ended.json["dense"], ended.json["packed"]
    assert packed["float32_bytes"] >= 30 * packed["size_bytes"]
    assert packed["metric"]["test"] <= dense["metric"]["test"] + 0.5
    assert ended.json["outside"]["error_percent"] == pytest.approx(packed["metric"]["test"])
    assert ended.json["outside"]["torch"] is False
    assert (tmp_path / "demo" / "run" / "report.html").exists()


def test_without_a_recipe_the_smallest_file_that_keeps_the_metric(laconic, tiny, tmp_path):
    out = tmp_path / "x.lac"
    ended = laconic(
        "compress", f"{tiny}:model", "--task", f"{tiny}:task", "--drop", "1", "-o", out, "--json"
    )
    assert ended.code == 0, ended.err
    dense, last = (ended.json[place] for place in (0, -1))
    assert last["kind"] == "smallest"
    assert last["metric"]["validation"] <= dense["metric"]["validation"] + 1
    assert last["size_bytes"] == out.stat().st_size < dense["size_bytes"] / 2


def test_without_data_outputs_on_random_inputs_are_kept(laconic, tiny, tmp_path):
    out = tmp_path / "x.lac"
    ended = laconic(
        "compress", f"{tiny}:model", "--data-free", "--shape", "16", "--drop", "1", "-o", out,
        "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    last = ended.json[-1]
    assert last["metric_name"] == "output_error_percent"
    assert 0 < last["metric"]["validation"] <= 1
    assert last["metric"]["test"] < 2
    assert last["size_bytes"] == out.stat().st_size


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "t", "--recipe", "demo", "--drop", "1"], "a recipe says what is done"),
        ([], "give --task, or --data-free with --shape"),
        (["--task", "t", "--data-free", "--shape", "16"], "give --task, or --data-free with"),
        (["--data-free"], "--shape and --data-free belong together"),
        (["--task", "t", "--shape", "16"], "--shape and --data-free belong together"),
        (["--data-free", "--shape", "3,x"], "--shape 3,x is no list of sizes such as 3,32,32"),
        (["--data-free", "--shape", "16", "--finetune", "1"], "--finetune trains on the data"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_words_that_contradict_each_other_are_refused(laconic, tiny, tmp_path, words, message):
    ended = laconic("compress", f"{tiny}:model", "-o", tmp_path / "x.lac", *words)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
