"""Gradients of the loss, of each example's loss, and the curvature of the loss."""

import pytest
import torch
from small import data, gaussian, net, net_data, regression, seen
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from laconic.errors import UnsupportedError
from laconic.prune import Prune
from laconic.represent import represent
from laconic.saliency import EWC, OBD, Fisher, Taylor, TrueFisher

NAMES = ["conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight"]


def per_example():
    """The gradient of each example's own loss, by torch.func."""
    model, (inputs, targets) = net(), seen(net_data())

    def loss(parameters, image, label):
        outputs = functional_call(model, parameters, (image[None],))
        return functional.cross_entropy(outputs, label[None])

    parameters = {name: value.detach() for name, value in model.named_parameters()}
    return vmap(grad(loss), (None, 0, 0))(parameters, inputs, targets), parameters


@pytest.mark.parametrize("name", NAMES)
def test_fisher_squares_each_examples_gradient_before_it_averages(name):
    gradients, parameters = per_example()
    expected = gradients[name].square().mean(0) * parameters[name].square() / 2
    found = Fisher().scores(net(), data=net_data())[name]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_taylor_averages_before_it_takes_the_absolute_value(name):
    gradients, parameters = per_example()
    expected = (gradients[name].mean(0) * parameters[name]).abs()
    found = Taylor().scores(net(), data=net_data())[name]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


def test_gradients_are_those_of_the_restricted_weight():
    """A mask must not hide what a pruned weight would do, nor the latent weight show."""
    model = net()
    represent(model.fc1, Prune(0.5))
    plain = net()
    with torch.no_grad():
        plain.fc1.weight.copy_(model.fc1.weight)
    inputs, targets = seen(net_data())
    functional.cross_entropy(plain(inputs), targets).backward()
    expected = (plain.fc1.weight.grad * plain.fc1.weight).abs()
    found = Taylor().scores(model, data=net_data())["fc1.weight"]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


def test_a_weight_without_a_part_in_the_loss_scores_zero():
    model = nn.Sequential(nn.Linear(4, 4)).double()
    model.register_module("head", nn.Linear(4, 4).double())
    model.forward = lambda rows: model[0](rows)
    assert bool((Fisher().scores(model, ["head.weight"], data(4))["head.weight"] == 0).all())


class Tiny(nn.Sequential):
    """4 → 3 → 4 with tanh: 24 weights, so that whole matrices can be written down."""

    def __init__(self):
        super().__init__(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 4))
        self.double()
        with torch.no_grad():
            for place, parameter in enumerate(self.parameters()):
                parameter.copy_(gaussian(*parameter.shape, seed=place))


def gauss_newton_diagonal(model, task, inputs, targets, name):
    """``diag(Jᵀ B J)``, mean over the examples, from whole Jacobians and Hessians."""
    total = 0
    for row, target in zip(inputs, targets, strict=True):

        def outputs(weight, row=row):
            return functional_call(model, {name: weight}, (row[None],))[0]

        def loss(values, target=target):
            return task.loss(values[None], target[None])

        weight = dict(model.named_parameters())[name].detach()
        jacobian = torch.autograd.functional.jacobian(outputs, weight).flatten(1)
        curvature = torch.autograd.functional.hessian(loss, outputs(weight))
        total = total + (jacobian.T @ curvature @ jacobian).diagonal().reshape(weight.shape)
    return total / len(inputs)


@pytest.mark.parametrize("name", ["0.weight", "2.weight"])
@pytest.mark.parametrize("kind", ["cross entropy", "squares"])
def test_obd_has_the_diagonal_of_the_gauss_newton_matrix(kind, name):
    examples = data(4) if kind == "cross entropy" else regression(gaussian(8, 4), gaussian(8, 4))
    model = Tiny()
    diagonal = gauss_newton_diagonal(model, examples.task, *seen(examples), name)
    expected = diagonal * dict(model.named_parameters())[name].detach().square() / 2
    found = OBD().scores(model, data=examples)[name]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


