"""The stage that learns which neurons, filters and layers are needed."""

import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from laconic.errors import PatternError, StageError, UnsupportedError, UsageError
from laconic.recipe import Stage, Watcher
from laconic.recipe.architecture import _check_called
from laconic.represent import represent
from laconic.share import Share
from laconic.surgery import Groups
from laconic.train import load_model


class Stopped(BaseException):
    """Stands for a kill."""


def stop_inside(epoch):
    def on_progress(progress):
        if (progress.epoch, progress.step) == (epoch, 2):
            raise Stopped

    return Watcher(on_progress=on_progress)


def deep():
    layers = [nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 3)]
    return nn.Sequential(*layers)


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


def learn(**changes):
    given = {
        "epochs": 20, "layers": "0", "merge": ["2"], "start": 0.6, "speed": 3.0, "binary_w": 0.01,
        "width": 0.004, "learning_rate": 0.01,
    }  # fmt: skip
    return Stage("learn-architecture", given | changes)


MORE = Stage("fit", {"epochs": 1})


def test_neurons_and_a_layer_go_and_ordinary_smaller_layers_stay(tmp_path, runner):
    done = runner(tmp_path, (learn(), MORE), model=seeded(deep))
    first, *between, last = done.model
    assert first.out_features == last.in_features < 24
    assert [type(module) for module in between] == [nn.ReLU, nn.Identity, nn.Identity]
    assert sorted(done.model.state_dict()) == ["0.bias", "0.weight", "4.bias", "4.weight"]
    given, learned = done.receipts[:2]
    assert learned.parameters == 16 * first.out_features + 4 * first.out_features + 3
    assert learned.size_bytes < 0.7 * given.size_bytes
    assert learned.metric["validation"] <= 10.0


def test_what_was_learned_computes_the_same_before_and_after_neurons_and_layers_go(
    tmp_path, runner, monkeypatch
):
    """Once w and d of the losers have arrived at 0 and 1, nothing changes but the shapes."""
    module = sys.modules["laconic.recipe.architecture"]
    examples = torch.randn(40, 16, generator=torch.Generator().manual_seed(1))
    seen = {}

    def train_and_look(context, *arguments, **named):
        original(context, *arguments, **named)
        gate, slope = context.model[0].gate, context.model[3]
        with torch.no_grad():
            gate.w[:7] = 0.0
            gate.w[7:].clamp_(min=0.5)
            slope.d.fill_(1.0)
            seen["outputs"] = context.model.eval()(examples)

    original = module.train
    monkeypatch.setattr(module, "train", train_and_look)
    done = runner(tmp_path, (learn(epochs=1),), model=seeded(deep))
    assert done.model[0].out_features == 17
    with torch.no_grad():
        torch.testing.assert_close(done.model(examples), seen["outputs"], rtol=1e-4, atol=1e-5)


def test_a_killed_stage_goes_on_to_the_same_file(tmp_path, runner):
    stages = (learn(), MORE)
    whole = runner(tmp_path / "whole", stages, model=seeded(deep))
    with pytest.raises(Stopped):
        runner(tmp_path / "killed", stages, model=seeded(deep), watcher=stop_inside(15))
    again = runner(tmp_path / "killed", stages, model=seeded(deep), resume=True)
    assert again.output.read_bytes() == whole.output.read_bytes()


def test_a_run_goes_on_behind_the_stage(tmp_path, runner):
    """The saved network has the merged layer; a fresh one gets it from the kept cuts."""
    done = runner(tmp_path, (learn(), MORE), model=seeded(deep))
    fresh = deep()
    load_model(done.run_dir / "stage-2.safetensors", fresh)
    examples = torch.randn(5, 16)
    assert torch.equal(fresh.eval()(examples), done.model.eval()(examples))


class Functional(nn.Module):
    """A filter bank and a hidden layer whose ReLUs are functions."""

    def __init__(self):
        super().__init__()
        self.conv, self.hidden, self.last = nn.Conv2d(1, 8, 2), nn.Linear(72, 20), nn.Linear(20, 3)

    def forward(self, rows):
        maps = functional.relu(self.conv(rows.reshape(-1, 1, 4, 4)))
        return self.last(functional.relu(self.hidden(maps.flatten(1))))


def test_filters_and_neurons_go_where_activations_are_functions(tmp_path, runner):
    stage = learn(layers=["conv", "hidden"], merge=["hidden"])
    with pytest.raises(UnsupportedError, match=r"hidden: a layer merges .*functional.relu leaves"):
        runner(tmp_path / "refused", (stage,), model=seeded(Functional))
    arguments = {k: v for k, v in stage.arguments.items() if k != "merge"}
    done = runner(tmp_path, (Stage(stage.kind, arguments),), model=seeded(Functional))
    model = done.model
    assert model.hidden.in_features == 9 * model.conv.out_channels
    assert model.conv.out_channels + model.hidden.out_features < 28


def test_layers_that_do_not_count_are_kept(tmp_path, runner):
    """λ₄ = 0 and λ₂ large: d stays where it began, at ReLU."""
    done = runner(tmp_path, (learn(depth=0.0, binary_d=1.0), MORE), model=seeded(deep))
    assert isinstance(done.model[3], nn.ReLU)
    assert done.model[2].out_features == 12


class Shortcut(nn.Module):
    """What the first of two linear layers gives is read twice."""

    def __init__(self):
        super().__init__()
        self.before, self.first = nn.Linear(16, 8), nn.Linear(8, 3)
        self.relu, self.last = nn.ReLU(), nn.Linear(3, 3)

    def forward(self, rows):
        hidden = self.first(torch.relu(self.before(rows)))
        return self.last(self.relu(hidden)) + hidden


