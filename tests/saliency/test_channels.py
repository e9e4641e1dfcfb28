"""Scores of channels: by their weights and by what they do."""

import pytest
import torch
from small import data, net, net_data, seen
from torch import nn
from torch.nn import functional

from laconic.errors import UnsupportedError, UsageError
from laconic.prune import Prune
from laconic.represent import represent
from laconic.saliency import (
    OBD,
    APoZ,
    ChannelSum,
    Fisher,
    FisherChannels,
    L1Norm,
    L2Norm,
    RandomChannels,
    TaylorChannels,
)

NAMES = ["conv1.weight", "conv2.weight", "fc1.weight"]


def gate_derivatives(name):
    """``∂L_n / ∂gate`` for gates after the ReLU of each channel, ``[examples, channels]``."""
    model, rows = net(), []
    channels = dict(model.named_parameters())[name].shape[0]
    for image, label in zip(*seen(net_data()), strict=True):
        gate = torch.ones(channels, dtype=torch.float64, requires_grad=True)
        shaped = gate if name == "fc1.weight" else gate[:, None, None]
        loss = functional.cross_entropy(model(image[None], {name: shaped}), label[None])
        rows.append(torch.autograd.grad(loss, gate)[0])
    return torch.stack(rows)


@pytest.mark.parametrize("name", NAMES)
def test_fisher_is_half_the_mean_square_of_the_derivative_by_a_gate_after_the_relu(name):
    derivatives = gate_derivatives(name)
    expected = derivatives.square().mean(0) / 2
    found = FisherChannels().scores(net(), data=net_data())[name]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-18)
    # Not the square of the mean, and with BatchNorm not the gate on the convolution either.
    assert not torch.allclose(found, derivatives.mean(0).square() / 2, rtol=0.1)


def test_fisher_sums_over_space_before_it_squares():
    """By the paper's own formula, from activations and their gradients."""
    model, terms = net(), []
    for image, label in zip(*seen(net_data()), strict=True):
        maps = functional.relu(model.bn1(model.conv1(image[None]))).detach().requires_grad_()
        hidden = functional.relu(model.fc1(functional.relu(model.conv2(maps)).flatten(1)))
        loss = functional.cross_entropy(model.fc2(hidden), label[None])
        (gradient,) = torch.autograd.grad(loss, maps)
        terms.append((maps * gradient).sum((0, 2, 3)).square())
    expected = torch.stack(terms).sum(0) / (2 * len(terms))
    found = FisherChannels().scores(net(), ["conv1.weight"], net_data())["conv1.weight"]
    torch.testing.assert_close(found, expected.detach(), rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize(
    ("name", "macs"), [("conv1.weight", 36 * 27), ("conv2.weight", 4 * 18), ("fc1.weight", 24)]
)
def test_a_price_on_multiply_adds_comes_off_the_score(name, macs):
    free = FisherChannels().scores(net(), data=net_data())[name]
    priced = FisherChannels(mac_price=1e-5).scores(net(), data=net_data())[name]
    torch.testing.assert_close(free - priced, torch.full_like(free, 1e-5 * macs))


def test_a_negative_price_is_refused():
    with pytest.raises(UsageError, match="mac_price -1 is negative; 0 leaves the cost out"):
        FisherChannels(mac_price=-1)


@pytest.mark.parametrize(("name", "positions"), list(zip(NAMES, [36, 4, 1], strict=True)))
def test_taylor_takes_the_absolute_mean_over_space_of_each_example(name, positions):
    expected = (gate_derivatives(name).abs() / positions).mean(0)
    found = TaylorChannels().scores(net(), data=net_data())[name]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-18)


