"""Half-done trainings go on as if nothing had happened; whole models come back."""

import json
import struct

import pytest
import torch
from tests.train.conftest import blobs_task, small_network
from torch import nn

from laconic.errors import DataError, LaconicError, MismatchError, StageError
from laconic.prune import Prune
from laconic.quantize import Affine
from laconic.represent import description, represent, represent_layers
from laconic.share import Share
from laconic.train import Objective, Progress, fit, load_model, save_model
from laconic.train.tensor_file import read_tensors, write_tensors


class Killed(BaseException):
    """Stands for a signal."""


def killer(epoch: int, step: int):
    def on_progress(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (epoch, step):
            raise Killed

    return on_progress


def prepared() -> nn.Sequential:
    """Pruned and shared in the first layer, on a grid in the last."""
    network = small_network()
    represent(network[0], Prune(0.5))
    represent(network[0], Share(bits=3))
    represent(network[3], Affine(bits=4, axis=0))
    return network


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_a_killed_training_resumes_to_the_same_bits(tmp_path, optimizer, epoch):
    arguments = {"epochs": 4, "learning_rate": 0.01, "schedule": "cosine", "optimizer": optimizer}
    torch.set_num_threads(1)
    undisturbed = prepared()
    expected = fit(undisturbed, blobs_task(), **arguments)

    path = tmp_path / "stage.safetensors"
    with pytest.raises(Killed):
        fit(prepared(), blobs_task(), checkpoint=path, on_progress=killer(epoch, 7), **arguments)
    assert path.exists() == (epoch > 1)
    resumed, seen = prepared(), []
    history = fit(resumed, blobs_task(), checkpoint=path, on_progress=seen.append, **arguments)

    assert (seen[0].epoch, seen[0].resumed_epochs) == (epoch, epoch - 1)
    assert [r["epoch"] for r in history] == [1, 2, 3, 4]
    assert [r["loss"] for r in history] == [r["loss"] for r in expected]
    for key, value in undisturbed.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_a_finished_training_is_not_repeated(tmp_path):
    path = tmp_path / "stage.safetensors"
    first, second, seen = prepared(), prepared(), []
    history = fit(first, blobs_task(), epochs=2, checkpoint=path)
    again = fit(second, blobs_task(), epochs=2, checkpoint=path, on_progress=seen.append)
    assert (again, seen) == (history, [])
    assert torch.equal(first[0].weight, second[0].weight)


def test_a_checkpoint_does_not_change_the_training(tmp_path):
    first, second = prepared(), prepared()
    fit(first, blobs_task(), epochs=2, checkpoint=tmp_path / "stage.safetensors")
    fit(second, blobs_task(), epochs=2)
    assert torch.equal(first[0].weight, second[0].weight)
    assert [path.name for path in tmp_path.iterdir()] == ["stage.safetensors"]


class Scaled(Objective):
    def __init__(self, factor):
        self.factor = factor

    @property
    def configuration(self):
        return {"factor": self.factor}

    def loss(self, model, inputs, outputs, targets, task):
        return self.factor * task.loss(outputs, targets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 3}, "epochs is 3 but was 2;"),
        ({"learning_rate": 0.1}, "learning_rate is 0.1 but was 0.001;"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd' but was 'adam';"),
        ({"betas": (0.8, 0.9)}, r"options is {'betas': \[0.8, 0.9\]} but was {};"),
        ({"seed": 1}, "seed is 1 but was 0;"),
        ({"objective": Scaled(2)}, r"objective is {'kind': 'Scaled', 'factor': 2} but was"),
        ({"seed": 1, "schedule": "step"}, "schedule is 'step' but was 'constant'; seed is 1 but"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, change, message):
    path = tmp_path / "stage.safetensors"
    fit(prepared(), blobs_task(), epochs=2, checkpoint=path)
    content = path.read_bytes()
    with pytest.raises(StageError, match=message):
        fit(prepared(), blobs_task(), **({"epochs": 2} | change), checkpoint=path)
    assert path.read_bytes() == content


def test_a_checkpoint_of_other_chains_is_refused(tmp_path):
    path = tmp_path / "stage.safetensors"
    fit(prepared(), blobs_task(), epochs=1, checkpoint=path)
    with pytest.raises(StageError, match=r"chains is {} but was {'0.weight': .*'sparsity': 0.5"):
        fit(small_network(), blobs_task(), epochs=1, checkpoint=path)


def test_a_checkpoint_of_another_batch_size_is_refused(tmp_path):
    path = tmp_path / "stage.safetensors"
    fit(prepared(), blobs_task(), epochs=1, checkpoint=path)
    with pytest.raises(StageError, match="steps is 5 but was 10"):
        fit(prepared(), blobs_task(batch_size=32), epochs=1, checkpoint=path)


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    path = tmp_path / "stage.safetensors"
    fit(nn.Linear(8, 3), blobs_task(), epochs=1, checkpoint=path)
    with pytest.raises(MismatchError, match="does not fit the model"):
        fit(nn.Linear(8, 4), blobs_task(), epochs=1, checkpoint=path)


def test_the_checkpoint_is_safetensors_and_holds_tied_weights_once(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.last = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
            self.two.weight = self.one.weight

        def forward(self, inputs):
            return self.last(torch.relu(self.two(torch.relu(self.one(inputs)))))

    path = tmp_path / "stage.safetensors"
    model = Tied()
    represent_layers(model, {"one.weight": Prune(0.5)})
    fit(model, blobs_task(), epochs=1, checkpoint=path)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    latents = [key for key in header if key.endswith("weight.original") and key[:5] == "model"]
    assert latents == ["model.one.parametrizations.weight.original"]
    resumed = Tied()
    represent_layers(resumed, {"one.weight": Prune(0.5)})
    fit(resumed, blobs_task(), epochs=1, checkpoint=path)
    assert torch.equal(resumed.two.weight, model.two.weight)


def small_file(tmp_path):
    path = tmp_path / "small.safetensors"
    tensors = {"a": torch.arange(3.0), "b": torch.tensor([True, False]), "c": torch.ones(())}
    write_tensors(path, tensors | {"d": tensors["a"]}, {"history": [1]})
    return path


def test_tensors_come_back_with_their_names_ties_and_description(tmp_path):
    tensors, about = read_tensors(small_file(tmp_path))
    assert about == {"history": [1]}
    assert tensors["d"] is tensors["a"]
    assert tensors["a"].tolist() == [0.0, 1.0, 2.0]
    assert tensors["b"].tolist() == [True, False]
    assert tensors["c"].shape == ()


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = small_file(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="damaged"):
            read_tensors(path)


def test_a_bit_flipped_anywhere_is_refused(tmp_path):
    path = small_file(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            read_tensors(path)
        except DataError:
            continue
        raise AssertionError(f"byte {place} ({whole[place : place + 1]!r}) was flipped unseen")


def test_a_damaged_checkpoint_stops_the_training(tmp_path):
    path = tmp_path / "stage.safetensors"
    fit(prepared(), blobs_task(), epochs=1, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"stage.safetensors is no file .*delete it to start again"):
        fit(prepared(), blobs_task(), epochs=1, checkpoint=path)


def test_a_pickle_is_refused(tmp_path):
    path = tmp_path / "stage.safetensors"
    torch.save({"a": 1}, path)
    with pytest.raises(DataError):
        fit(prepared(), blobs_task(), epochs=1, checkpoint=path)


def test_a_model_and_a_half_done_training_are_not_mixed_up(tmp_path):
    path = tmp_path / "file.safetensors"
    save_model(path, prepared())
    with pytest.raises(DataError, match="holds a model, not a half-done training"):
        fit(prepared(), blobs_task(), epochs=1, checkpoint=path)
    path.unlink()
    fit(prepared(), blobs_task(), epochs=1, checkpoint=path)
    with pytest.raises(DataError, match="holds a half-done training, not a model"):
        load_model(path, small_network())


def test_a_model_comes_back_with_its_chains_and_trains_on(tmp_path):
    path = tmp_path / "model.safetensors"
    saved, fresh = prepared(), small_network(seed=1)
    fit(saved, blobs_task(), epochs=1, learning_rate=0.01)
    save_model(path, saved)
    load_model(path, fresh)
    assert description(fresh) == description(saved)
    fit(saved, blobs_task(), epochs=1)
    fit(fresh, blobs_task(), epochs=1)
    for key, value in saved.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[key]), key


class Pair(nn.Module):
    """Two layers of one shape, tied or not."""

    def __init__(self, tied):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        if tied:
            self.two.weight = self.one.weight


@pytest.mark.parametrize("fresh_is_tied", [True, False], ids=["tied by its class", "not tied"])
@pytest.mark.parametrize("pruned", [True, False], ids=["pruned", "dense"])
def test_tied_weights_are_tied_again(tmp_path, fresh_is_tied, pruned):
    path = tmp_path / "model.safetensors"
    saved, fresh = Pair(tied=True), Pair(tied=fresh_is_tied)
    if pruned:
        represent_layers(saved, {"one.weight": Prune(0.5)})
    save_model(path, saved)
    load_model(path, fresh)
    assert torch.equal(fresh.two.weight, saved.two.weight)
    names = [name for name, _ in fresh.named_parameters() if "weight" in name]
    assert len(names) == 1


def test_a_model_that_ties_what_was_not_tied_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, Pair(tied=False))
    with pytest.raises(MismatchError, match=r"one.weight and two.weight are two there but tied"):
        load_model(path, Pair(tied=True))


@pytest.mark.parametrize(
    ("fresh", "message"),
    [
        (lambda: nn.Linear(4, 3), "size mismatch for weight"),
        (lambda: nn.Linear(4, 4, bias=False), "Unexpected key"),
        (lambda: nn.Linear(4, 4).half(), "weight is torch.float32 there but torch.float16 in the"),
        (lambda: nn.Sequential(nn.Linear(4, 4)), "Missing key"),
    ],
    ids=["another shape", "a missing bias", "another dtype", "other names"],
)
def test_a_model_that_does_not_fit_is_refused(tmp_path, fresh, message):
    path = tmp_path / "model.safetensors"
    save_model(path, nn.Linear(4, 4))
    with pytest.raises(MismatchError, match=message):
        load_model(path, fresh())


def test_a_model_with_chains_is_not_fresh(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, prepared())
    with pytest.raises(MismatchError, match=r"0\.weight has a chain already"):
        load_model(path, prepared())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none.safetensors: there is no such file"):
        load_model(tmp_path / "none.safetensors", small_network())


def test_a_step_that_nobody_knows_is_named(tmp_path):
    class Stranger(Prune):
        pass

    path = tmp_path / "model.safetensors"
    model = small_network()
    represent(model[0], Stranger(0.5))
    save_model(path, model)
    with pytest.raises(LaconicError, match="no step 'Stranger'"):
        load_model(path, small_network())