def normed():
    return nn.Sequential(nn.Linear(16, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 3))


class Residual(nn.Module):
    """Two layers whose neurons are added."""

    def __init__(self):
        super().__init__()
        self.first, self.other, self.last = nn.Linear(16, 8), nn.Linear(16, 8), nn.Linear(8, 3)

    def forward(self, rows):
        return self.last(torch.relu(self.first(rows) + self.other(rows)))


def shared():
    model = deep()
    represent(model[0], Share(bits=3))
    return model


def recurrent():
    return nn.Sequential(nn.Unflatten(1, (4, 4)), Last(), nn.Linear(6, 3))


class Last(nn.Module):
    """What an LSTM gives at the end."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)

    def forward(self, sequence):
        return self.lstm(sequence)[0][:, -1]


class ByHand(nn.Module):
    """A hidden layer that is called, and whose weight the network takes itself, so many times."""

    def __init__(self, calls, takes):
        super().__init__()
        self.hidden, self.last = nn.Linear(16, 12, bias=False), nn.Linear(12, 3)
        self.calls, self.takes = calls, takes

    def forward(self, rows):
        found = [self.hidden(rows) for _ in range(self.calls)]
        found += [functional.linear(rows, self.hidden.weight) for _ in range(self.takes)]
        return self.last(torch.relu(sum(found)))


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.hidden, self.other = nn.Linear(16, 12, bias=False), nn.Linear(16, 12, bias=False)
        self.other.weight, self.last = self.hidden.weight, nn.Linear(12, 3)

    def forward(self, rows):
        return self.last(torch.relu(self.other(rows) + self.hidden(rows)))


def check_gates(model):
    example = torch.zeros(1, 16)
    return _check_called(model, example, Groups(model, example), {"hidden": "hidden"})


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        pytest.param(lambda: ByHand(0, 1), "0 of the 1 uses", id="a layer that is never called"),
        pytest.param(lambda: ByHand(1, 1), "1 of the 2 uses", id="a weight that is taken as well"),
        pytest.param(Tied, "1 of the 2 uses", id="a weight of two layers"),
    ],
)
def test_a_gate_that_does_not_see_all_of_its_layer_is_refused(make, seen):
    """Its w, learned from the penalty or from a part, would be multiplied into all."""
    with pytest.raises(UnsupportedError, match=f"hidden: its gate would see {seen} of its weight"):
        check_gates(seeded(make))


@pytest.mark.parametrize("calls", [1, 2])
def test_a_gate_sees_every_call_of_its_layer(calls):
    check_gates(seeded(lambda: ByHand(calls, 0)))


def test_a_layer_without_calls_is_refused_before_training(tmp_path, runner, monkeypatch):
    monkeypatch.setattr(sys.modules["laconic.recipe.architecture"], "train", None)
    arguments = {k: v for k, v in learn(layers="hidden").arguments.items() if k != "merge"}
    stages = (Stage("learn-architecture", arguments),)
    with pytest.raises(UnsupportedError, match="hidden: its gate would see 0 of the 1 uses"):
        runner(tmp_path, stages, model=seeded(lambda: ByHand(0, 1)))


@pytest.mark.parametrize(
    ("make", "changes", "error", "message"),
    [
        (deep, {"width": 1.0}, StageError, r"0: all its 24 units have w below 0.5; lower width"),
        (deep, {"layers": "9"}, PatternError, r"stage 1 \(learn-architecture\): no layer matches"),
        (deep, {"merge": ["9"]}, PatternError, "no layer matches '9'"),
        (deep, {"merge": ["4"]}, UnsupportedError, "4: a layer merges into the next where"),
        (normed, {"merge": ["0"]}, UnsupportedError, "0: the BatchNorm behind it takes back"),
        (Residual, {"layers": "first", "merge": ["first"]}, UnsupportedError,
         r"channels are those of 2 layers \(first, other\); a gate is for one"),
        (recurrent, {"layers": "1.lstm", "merge": ["2"]}, UnsupportedError, "1.lstm"),
        (shared, {}, UnsupportedError, r"0 is on the grid Share.*; learn the architecture before"),
    ],
)  # fmt: skip
def test_what_a_network_cannot_give_is_refused(tmp_path, runner, make, changes, error, message):
    with pytest.raises(error, match=message):
        runner(tmp_path, (learn(epochs=2, **changes),), model=seeded(make))


def test_a_layer_that_is_read_elsewhere_does_not_merge(tmp_path, runner):
    stage = learn(layers="before", merge=["first"], depth=1.0, width=0.0, start=1.0)
    with pytest.raises(UnsupportedError, match="first and last are not one layer: merged, the out"):
        runner(tmp_path, (stage,), model=seeded(Shortcut))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0; learning w and d needs 1 or more"),
        ({"start": 0.0}, "start is 0; w begins above 0"),
        ({"start": 1.5}, "start is 1.5; w begins above 0 and not above 1"),
        ({"speed": 0.0}, "speed is 0; a positive number is needed"),
        ({"width": -0.1}, "width is -0.1; a strength is 0 or more"),
        ({"optimizer": "x"}, "no optimizer is named 'x'"),
    ],
)
def test_arguments_are_refused_before_there_is_a_network(changes, message):
    with pytest.raises(UsageError, match=message):
        learn(**changes)
