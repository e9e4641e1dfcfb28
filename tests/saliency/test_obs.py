"""Optimal Brain Surgeon: what a removal costs when the other weights move."""

import torch
from small import data, net, net_data
from torch import nn

from laconic.saliency import OBS, OBSGreedy, input_hessians


def energy(hessian, change):
    """``½ δwᵀ H δw``."""
    return change @ hessian @ change / 2


def without(hessian, row, gone):
    """The best row with zeros at `gone`, from the H of what is left, inverted directly."""
    kept = [place for place in range(len(row)) if place not in gone]
    result = torch.zeros_like(row)
    right = hessian[kept] @ row
    result[kept] = torch.linalg.inv(hessian[kept][:, kept]) @ right
    return result


def test_the_predicted_loss_is_exact_on_a_quadratic():
    model = nn.Linear(4, 3, bias=False).double()
    (hessian,) = input_hessians(model, ["weight"], data(4), damping=1e-9)["weight"]
    scores = OBS(damping=1e-9).scores(model, data=data(4))["weight"]
    for output in range(3):
        row = model.weight[output].detach()
        for place in range(4):
            change = without(hessian, row, [place]) - row
            torch.testing.assert_close(
                scores[output, place], energy(hessian, change), rtol=1e-6, atol=0
            )


def test_groups_have_their_own_hessians():
    """Of a convolution in two groups: as if it were two convolutions."""
    model = net()
    hessians = input_hessians(model, ["conv2.weight"], net_data())["conv2.weight"]
    scores = OBS().scores(model, ["conv2.weight"], net_data())["conv2.weight"].flatten(1)
    weight = model.conv2.weight.detach().flatten(1)
    for output in range(6):
        diagonal = torch.linalg.inv(hessians[output // 3]).diagonal()
        torch.testing.assert_close(scores[output], weight[output] ** 2 / (2 * diagonal))


def brute_force(hessian, row):
    """One removal after the other, each from a Hessian that is inverted anew."""
    costs, gone, highest, present = torch.zeros_like(row), [], 0.0, row
    while len(gone) < len(row):
        prices = {}
        for place in set(range(len(row))) - set(gone):
            after = without(hessian, row, [*gone, place])
            prices[place] = float(energy(hessian, after - present))
        place = min(prices, key=prices.get)
        highest = max(highest, prices[place])
        costs[place] = highest
        gone.append(place)
        present = without(hessian, row, gone)
    return costs


def test_greedy_scores_are_those_of_inverting_anew_after_each_removal():
    model = nn.Linear(5, 9, bias=False).double()
    (hessian,) = input_hessians(model, ["weight"], data(5))["weight"]
    scores = OBSGreedy().scores(model, data=data(5))["weight"]
    for output in range(9):
        expected = brute_force(hessian, model.weight[output].detach())
        torch.testing.assert_close(scores[output], expected, rtol=1e-8, atol=1e-12)


def test_of_two_equal_inputs_only_one_is_free():
    """At once both look free, as each could take over; the greedy order knows that one must."""
    model = nn.Linear(3, 1, bias=False).double()
    examples = data(3)
    examples.task.train_inputs[:, 1] = examples.task.train_inputs[:, 0]
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 1.1, 0.5]]))
    once = OBS(damping=1e-6).scores(model, data=examples)["weight"][0]
    greedy = OBSGreedy(damping=1e-6).scores(model, data=examples)["weight"][0]
    assert float(once[:2].max()) < 1e-3 * float(once[2])
    assert float(greedy[0]) < 1e-3 * float(greedy[2])
    assert float(greedy[1]) > float(greedy[2])


def test_greedy_scores_of_groups():
    model = net()
    hessians = input_hessians(model, ["conv2.weight"], net_data())["conv2.weight"]
    scores = OBSGreedy().scores(model, ["conv2.weight"], net_data())["conv2.weight"].flatten(1)
    weight = model.conv2.weight.detach().flatten(1)
    for output in (0, 5):
        expected = brute_force(hessians[output // 3], weight[output])
        torch.testing.assert_close(scores[output], expected, rtol=1e-7, atol=1e-12)


def test_more_damping_makes_removals_alike_to_squares():
    """As H becomes a multiple of the identity, the order becomes that of the magnitudes."""
    model = nn.Linear(4, 3, bias=False).double()
    scores = OBS(damping=1e9).scores(model, data=data(4))["weight"]
    ratio = scores / model.weight.detach() ** 2
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio), rtol=1e-6, atol=0)