def test_a_dead_channel_has_an_apoz_of_one_and_goes_first():
    model = net()
    with torch.no_grad():
        model.bn1.bias[2] = -1000  # never above zero after the BatchNorm
        model.bn1.bias[0] = 1000
    scores = APoZ().scores(model, data=net_data())
    assert float(scores["conv1.weight"][2]) == 0
    assert float(scores["conv1.weight"][0]) == 1
    assert int(scores["conv1.weight"].argmin()) == 2
    dead = FisherChannels().scores(model, data=net_data())["conv1.weight"]
    assert float(dead[2]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_apoz_counts_what_the_relu_leaves(name):
    model = net()
    inputs, _ = seen(net_data())
    maps = functional.relu(model.bn1(model.conv1(inputs)))
    after = {"conv1.weight": maps.flatten(2)}
    maps = functional.relu(model.conv2(maps))
    after["conv2.weight"] = maps.flatten(2)
    after["fc1.weight"] = functional.relu(model.fc1(maps.flatten(1)))[:, :, None]
    zeros = (after[name] == 0).double().mean((0, 2))
    found = APoZ().scores(model, data=net_data())[name]
    torch.testing.assert_close(found.double(), 1 - zeros, rtol=1e-6, atol=1e-7)


def test_a_response_of_exactly_zero_is_a_zero():
    model = nn.Linear(4, 4).double()
    with torch.no_grad():
        model.weight[1], model.bias[1] = 0, 0
    assert float(APoZ().scores(model, data=data(4))["weight"][1]) == 0


class Sequence(nn.Module):
    """A linear layer whose inputs have time first, as recurrent networks have it."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 3).double(), nn.Linear(3, 4).double()

    def forward(self, rows):
        time_first = rows.reshape(len(rows), 2, 4).transpose(0, 1)
        return self.head(torch.relu(self.layer(time_first)).mean(0))


def test_examples_are_told_apart_wherever_the_batch_dimension_is():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Sequence()
    examples = data(8)
    terms = []
    for row, label in zip(*seen(examples), strict=True):
        gate = torch.ones(3, dtype=torch.float64, requires_grad=True)
        hidden = (torch.relu(model.layer(row.reshape(2, 4))) * gate).mean(0)
        loss = functional.cross_entropy(model.head(hidden)[None], label[None])
        terms.append(torch.autograd.grad(loss, gate)[0].square())
    expected = torch.stack(terms).mean(0) / 2
    found = FisherChannels().scores(model, ["layer.weight"], examples)["layer.weight"]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-18)


class Twice(nn.Module):
    """A convolution that is called twice, with a BatchNorm of its own each time."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1).double()
        self.norms = nn.ModuleList(nn.BatchNorm2d(3).double() for _ in range(2))
        self.head = nn.Linear(3, 4).double()

    def forward(self, maps, gate=None):
        for norm in self.norms:
            maps = torch.relu(norm(self.conv(maps)))
            maps = maps if gate is None else maps * gate[:, None, None]
        return self.head(maps.mean((2, 3)))


def test_a_shared_layer_has_one_gate_for_all_its_calls():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Twice().eval()
    terms = []
    for image, label in zip(*seen(net_data()), strict=True):
        gate = torch.ones(3, dtype=torch.float64, requires_grad=True)
        loss = functional.cross_entropy(model(image[None], gate), label[None])
        terms.append(torch.autograd.grad(loss, gate)[0].square())
    expected = torch.stack(terms).mean(0) / 2
    found = FisherChannels().scores(model, ["conv.weight"], net_data())["conv.weight"]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-18)


