"""Learned masks on weights that stand still."""

import copy
import json
import os

import numpy as np
import pytest
import torch
from tests.train.conftest import blobs_task, small_network
from torch import nn

from laconic import zoo
from laconic.container import LacFile
from laconic.pack import pack
from laconic.prune import Draw, Prune, Supermask, settle, supermasks
from laconic.represent import latents, represent, represent_layers, weights
from laconic.train import evaluate, fit
from laconic.zoo.tasks import mnist


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def learn(model, epochs=5, seed=3, task=None, **given):
    represent_layers(model, {name: Supermask() for name in weights(model)})
    scores = [step.scores for step in supermasks(model)]
    for parameter in model.parameters():
        parameter.requires_grad_(any(parameter is score for score in scores))
    given = {"learning_rate": 0.1, "schedule": "cosine", "callbacks": [Draw(seed)]} | given
    return fit(model, task or blobs_task(), epochs=epochs, **given)


def test_at_first_everything_is_kept_with_the_magnitude_of_the_layer():
    weight, step = gaussian(20, 30), Supermask()
    step.fit(weight)
    torch.testing.assert_close(step(weight), weight.sign() * weight.square().mean().sqrt())


def test_the_fewer_are_kept_the_larger_they_are():
    """Dynamic rescale: the sum of magnitudes stays."""
    weight, step = gaussian(20, 30), Supermask()
    step.fit(weight)
    whole = step(weight).abs().sum()
    with torch.no_grad():
        step.scores[5:] = -1.0
    assert int((step(weight) != 0).sum()) == 150
    torch.testing.assert_close(step(weight).abs().sum(), whole)


def test_the_gradient_of_a_score_is_that_of_its_probability():
    """Straight through: as if the weight were σ(s) · sign(w) · α, α held fixed."""
    weight, step = gaussian(6, 5).requires_grad_(), Supermask()
    step.fit(weight.detach())
    with torch.no_grad():
        step.scores.copy_(gaussian(6, 5, seed=1))
    direction = gaussian(6, 5, seed=2)
    (step(weight) * direction).sum().backward()
    scores = step.scores.detach().clone().requires_grad_()
    expected = torch.sigmoid(scores) * weight.detach().sign() * step.scale
    (expected * direction).sum().backward()
    torch.testing.assert_close(step.scores.grad, scores.grad)
    assert weight.grad is None


def test_draws_follow_the_probabilities_and_differ_from_step_to_step():
    model = nn.Linear(100, 100)
    represent(model, Supermask())
    (step,) = supermasks(model)
    with torch.no_grad():
        step.scores.copy_(torch.logit(torch.linspace(0.02, 0.98, 100)).expand(100, 100))
    counts, seen = torch.zeros(100), set()

    class Moment:
        step = 0

    for number in range(30):
        Moment.step = number
        Draw(7).before_step(model, Moment)
        counts += (model.weight != 0).sum(0)
        seen.add(hash(step.drawn.numpy().tobytes()))
    assert len(seen) == 30
    last = step.drawn
    torch.manual_seed(123)  # as another process, or one that was killed, may have it
    Draw(7).before_step(model, Moment)
    assert torch.equal(step.drawn, last)
    Draw(8).before_step(model, Moment)
    assert not torch.equal(step.drawn, last)
    assert (counts / 3000 - torch.linspace(0.02, 0.98, 100)).abs().max() < 0.05
    Draw(7).after_step(model, Moment)
    assert bool((model.weight[:, 60:] != 0).all())
    assert not model.weight[:, :40].any()


def test_evaluation_never_sees_a_draw():
    model = nn.Linear(10, 10)
    represent(model, Supermask())

    class Moment:
        step = 0

    Draw(7).before_step(model, Moment)
    assert 20 < int((model.weight == 0).sum()) < 80
    model.eval()
    assert int((model.weight == 0).sum()) == 0


def test_settling_keeps_what_one_draw_keeps_and_leaves_decided_places():
    model = nn.Linear(100, 100)
    represent(model, Supermask())
    (step,) = supermasks(model)
    with torch.no_grad():
        step.scores[:50] = 0
        step.scores[50:75] = 20
        step.scores[75:] = -torch.inf
    other = copy.deepcopy(model)
    settle(model, 3)
    kept = step.kept
    assert 0.45 < kept[:50].float().mean() < 0.55
    assert bool(kept[50:75].all())
    assert not kept[75:].any()
    settle(other, 4)
    assert 2000 < int((supermasks(other)[0].kept == kept)[:50].sum()) < 3000
    settle(model, 4)
    assert torch.equal(step.kept, kept)


