"""Neurons and layers that learn whether they are needed."""

import pytest
import torch
from tests.train.conftest import blobs_task
from torch import nn

from laconic.errors import UnsupportedError, UsageError
from laconic.prune.tsrelu import Architecture, Clip, TsReLU, absorb, activations, merge, with_tsrelu
from laconic.train import ArrayTask, Penalised, TaskLoss, evaluate, fit


def stack(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 3)]
        return nn.Sequential(*layers)


def convolutions(seed=0):
    """Like LeNet-5 of Caffe: a convolution without ReLU, pooling, flattening."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(6 * 16, 9), nn.ReLU(), nn.Linear(9, 3),
        )  # fmt: skip


def inputs(*shape):
    return torch.randn(20, *shape, generator=torch.Generator().manual_seed(1))


def test_it_begins_as_relu():
    model = stack()
    with torch.no_grad():
        assert torch.equal(with_tsrelu(model)(inputs(8)), model(inputs(8)))


def test_values_and_gradients_are_those_of_the_definition():
    module = TsReLU(3)
    with torch.no_grad():
        module.w.copy_(torch.tensor([0.2, 0.5, 0.9]))
        module.d.fill_(0.3)
    x = inputs(3, 2, 2)
    w = module.w.detach().reshape(3, 1, 1)
    expected = torch.where(x >= 0, w * x, w * 0.3 * x)
    torch.testing.assert_close(module(x), expected)
    module(x).sum().backward()
    assert module.d.grad.item() == pytest.approx((w * x.clamp(max=0)).sum().item(), rel=1e-4)
    slopes = torch.where(x >= 0, x, 0.3 * x).sum((0, 2, 3))
    torch.testing.assert_close(module.w.grad, slopes)


def test_the_penalty_is_the_papers():
    model = with_tsrelu(stack())
    first, second = activations(model)
    with torch.no_grad():
        first.w.fill_(0.25)
        second.d.fill_(0.5)
    term = Architecture(binary_w=1.0, binary_d=2.0, width=0.1, depth=0.01)(model)
    expected = 12 * 0.25 * 0.75 + 2.0 * 0.25 + 0.1 * (12 * 0.25 + 10) + 0.01 * (1 + 0.5)
    assert term.item() == pytest.approx(expected)


def choose(model, seed=2):
    """Half of the neurons of each layer off, w and d near their ends."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in activations(model):
            module.w.copy_((torch.rand(module.features, generator=generator) < 0.5).float())
            module.w[0] = 1
    return model


