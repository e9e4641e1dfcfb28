"""Norms as terms of the loss and as proximal steps."""

import json
import os

import pytest
import torch
from tests.train.conftest import blobs_task, small_network
from torch import nn
from torch.nn.utils import parametrize

from laconic import zoo
from laconic.errors import UsageError
from laconic.prune import REGULARISERS, Proximal, Prune, WeightPenalty
from laconic.represent import represent, weights
from laconic.train import Penalised, TaskLoss, evaluate, fit


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_group_norms_are_those_of_the_papers_formulas():
    """DropNeuron sums over neurons, SSL over filters, channels, shapes and layers."""
    weight = gaussian(4, 3, 2, 2)
    flat = weight.double()
    by_hand = {
        "l1": sum(abs(float(w)) for w in flat.flatten()),
        "filters": sum(float(flat[n].square().sum() ** 0.5) for n in range(4)),
        "channels": sum(float(flat[:, c].square().sum() ** 0.5) for c in range(3)),
        "shapes": sum(
            float(flat[:, c, i, j].square().sum() ** 0.5)
            for c in range(3)
            for i in range(2)
            for j in range(2)
        ),
        "depth": float(flat.square().sum() ** 0.5),
    }
    for name, expected in by_hand.items():
        assert float(REGULARISERS[name].value(weight)) == pytest.approx(expected, rel=1e-6), name
    matrix = gaussian(5, 7)
    assert REGULARISERS["li"].value(matrix) == matrix.square().sum(1).sqrt().sum()
    assert REGULARISERS["lo"].value(matrix) == matrix.square().sum(0).sqrt().sum()


@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 3, 3)], ids=["linear", "convolution"])
@pytest.mark.parametrize("name", REGULARISERS)
def test_the_proximal_step_is_the_minimiser_of_its_definition(name, shape):
    """At v = prox(w): 0 lies in v − w + t ∂value(v), so w − v over t is a subgradient at v."""
    norm, weight, threshold = REGULARISERS[name], gaussian(*shape).double(), 0.7
    shrunk = norm.shrink(weight, threshold)

    def cost(v):
        return 0.5 * (v - weight).square().sum() + threshold * norm.value(v)

    best = cost(shrunk)
    for seed in range(50):
        step = gaussian(*shape, seed=seed).double()
        for size in (1e-3, 1e-1):
            assert cost(shrunk + size * step) > best
    assert cost(weight) > best


@pytest.mark.parametrize("name", REGULARISERS)
def test_a_large_step_makes_exact_zeros_and_no_minus_zero(name):
    shrunk = REGULARISERS[name].shrink(gaussian(4, 3, 2, 2), 100.0)
    assert not shrunk.any()
    assert not torch.signbit(shrunk).any()


@pytest.mark.parametrize("name", REGULARISERS)
def test_groups_of_zeros_stay_zero_and_have_a_finite_gradient(name):
    weight = torch.zeros(4, 3, 2, 2, requires_grad=True)
    REGULARISERS[name].value(weight).backward()
    assert bool((weight.grad == 0).all())
    assert not REGULARISERS[name].shrink(weight.detach(), 0.0).any()


@pytest.mark.parametrize(
    ("name", "groups"),
    [("filters", (0, 2, 3)), ("channels", (1, 2, 3)), ("shapes", None)],
)
def test_whole_groups_become_zero_together(name, groups):
    weight = gaussian(4, 3, 2, 2)
    weight[1] *= 0.01
    weight[:, 2] *= 0.01
    weight[:, 0, 1, 0] *= 0.01
    zero = REGULARISERS[name].shrink(weight, 0.2) == 0
    expected = torch.zeros(4, 3, 2, 2, dtype=torch.bool)
    if name == "filters":
        expected[1] = True
    else:
        expected[:, 2] = True
    if name == "shapes":
        expected[:, 0, 1, 0] = True
    assert torch.equal(zero, expected)