def test_obd_predicts_a_quadratic_loss_exactly():
    """At its minimum a linear network loses h w² / 2 without a weight, no more and no less."""
    inputs = gaussian(20, 5)
    model = nn.Linear(5, 3, bias=False).double()
    examples = regression(inputs, model(inputs).detach())
    scores = OBD().scores(model, data=examples)["weight"]
    for place in [(0, 0), (1, 3), (2, 4)]:
        weight = model.weight.detach().clone()
        weight[place] = 0
        loss = examples.task.loss(inputs @ weight.T, model(inputs))
        torch.testing.assert_close(scores[place], loss, rtol=1e-9, atol=0, check_dtype=False)


def test_the_true_fisher_is_on_average_the_gauss_newton_diagonal():
    """Of the cross entropy; 400 draws of each example, where single ones differ by themselves."""
    model, examples = Tiny(), data(4)
    drawn = [TrueFisher(seed).scores(model, data=examples)["2.weight"] for seed in range(400)]
    expected = OBD().scores(model, data=examples)["2.weight"]
    torch.testing.assert_close(torch.stack(drawn).mean(0), expected, rtol=0.15, atol=1e-3)
    assert not torch.equal(drawn[0], drawn[1])


def test_true_and_empirical_fisher_differ_where_the_network_is_sure_and_wrong():
    model = nn.Linear(4, 4).double()
    with torch.no_grad():
        model.weight.mul_(0.01)
        model.bias.copy_(torch.tensor([30.0, 0.0, 0.0, 0.0]))
    examples = data(4)
    assert float(TrueFisher().scores(model, data=examples)["weight"].max()) < 1e-10
    assert float(Fisher().scores(model, data=examples)["weight"].max()) > 1e-6


class Words(nn.Module):
    """Logits of four classes at each of five places; the classes last, or second."""

    def __init__(self, last):
        super().__init__()
        self.layer, self.last = nn.Linear(3, 4).double(), last

    def forward(self, rows):
        logits = self.layer(rows)
        return logits if self.last else logits.mT


def sequence_data(last, count=8):
    def loss(outputs, targets):
        return functional.cross_entropy(outputs.mT if last else outputs, targets)

    found = data(5, 3, count=count)
    targets = torch.arange(60).reshape(12, 5) % 4
    found.task.train_targets, found.task.loss = targets, loss
    return found


@pytest.mark.parametrize("kind", [TrueFisher, EWC], ids=lambda kind: kind.__name__)
def test_targets_of_sequences_are_drawn_at_each_place_wherever_the_classes_lie(kind):
    first, second = Words(last=True), Words(last=False)
    second.layer = first.layer
    found = kind(seed=1).scores(first, data=sequence_data(True))["layer.weight"]
    assert torch.equal(
        found, kind(seed=1).scores(second, data=sequence_data(False))["layer.weight"]
    )
    assert not torch.equal(
        found, kind(seed=2).scores(first, data=sequence_data(True))["layer.weight"]
    )


def test_of_sequences_too_the_true_fisher_is_on_average_the_gauss_newton_diagonal():
    """Up to the number of places: the loss is their mean, −log p(y | x) / 5."""
    model, examples = Words(last=True), sequence_data(True, count=4)
    drawn = [TrueFisher(seed).scores(model, data=examples)["layer.weight"] for seed in range(400)]
    expected = OBD().scores(model, data=examples)["layer.weight"]
    torch.testing.assert_close(5 * torch.stack(drawn).mean(0), expected, rtol=0.2, atol=1e-3)


@pytest.mark.parametrize("saliency", [TrueFisher(), EWC()], ids=str)
def test_drawn_targets_want_the_cross_entropy(saliency):
    model = nn.Linear(4, 4).double()
    with pytest.raises(UnsupportedError, match=r"outputs \[1, 4\] with the mean cross entropy"):
        saliency.scores(model, data=regression(gaussian(8, 4), gaussian(8, 4)))
    doubled = data(4)
    doubled.task.loss = lambda outputs, targets: 2 * functional.cross_entropy(outputs, targets)
    with pytest.raises(UnsupportedError, match="choose fisher or obd, which take any loss"):
        saliency.scores(model, data=doubled)


def test_obd_of_very_many_outputs_is_refused_before_memory_is_taken():
    model = nn.Linear(4, 100_000)
    with pytest.raises(UnsupportedError, match=r"has 100000 outputs \[1, 100000\].*choose fisher"):
        OBD().scores(model.double(), data=data(4))
