"""The importances of lifelong learning, and movement along a descent."""

import copy

import pytest
import torch
from small import data, gaussian, net, net_data, regression, seen
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Prune
from laconic.represent import represent
from laconic.saliency import EWC, MAS, Movement, SynapticIntelligence, TrueFisher


def linear(outputs=4):
    model = nn.Linear(4, outputs, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(gaussian(outputs, 4, seed=5))
    return model


def by_hand(model, examples, learning_rate):
    """The weights before each step and the gradients, by a loop over the batches."""
    weight = model.weight.detach().clone().requires_grad_()
    for inputs, targets in examples.batches():
        (gradient,) = torch.autograd.grad(examples.loss(inputs @ weight.T, targets), weight)
        yield weight.detach().clone(), gradient
        weight = (weight.detach() - learning_rate * gradient).requires_grad_()
    yield weight.detach(), None


def test_ewc_is_twice_the_true_fisher_score_and_its_power_takes_the_weights_out():
    model = net()
    fisher = TrueFisher(seed=4).scores(model, data=net_data())
    importance = EWC(power=0, seed=4).scores(model, data=net_data())
    for name, score in EWC(seed=4).scores(model, data=net_data()).items():
        torch.testing.assert_close(score, 2 * fisher[name])
        weight = dict(model.named_parameters())[name].detach()
        torch.testing.assert_close(score, importance[name] * weight**2)


def test_mas_of_a_linear_layer_by_its_closed_form():
    """``|∂‖Wx‖² / ∂W_ij| = |2 (Wx)_i x_j|``, averaged over the examples; targets play no part."""
    model, examples = linear(), data(4)
    inputs, _ = seen(examples)
    outputs = model(inputs).detach()
    expected = (2 * outputs[:, :, None] * inputs[:, None, :]).abs().mean(0)
    found = MAS(power=0).scores(model, data=examples)["weight"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_movement_sums_weight_times_gradient_along_the_steps():
    model, examples = linear(), data(4)
    path = list(by_hand(model, examples, 0.1))
    expected = -sum(weight * gradient for weight, gradient in path[:-1])
    found = Movement(learning_rate=0.1).scores(model, data=examples)["weight"]
    assert len(path) == 4
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_weights_that_are_pulled_to_zero_score_below_those_that_are_pushed_away():
    inputs = torch.eye(4, dtype=torch.float64)
    model = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 1.0, -1.0, -1.0]]))
    examples = regression(inputs, torch.tensor([[0.0], [2.0], [0.0], [-2.0]]).double())
    scores = Movement().scores(model, data=examples)["weight"].flatten().tolist()
    assert scores[0] < 0 < scores[1]
    assert scores[2] < 0 < scores[3]


def test_synaptic_intelligence_shares_out_the_fall_of_the_loss():
    """Along small steps of one batch, Σ ω is what the loss falls by (the paper's equation 3)."""
    inputs, targets = gaussian(8, 4), gaussian(8, 2, seed=1)
    model = linear(2)
    examples = regression(inputs.repeat(20, 1), targets.repeat(20, 1), batch_size=8)
    damping = 1e9  # so that b · damping is ω
    saliency = SynapticIntelligence(power=0, learning_rate=1e-4, damping=damping)
    shares = saliency.scores(model, data=examples)["weight"] * damping
    *_, (last, _) = by_hand(model, examples, 1e-4)
    fall = examples.loss(model(inputs), targets) - examples.loss(inputs @ last.T, targets)
    fall = fall.detach()
    assert float(fall) > 0
    torch.testing.assert_close(shares.sum(), fall, rtol=1e-2, atol=0)


def test_synaptic_intelligence_by_hand():
    model, examples = linear(), data(4)
    path = list(by_hand(model, examples, 0.1))
    share = sum(0.1 * gradient**2 for _, gradient in path[:-1])
    moved = path[-1][0] - path[0][0]
    found = SynapticIntelligence(2, learning_rate=0.1, damping=0.01).scores(model, data=examples)
    expected = share / (moved**2 + 0.01) * model.weight.detach() ** 2
    torch.testing.assert_close(found["weight"], expected, rtol=1e-9, atol=0)


def test_what_is_pruned_stays_zero_on_the_way():
    model = linear()
    represent(model, Prune(0.5))
    before = copy.deepcopy(model.state_dict())
    scores = Movement(learning_rate=0.5).scores(model, data=data(4))["weight"]
    assert bool((scores[model.weight == 0] == 0).all())
    assert bool((scores[model.weight != 0] != 0).all())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Movement(learning_rate=0), "learning_rate 0 is not positive; 0.001 is usual"),
        (lambda: SynapticIntelligence(learning_rate=-1), "learning_rate -1 is not positive"),
        (lambda: SynapticIntelligence(damping=0), "damping 0 is not positive; 0.001 is usual"),
        (lambda: MAS(power=-1), "power -1 is negative; 2 weighs by θ², 0 leaves b alone"),
    ],
    ids=["movement", "learning rate", "damping", "power"],
)
def test_arguments_that_cannot_be_meant_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_steps_that_run_away_are_named():
    with pytest.raises(UsageError, match=r"weight: \d+ of 16 gradients are .* learning rate 1e"):
        Movement(learning_rate=1e200).scores(linear(), data=regression(
            gaussian(20, 4), gaussian(20, 4)))  # fmt: skip