def test_a_proximal_step_uses_the_learning_rate_of_its_step():
    """Two updates at rates 1 and ½ on a loss without gradient in the weight: 1.5 λ goes off."""
    network = nn.Linear(8, 3)
    before = network.weight.detach().clone()

    class Elsewhere(TaskLoss):
        def loss(self, model, inputs, outputs, targets, task):
            return model.bias.sum() + 0.0 * outputs.sum()

    fit(
        network, blobs_task(batch_size=75), epochs=1, learning_rate=1.0, optimizer="sgd",
        schedule="linear", objective=Elsewhere(), callbacks=[Proximal("l1", {"weight": 0.04})],
    )  # fmt: skip
    expected = before.sign() * (before.abs() - 0.06).clamp(min=0)
    torch.testing.assert_close(network.weight.detach(), expected)
    assert int((network.weight == 0).sum()) > 0


def test_a_penalty_makes_weights_small_but_not_zero_and_a_proximal_step_zero():
    names = {"0.weight": 0.1}
    penalised, stepped = small_network(), small_network()
    task, given = blobs_task(), {"epochs": 5, "learning_rate": 0.05, "optimizer": "sgd"}
    fit(penalised, task, objective=Penalised(TaskLoss(), [WeightPenalty("l1", names)]), **given)
    fit(stepped, task, callbacks=[Proximal("l1", names)], **given)
    assert int((penalised[0].weight == 0).sum()) == 0
    assert int((stepped[0].weight == 0).sum()) > 64
    assert penalised[0].weight.abs().sum() < 0.7 * small_network()[0].weight.abs().sum()


def test_a_penalty_computes_a_chain_once_with_the_network():
    network = small_network()
    represent(network[0], Prune(0.5))
    penalty = WeightPenalty("l1", {"0.weight": 2.0})
    with parametrize.cached():
        term = penalty(network)
        term.backward()
    assert term.item() == pytest.approx(2.0 * network[0].weight.abs().sum().item())
    gradient = network[0].parametrizations.weight.original.grad
    assert torch.equal(gradient != 0, network[0].weight != 0)


def test_proximal_steps_keep_the_mask_of_an_earlier_stage():
    network = small_network()
    represent(network[0], Prune(0.5))
    gone = network[0].weight == 0
    fit(
        network, blobs_task(), epochs=2, learning_rate=0.05, optimizer="sgd",
        callbacks=[Proximal("filters", {"0.weight": 0.1})],
    )  # fmt: skip
    assert not network[0].weight[gone].any()


@pytest.mark.parametrize("kind", [Proximal, WeightPenalty])
def test_the_configuration_is_plain_json_and_does_not_hide_the_class(kind):
    made = kind("l1", {"0.weight": 0.1})
    assert json.loads(json.dumps(made.configuration)) == {
        "norm": "l1", "strengths": {"0.weight": 0.1},
    }  # fmt: skip


@pytest.mark.parametrize("kind", [Proximal, WeightPenalty])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("l3", {"w": 1.0}), "no regulariser is named 'l3'; there are: l1, filters, channels"),
        (("l1", {"w": 0.0}), "l1: the strength is 0; a positive number is needed"),
        (("lo", {"w": float("nan")}), "lo: the strength is nan; a positive"),
    ],
    ids=["an unknown norm", "no strength", "NaN"],
)
def test_what_no_training_could_add_is_refused(kind, arguments, message):
    with pytest.raises(UsageError, match=message):
        kind(*arguments)


@pytest.mark.slow
def test_proximal_l1_makes_four_fifths_of_lenet_300_zero_without_any_threshold():
    """Three epochs of MNIST; the goal is 80 % exact zeros."""
    if "LACONIC_DATA" not in os.environ:
        pytest.skip("LACONIC_DATA is not set, so there are no data sets to read")

    torch.manual_seed(0)
    network, task = zoo.resolve_model("zoo:lenet-300-100"), zoo.resolve_task("zoo:mnist")
    proximal = Proximal("l1", dict.fromkeys(weights(network), 4e-3))
    fit(
        network, task, epochs=3, learning_rate=0.1, optimizer="sgd", schedule="cosine",
        callbacks=[proximal],
    )  # fmt: skip
    zeros = sum(int((weight == 0).sum()) for weight in weights(network).values())
    assert zeros / 266_200 >= 0.8
    assert evaluate(network, task, "validation") < 4.0