def test_a_settled_mask_survives_training_and_decay():
    model = small_network()
    represent(model[0], Prune(0.5))  # whose scores are minus infinity
    learn(model, epochs=2)
    settle(model, 3)
    before = {name: value.clone() for name, value in weights(model).items()}
    bias = model[0].bias.detach().clone()
    model.requires_grad_(True)
    fit(model, blobs_task(), epochs=2, learning_rate=0.1, optimizer="sgd", weight_decay=0.1)
    for name, value in weights(model).items():
        assert torch.equal(value, before[name]), name
    assert not torch.equal(model[0].bias, bias)


def test_scores_alone_learn_the_task():
    model = small_network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    untrained = evaluate(model, blobs_task(), "validation")
    history = learn(model, epochs=20)
    for name, value in before.items():
        name = name.replace("weight", "parametrizations.weight.original")
        assert torch.equal(model.state_dict()[name], value), name
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert evaluate(model, blobs_task(), "validation") < 0.5 * untrained
    assert 0.1 < (model[0].weight == 0).float().mean() < 0.9


def test_zeros_of_an_earlier_mask_never_come_back():
    model = small_network()
    represent(model[0], Prune(0.5))
    gone = model[0].weight == 0
    learn(model)
    assert not model[0].weight[gone].any()
    assert bool((supermasks(model)[0].scores[gone] == -torch.inf).all())


class Stopped(BaseException):
    pass


def test_a_training_that_was_killed_learns_the_same_mask(tmp_path):
    def stop(progress):
        if (progress.epoch, progress.step) == (3, 5):
            raise Stopped

    expected, found = small_network(), small_network()
    learn(expected)
    with pytest.raises(Stopped):
        learn(small_network(), checkpoint=tmp_path / "c", on_progress=stop)
    learn(found, checkpoint=tmp_path / "c")
    for one, other in zip(supermasks(expected), supermasks(found), strict=True):
        assert torch.equal(one.scores, other.scores)


def test_a_file_holds_it_in_less_than_two_bits_a_weight(tmp_path):
    model = nn.Linear(100, 100, bias=False)
    represent(model, Supermask())
    with torch.no_grad():
        supermasks(model)[0].scores.copy_(gaussian(100, 100))
    model.eval()
    size = pack(model, tmp_path / "x.lac", program=False)
    assert size < 10_000 * 2 / 8
    with LacFile(tmp_path / "x.lac") as file:
        assert file.stored("weight").grid == "uniform"
        assert np.array_equal(file.array("weight"), model.weight.detach().numpy())


def test_the_configuration_is_plain_json():
    assert json.loads(json.dumps(Draw(5).configuration)) == {"seed": 5}


def lenet_300():
    """With weights by Glorot and biases at 0, as in the paper.

    Random biases outweigh what a mask leaves of the sums.
    """
    if "LACONIC_DATA" not in os.environ:
        pytest.skip("LACONIC_DATA is not set, so there are no data sets to read")
    torch.manual_seed(0)
    model = zoo.resolve_model("zoo:lenet-300-100")
    for parameter in model.parameters():
        initialise = nn.init.zeros_ if parameter.ndim == 1 else nn.init.xavier_normal_
        initialise(parameter)
    return model


@pytest.mark.slow
def test_a_mask_of_lenet_300_alone_reads_mnist():
    """The goal is 95 % right."""
    model, task = lenet_300(), mnist(batch_size=128)
    learn(model, epochs=8, task=task, learning_rate=0.2)
    settle(model, 3)
    assert evaluate(model, task, "validation") <= 5.0


@pytest.mark.slow
def test_the_signs_of_the_start_under_the_mask_of_training_read_mnist_before_any_training():
    """Large final weights of the same sign; the goal is 80 % right."""
    model, task = lenet_300(), mnist()
    first = {name: value.clone() for name, value in weights(model).items()}
    start = copy.deepcopy(model)
    fit(model, task, epochs=3, learning_rate=1.2e-3)
    for name, last in weights(model).items():
        same = last.sign() == first[name].sign()
        share = 0.35 if name == "fc3.weight" else 0.7
        mask = Prune(share).by(last.abs() * same)
        represent(start.get_submodule(name.removesuffix(".weight")), mask)
        with torch.no_grad():
            latents(start)[name].copy_(first[name].sign() * first[name].std())
    assert evaluate(start, task, "validation") <= 20.0
