"""Penalties that make weights easy to quantize."""

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.prune import WeightPenalty
from laconic.quantize import PENALTIES, Sign, Uniform, ValuePenalty, check_penalty
from laconic.represent import represent
from laconic.train import ArrayTask, Penalised, TaskLoss, fit


def descended(term, start, steps=400):
    weight = torch.tensor(start, requires_grad=True)
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(PENALTIES[term](weight), weight)
        with torch.no_grad():
            weight -= 0.05 * gradient
    return weight.tolist()


STARTS = [0.3, -0.3, 0.9, -1.4]


def test_wells_draw_every_weight_to_plus_or_minus_one():
    assert descended("wells", STARTS) == pytest.approx([1, -1, 1, -1], abs=0.01)


def test_the_wells_of_the_sources_draw_small_weights_to_zero_and_leave_large_ones():
    """The trap: W²(1 − W²) has a minimum at 0, and would fall to −∞ beyond 1 if W were not cut."""
    assert descended("source-wells", STARTS) == pytest.approx([0, 0, 1, -1.4], abs=0.05)
    assert PENALTIES["source-wells"](torch.tensor([1.4, -3.0])).item() == 0
    assert (torch.tensor(1.4) ** 2 * (1 - torch.tensor(1.4) ** 2)).item() < -1


@pytest.mark.parametrize("term", PENALTIES)
def test_a_term_has_the_gradient_of_its_formula(term):
    weight = torch.randn(6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight.requires_grad_()
    assert torch.autograd.gradcheck(PENALTIES[term], [weight])


def test_latent_weights_count_where_a_grid_restricts_them():
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(0.5)
    represent(layer, Sign())
    penalty = ValuePenalty("wells", {"weight": 2.0})
    assert penalty(layer).item() == pytest.approx(2 * 2 * 0.75**2)
    assert penalty.configuration == {"term": "wells", "strengths": {"weight": 2.0}}


def regression():
    """Weights that differ in size, one of them large; some inputs are nearly the same."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(256, 6, generator=generator)
    rows[:, 5] = rows[:, 0] + 0.05 * torch.randn(256, generator=generator)
    labels = (rows @ torch.tensor([2.0, -0.4, 0.3, 0.2, -0.3, 0.0]) > 0).long()
    return ArrayTask(rows, labels, rows, labels, validation_fraction=0.1)


def trained(penalty):
    torch.manual_seed(0)
    network = nn.Linear(6, 2, bias=False)
    with torch.no_grad():
        network.weight[0, 0], network.weight[1, 0] = -4.0, 4.0
    objective = Penalised(TaskLoss(), [penalty] if penalty else [])
    fit(network, regression(), epochs=6, learning_rate=0.05, objective=objective)
    return network.weight.detach().clone()


@pytest.mark.parametrize("term", ["l1", "l2", "max"])
def test_a_narrower_range_has_a_smaller_quantization_error(term):
    """8 bits of a uniform grid: the range shrinks, and with it the step and the error."""
    kind = WeightPenalty if term == "l1" else ValuePenalty
    free, drawn_in = trained(None), trained(kind(term, {"weight": 0.05}))
    assert float(drawn_in.abs().max()) < 0.9 * float(free.abs().max())
    errors = []
    for weight in (free, drawn_in):
        step = Uniform(8)
        step.fit(weight)
        inside = torch.linspace(-1, 1, 2001) * weight.abs().max()
        errors.append(float((step(inside) - inside).square().mean()))
    assert errors[1] < 0.8 * errors[0]


def test_nearly_all_weights_stand_near_one_before_they_are_rounded():
    torch.manual_seed(0)
    rows = torch.randn(512, 20, generator=torch.Generator().manual_seed(0))
    signs = torch.sign(torch.randn(20, generator=torch.Generator().manual_seed(1)))
    labels = (rows @ signs > 0).long()
    task = ArrayTask(rows, labels, rows, labels, validation_fraction=0.1)
    network = nn.Linear(20, 2, bias=False)
    for strength in (0.03, 1.0):  # a weak term first, or signs are settled before they are learnt
        wells = Penalised(TaskLoss(), [ValuePenalty("wells", {"weight": strength})])
        fit(network, task, epochs=10, learning_rate=0.05, schedule="cosine", objective=wells)
    weight = network.weight.detach()
    assert float(((weight.abs() - 1).abs() < 0.05).float().mean()) >= 0.95
    before = (network(rows).argmax(1) == labels).float().mean()
    represent(network, Sign())
    assert float(before) > 0.9
    after = (network(rows).argmax(1) == labels).float().mean()
    assert float(before - after) <= 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("l3", [1.0]), "no penalty is named 'l3'; there are: l2, max, wells, source-wells"),
        (("max", [0.0]), "max: the strength is 0; a positive number is needed"),
        (("l2", [float("nan")]), "l2: the strength is nan"),
    ],
    ids=["an unknown term", "no strength", "not a number"],
)
def test_what_cannot_be_added_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        check_penalty(*arguments)