class PreActivated(nn.Module):
    """What the convolution gives goes into a BatchNorm and, beside it, over a shortcut."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.second, self.head = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 4)

    def forward(self, images, gate=None):
        gate = 1 if gate is None else gate[:, None, None]
        maps = self.conv(images)
        branch = self.second(torch.relu(self.norm(maps)) * gate)
        maps = maps * gate
        maps += branch  # in place, as torchvision's networks do
        return self.head(torch.relu(maps).mean((2, 3)))


def test_a_gate_is_on_every_way_that_the_channel_takes():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = PreActivated().double().eval()
        nn.init.normal_(model.norm.bias)
    terms = []
    for image, label in zip(*seen(net_data()), strict=True):
        gate = torch.ones(4, dtype=torch.float64, requires_grad=True)
        loss = functional.cross_entropy(model(image[None], gate), label[None])
        terms.append(torch.autograd.grad(loss, gate)[0].square())
    found = FisherChannels().scores(model, ["conv.weight"], net_data())["conv.weight"]
    torch.testing.assert_close(found, torch.stack(terms).mean(0) / 2, rtol=1e-9, atol=1e-18)
    inputs, _ = seen(net_data())
    active = (model.norm(model.conv(inputs)) > 0).double().mean((0, 2, 3))
    share = APoZ().scores(model, ["conv.weight"], net_data())["conv.weight"]
    torch.testing.assert_close(share.double(), active, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("saliency", [FisherChannels(), TaylorChannels(), APoZ()], ids=str)
def test_a_layer_that_is_never_called_is_named(saliency):
    model = nn.Sequential(nn.Linear(4, 4).double())
    model.register_module("idle", nn.Linear(4, 4).double())
    model.forward = lambda rows: model[0](rows)
    with pytest.raises(UnsupportedError, match=r"idle.weight: the network never calls this Linear"):
        saliency.scores(model, ["idle.weight"], data(4))


def signed():
    """Four filters whose signed sums say nothing of their size."""
    model = nn.Conv2d(1, 3, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(
            torch.tensor([[5.0, -5, 3, -3], [1, 1, 0, 0], [-2, -2, -2, 0]]).reshape(3, 1, 2, 2)
        )
    return model


def test_norms_of_filters_take_absolute_values():
    assert L1Norm().scores(signed())["weight"].tolist() == [16.0, 2.0, 6.0]
    expected = [68**0.5, 2**0.5, 12**0.5]
    assert L2Norm().scores(signed())["weight"].tolist() == pytest.approx(expected)


def test_the_sum_of_magnitudes_is_the_l1_norm():
    model = signed()
    represent(model, Prune(0.4))
    l1 = L1Norm().scores(model)["weight"]
    assert torch.equal(ChannelSum().scores(model)["weight"], l1)
    assert l1.tolist() == [16.0, 0.0, 6.0]


def test_sums_of_scores_that_need_data_and_arguments():
    summed = ChannelSum("true-fisher", {"seed": 3})
    assert summed.needs_data
    assert repr(summed) == "ChannelSum(of='true-fisher', arguments={'seed': 3})"
    for name in ("obd", "fisher"):
        kind = {"obd": OBD, "fisher": Fisher}[name]
        whole = kind().scores(net(), data=net_data())
        found = ChannelSum(name).scores(net(), data=net_data())
        assert all(torch.equal(found[each], whole[each].flatten(1).sum(1)) for each in whole)
    with pytest.raises(UsageError, match="is measured on training examples; give it a task"):
        ChannelSum("obd").scores(net())
    assert ChannelSum("large-init").needs_initial


@pytest.mark.parametrize("of", ["l1", "channel-sum", "nothing"])
def test_what_does_not_score_single_weights_cannot_be_summed(of):
    with pytest.raises(UsageError, match=f"no saliency '{of}' scores single weights; there are: m"):
        ChannelSum(of)


@pytest.mark.parametrize(("of", "has"), [("obd", "it has none"), ("true-fisher", "it has: seed")])
def test_an_argument_that_the_summed_saliency_has_not_is_refused_by_name(of, has):
    with pytest.raises(UsageError, match=f"^{of} has no argument 'foo'; {has}$"):
        ChannelSum(of, {"foo": 1})


def test_random_scores_of_channels_come_from_their_seed():
    first, again = (RandomChannels(seed=5).scores(net())["fc1.weight"] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, RandomChannels(seed=6).scores(net())["fc1.weight"])


@pytest.mark.parametrize("criterion", [FisherChannels(), TaylorChannels(), APoZ()], ids=str)
def test_an_activation_in_place_between_layer_and_batchnorm_changes_no_score(criterion):
    """The tensor that the BatchNorm gets is then the layer's own, with other values."""
    found = []
    for inplace in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(6, 5), nn.ReLU(inplace=inplace), nn.BatchNorm1d(5), nn.Linear(5, 4)
        ).double()
        found.append(criterion.scores(model, ["0.weight"], data(6))["0.weight"])
    assert torch.equal(*found)
