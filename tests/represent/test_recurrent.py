"""Chains on the weights of nn.LSTM, nn.GRU and nn.RNN, whose kernels read a list of them."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from laconic import runtime
from laconic.container import LacFile
from laconic.pack import pack
from laconic.prune import Prune
from laconic.quantize import Uniform
from laconic.represent import chains, plain, plain_state, represent, represent_layers, weights
from laconic.share import Share
from laconic.train import ArrayTask, evaluate, fit, load_model, save_model

KINDS = [nn.LSTM, nn.GRU, nn.RNN]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


class Tagger(nn.Module):
    """A recurrent layer of either direction on numbers, and a class for each sequence."""

    def __init__(self, kind=nn.LSTM, **arguments):
        super().__init__()
        self.recurrent = kind(5, 6, batch_first=True, **arguments)
        self.head = nn.Linear(6 * (1 + self.recurrent.bidirectional), 3)

    def forward(self, sequences):
        return self.head(self.recurrent(sequences)[0][:, -1])


def tagger(kind=nn.LSTM, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Tagger(kind, **arguments)


def sequences(count=4, seed=0):
    return torch.randn(count, 7, 5, generator=torch.Generator().manual_seed(seed))


def task():
    inputs = sequences(60)
    labels = inputs[:, -1, :3].argmax(1)
    return ArrayTask(inputs, labels, inputs[:9], labels[:9], validation_fraction=0.2, batch_size=16)


def names(model):
    return [name for name in weights(model) if name.startswith("recurrent")]


def by_hand(model):
    """A network of plain parameters with the values that the chains give."""
    twin = Tagger(
        type(model.recurrent).__mro__[1],
        num_layers=model.recurrent.num_layers,
        bidirectional=model.recurrent.bidirectional,
    )
    twin.load_state_dict(plain_state(model))
    return twin


def prune(model, sparsity=0.75):
    represent_layers(model, {name: Prune(sparsity) for name in names(model)})
    return model


@pytest.mark.parametrize(
    "arguments",
    [{}, {"num_layers": 2}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}],
    ids=["one layer", "two layers", "both directions", "two layers in both directions"],
)
@EVERY_KIND
def test_a_recurrent_layer_computes_with_its_restricted_weights(kind, arguments):
    model = tagger(kind, **arguments)
    dense = model(sequences())
    prune(model)
    outputs = model(sequences())
    assert torch.equal(outputs, by_hand(model)(sequences()))
    assert not torch.allclose(outputs, dense, atol=1e-3)
    assert all(int((weights(model)[n] == 0).sum()) > 0 for n in names(model))


@EVERY_KIND
def test_one_weight_of_several_may_be_restricted(kind):
    model = tagger(kind, num_layers=2)
    represent(model.recurrent, Prune(0.9), "weight_hh_l1")
    assert list(chains(model)) == ["recurrent.weight_hh_l1"]
    assert torch.equal(model(sequences()), by_hand(model)(sequences()))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_a_projection_of_an_lstm_may_be_restricted():
    layer = nn.LSTM(5, 6, proj_size=3)
    represent(layer, Prune(0.5), "weight_hr_l0")
    with torch.no_grad():
        assert torch.equal(layer(sequences())[0], plain(layer)(sequences())[0])
    assert int((plain(layer).weight_hr_l0 == 0).sum()) == 9


def test_a_change_of_the_latent_weight_is_seen_by_the_next_call():
    model = prune(tagger())
    before = model(sequences())
    with torch.no_grad():
        model.recurrent.parametrizations["weight_ih_l0"].original.mul_(2)
    assert not torch.allclose(model(sequences()), before)
    assert torch.equal(model(sequences()), by_hand(model)(sequences()))


def test_a_cached_chain_runs_once_in_a_call():
    model, counted = prune(tagger()), []
    step = model.recurrent.parametrizations["weight_hh_l0"][0]
    step.register_forward_hook(lambda *_: counted.append(1))
    with parametrize.cached():
        model(sequences())
    assert len(counted) == 1
    model(sequences())
    assert len(counted) <= 3


@EVERY_KIND
def test_gradients_reach_the_latent_weights_but_not_what_was_pruned(kind):
    model = prune(tagger(kind))
    twin = by_hand(model)
    for network in (model, twin):
        network(sequences()).square().sum().backward()
    for name in names(model):
        key = name.rpartition(".")[2]
        list_of_steps = model.recurrent.parametrizations[key]
        kept, gradient = list_of_steps[0].mask, list_of_steps.original.grad
        expected = getattr(twin.recurrent, key).grad
        torch.testing.assert_close(gradient, torch.where(kept, expected, 0.0))
        assert bool((gradient != 0).any())


@EVERY_KIND
def test_training_with_zeros_learns_and_keeps_the_zeros(kind):
    model = prune(tagger(kind, num_layers=2))
    zeros = {name: value == 0 for name, value in weights(model).items()}
    before = {name: value.clone() for name, value in weights(model).items()}
    history = fit(model, task(), epochs=15, learning_rate=0.05)
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    for name in names(model):
        assert bool((weights(model)[name][zeros[name]] == 0).all())
        assert not torch.equal(weights(model)[name], before[name])
    assert evaluate(model, task(), "train") == evaluate(by_hand(model), task(), "train")


def test_a_copy_after_training_is_independent():
    """What the last forward pass computed is no leaf, which no copy could hold."""
    model = prune(tagger())
    fit(model, task(), epochs=1)
    model(sequences())
    twin = copy.deepcopy(model)
    assert torch.equal(twin(sequences()), model(sequences()))
    represent(twin.recurrent, Prune(0.95), "weight_hh_l0")
    assert int((weights(model)["recurrent.weight_hh_l0"] == 0).sum()) == 108
    assert torch.equal(twin(sequences()), by_hand(twin)(sequences()))
    assert torch.equal(model(sequences()), by_hand(model)(sequences()))


@EVERY_KIND
def test_the_plain_copy_is_an_ordinary_layer_of_the_same_bits(kind):
    model = prune(tagger(kind, bidirectional=True))
    represent(model.recurrent, Uniform(8), "weight_ih_l0_reverse")
    twin = plain(model)
    assert type(twin.recurrent) is kind
    assert chains(twin) == {}
    with torch.no_grad():  # torch has other kernels where gradients are asked for
        assert torch.equal(twin(sequences()), model.eval()(sequences()))
    twin.recurrent.weight_hh_l0.zero_()
    assert not torch.equal(twin(sequences()), model(sequences()))
    twin.half().float()
    copy.deepcopy(twin)(sequences())


def test_another_dtype_follows():
    model = prune(tagger()).double()
    assert torch.equal(model(sequences().double()), plain(model)(sequences().double()))


def test_chains_that_torch_takes_off_leave_an_ordinary_layer():
    model = prune(tagger())
    expected = model(sequences())
    for name in names(model):
        parametrize.remove_parametrizations(model.recurrent, name.rpartition(".")[2])
    assert torch.equal(model(sequences()), expected)
    with torch.no_grad():
        model.recurrent.weight_ih_l0.zero_()
    assert not torch.equal(model(sequences()), expected)


@EVERY_KIND
def test_a_saved_layer_is_loaded_with_its_chains(kind, tmp_path):
    model, fresh = prune(tagger(kind, num_layers=2)), Tagger(kind, num_layers=2)
    represent(model.recurrent, Share(bits=3), "weight_hh_l0")
    fit(model, task(), epochs=1)
    save_model(tmp_path / "x.safetensors", model)
    load_model(tmp_path / "x.safetensors", fresh)
    assert torch.equal(fresh(sequences()), model(sequences()))
    fit(fresh, task(), epochs=1)
    assert len(plain_state(fresh)["recurrent.weight_hh_l0"].unique()) <= 8


@pytest.mark.parametrize(
    "arguments", [{"num_layers": 2}, {"bidirectional": True}], ids=["two layers", "both directions"]
)
@EVERY_KIND
def test_a_trained_layer_runs_from_its_file_with_its_zeros(kind, arguments, tmp_path):
    model = prune(tagger(kind, **arguments), 0.8)
    fit(model, task(), epochs=1)
    pack(model, tmp_path / "x.lac", example_input=sequences(1))
    with LacFile(tmp_path / "x.lac") as file:
        for name in names(model):
            assert np.array_equal(file.array(name), plain_state(model)[name].numpy())
            assert np.count_nonzero(file.array(name)) == round(0.2 * file.array(name).size)
    session = runtime.load(tmp_path / "x.lac")
    assert session.check_probe() < 1e-4
    (outputs,) = session.run(sequences().numpy())
    with torch.no_grad():
        expected = model.eval()(sequences()).numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