def test_removed_neurons_leave_ordinary_layers_that_compute_the_same():
    model = choose(with_tsrelu(stack()))
    small = absorb(model)
    widths = [int(module.w.sum()) for module in activations(model)]
    assert [m.out_features for m in small if isinstance(m, nn.Linear)] == [*widths, 3]
    assert [type(m) for m in small] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    torch.testing.assert_close(small(inputs(8)), model(inputs(8)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("linear", [[0], [1], [0, 1]], ids="layers {} are linear".format)
def test_linear_layers_merge_exactly(linear):
    model = choose(with_tsrelu(stack()))
    with torch.no_grad():
        for place in linear:
            activations(model)[place].d.fill_(1.0)
    small = absorb(model)
    assert sum(isinstance(m, nn.Linear) for m in small) == 3 - len(linear)
    assert sum(isinstance(m, nn.ReLU) for m in small) == 2 - len(linear)
    torch.testing.assert_close(small(inputs(8)), model(inputs(8)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("biases", [(True, False), (False, True), (False, False)])
def test_two_linear_layers_are_one(biases):
    first, second = nn.Linear(5, 40, bias=biases[0]), nn.Linear(40, 3, bias=biases[1])
    x = inputs(5)
    torch.testing.assert_close(merge(first, second)(x), second(first(x)), rtol=1e-5, atol=1e-6)


def test_filters_go_through_pooling_and_flattening():
    model = choose(with_tsrelu(convolutions()))
    assert [m.learns_depth for m in activations(model)] == [False, False, True]
    small = absorb(model)
    widths = [int(module.w.sum()) for module in activations(model)]
    assert small[0].out_channels == small[2].in_channels == widths[0]
    assert small[5].in_features == 16 * widths[1]
    images = inputs(1, 8, 8)
    torch.testing.assert_close(small(images), model(images), rtol=1e-5, atol=1e-6)


def test_values_between_are_rounded_at_a_half():
    model = with_tsrelu(stack())
    with torch.no_grad():
        activations(model)[0].w.copy_(torch.tensor([0.5, 0.49] * 6))
        activations(model)[1].d.fill_(0.49)
    assert absorb(model)[0].out_features == 6
    assert sum(isinstance(m, nn.ReLU) for m in absorb(model)) == 2


def corners_task():
    """Four clouds at the corners of a square; opposite ones are of one class, as in XOR."""
    generator = torch.Generator().manual_seed(7)
    signs = torch.randint(0, 2, (400, 2), generator=generator) * 2 - 1
    points = torch.cat([signs * 1.5, torch.zeros(400, 6)], 1)
    points = points + 0.4 * torch.randn(400, 8, generator=generator)
    labels = (signs[:, 0] == signs[:, 1]).long()
    return ArrayTask(points, labels, points[:50], labels[:50], validation_fraction=0.25)


def learned(task):
    model = with_tsrelu(stack())
    penalty = Architecture(binary_w=0.02, binary_d=0.02, width=0.015, depth=0.02)
    objective = Penalised(TaskLoss(), [penalty])
    fit(model, task, epochs=40, learning_rate=0.02, objective=objective, callbacks=[Clip()])
    found = torch.cat([torch.cat([m.w, m.d]).detach() for m in activations(model)])
    assert bool(((found >= 0) & (found <= 1)).all())
    assert bool(((found < 0.05) | (found > 0.95)).all())
    return absorb(model)


def test_a_problem_that_needs_no_hidden_layer_loses_all():
    """Clouds that lie apart: the whole stack becomes one linear layer."""
    small = learned(blobs_task())
    assert [type(module) for module in small] == [nn.Linear]
    assert evaluate(small, blobs_task(), "validation") <= 4.0


def test_a_problem_that_needs_a_hidden_layer_keeps_a_narrow_one():
    """XOR: no linear layer gets below a quarter of errors."""
    small = learned(corners_task())
    assert [type(module) for module in small] == [nn.Linear, nn.ReLU, nn.Linear]
    assert small[0].out_features < 12
    assert evaluate(small, corners_task(), "validation") <= 4.0


def test_a_layer_without_a_neuron_is_refused():
    model = with_tsrelu(stack())
    with torch.no_grad():
        activations(model)[0].w.zero_()
    with pytest.raises(UsageError, match=r"all 12 neurons before layer 1 have w below 0\.5"):
        absorb(model)


def test_a_network_without_activations_is_refused():
    with pytest.raises(UsageError, match="has no TsReLU; put them in by with_tsrelu"):
        with_tsrelu(nn.Sequential(nn.Linear(3, 2)))


def test_layers_between_that_have_weights_of_their_own_are_refused_by_name():
    model = nn.Sequential(nn.Linear(4, 3), TsReLU(3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    with torch.no_grad():
        model[1].w[0] = 0
    with pytest.raises(UnsupportedError, match=r"BatchNorm1d\(3.* after a TsReLU"):
        absorb(model)


def test_a_batchnorm_that_would_keep_its_width_is_refused():
    model = with_tsrelu(
        nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    )
    absorb(model)  # nothing goes
    with torch.no_grad():
        model[2].w[:3] = 0
    with pytest.raises(UnsupportedError, match=r"BatchNorm1d\(6.* before a TsReLU"):
        absorb(model)


def test_a_grouped_convolution_of_which_nothing_goes_stays_as_it_is():
    stacked = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.Conv2d(6, 2, 1, groups=2))
    model = with_tsrelu(stacked)
    torch.testing.assert_close(absorb(model)(inputs(4, 5, 5)), model(inputs(4, 5, 5)))
    with torch.no_grad():
        model[1].w[0] = 0
    with pytest.raises(UnsupportedError, match="a grouped convolution cannot lose"):
        absorb(model)


def test_an_activation_that_makes_something_of_zero_is_refused_where_neurons_go():
    layers = [nn.Linear(8, 6), nn.ReLU(), nn.Sigmoid(), nn.Linear(6, 2)]
    model = choose(with_tsrelu(nn.Sequential(*layers)))
    with pytest.raises(
        UnsupportedError, match=r"Sigmoid\(\) after a TsReLU: it may make something"
    ):
        absorb(model)
    with torch.no_grad():
        activations(model)[0].w.fill_(1.0)
    torch.testing.assert_close(absorb(model)(inputs(8)), model(inputs(8)))
