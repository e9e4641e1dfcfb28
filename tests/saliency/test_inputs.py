"""What a layer multiplies its weight with."""

import pytest
import torch
from small import data, gaussian, net, net_data, seen
from torch import nn

from laconic.errors import UnsupportedError, UsageError
from laconic.saliency import Wanda, input_hessians
from laconic.saliency.layers import for_each_weight, input_rows

LAYERS = {
    "linear": (nn.Linear(6, 4), (2, 6)),
    "linear on sequences": (nn.Linear(6, 4), (2, 5, 6)),
    "one dimension": (nn.Conv1d(3, 4, 3, stride=2, dilation=2), (2, 3, 11)),
    "two dimensions": (nn.Conv2d(3, 4, (3, 2), stride=(1, 2), padding=(2, 1)), (2, 3, 7, 8)),
    "three dimensions": (nn.Conv3d(2, 4, 2), (2, 2, 3, 4, 3)),
    "groups": (nn.Conv2d(6, 4, 3, groups=2), (2, 6, 5, 5)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4), (2, 4, 5, 5)),
    "same padding of an even kernel": (nn.Conv2d(3, 4, 4, padding="same"), (2, 3, 7, 7)),
    "circular padding": (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (2, 3, 5, 5)),
    "no batch": (nn.Conv2d(3, 4, 3), (3, 5, 5)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_rows_times_the_weight_are_the_outputs(layer, shape):
    inputs = gaussian(*shape).float()
    rows = input_rows(layer, inputs)
    outputs = rows @ layer.weight.reshape(len(rows), -1, rows.shape[2]).mT
    outputs = outputs.movedim(1, 0).flatten(1) + layer.bias
    expected = layer(inputs)
    if not isinstance(layer, nn.Linear):
        expected = expected.movedim(1 - layer.weight.ndim, -1)
    torch.testing.assert_close(outputs, expected.reshape(-1, len(layer.bias)))


def test_a_figure_for_each_column_meets_the_weights_of_its_group():
    columns = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert for_each_weight(torch.zeros(4, 2, 1), columns).flatten(1).tolist() == [
        [1, 2], [1, 2], [3, 4], [3, 4],
    ]  # fmt: skip


def test_the_hessian_is_that_of_all_examples_whatever_the_batches():
    inputs, _ = seen(net_data())
    rows = input_rows(net().conv1, inputs)
    products = rows.mT @ rows / len(inputs)
    expected = products + 0.5 * products.diagonal(dim1=1, dim2=2).mean() * torch.eye(27).double()
    found = input_hessians(net(), ["conv1.weight"], net_data(), damping=0.5)["conv1.weight"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_a_group_has_a_hessian_of_its_own():
    model = net()
    found = input_hessians(model, ["conv2.weight"], net_data(), damping=1e-9)["conv2.weight"]
    inputs, _ = seen(net_data())
    maps = torch.relu(model.bn1(model.conv1(inputs)))
    part = nn.Conv2d(2, 3, 3, stride=2).double()
    for place in range(2):
        (rows,) = input_rows(part, maps[:, 2 * place : 2 * place + 2])
        torch.testing.assert_close(found[place], rows.mT @ rows / len(inputs), rtol=1e-6, atol=1e-6)


class Shared(nn.Module):
    """One linear layer, called twice."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4, bias=False).double()

    def forward(self, rows):
        return self.layer(input=self.layer(rows))


def test_a_layer_that_is_called_twice_has_the_inputs_of_both_calls():
    model = Shared()
    inputs, _ = seen(data(4))
    both = torch.cat([inputs, model.layer(inputs)])
    found = Wanda().scores(model, data=data(4))["layer.weight"]
    torch.testing.assert_close(
        found, model.layer.weight.abs() * both.norm(dim=0), rtol=1e-12, atol=0
    )


class Tied(nn.Module):
    """Two layers with one weight, and one that nobody calls."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4).double(), nn.Linear(4, 4).double()
        self.second.weight = self.first.weight
        self.unused = nn.Linear(4, 4).double()

    def forward(self, rows):
        return self.second(self.first(rows)) @ self.unused.weight


def test_a_weight_of_two_layers_has_the_inputs_of_both():
    model = Tied()
    inputs, _ = seen(data(4))
    both = torch.cat([inputs, model.first(inputs)])
    found = Wanda().scores(model, ["first.weight"], data(4))["first.weight"]
    torch.testing.assert_close(
        found, model.first.weight.abs() * both.norm(dim=0), rtol=1e-12, atol=0
    )


def test_a_layer_that_is_never_called_is_named():
    with pytest.raises(UnsupportedError, match=r"unused.weight: the network never calls this Lin"):
        Wanda().scores(Tied(), data=data(4))


@pytest.mark.parametrize("damping", [0.0, -1.0, float("nan")])
def test_a_damping_that_is_not_positive_is_refused(damping):
    with pytest.raises(UsageError, match=r"is not positive; 0.01 is usual"):
        input_hessians(net(), ["fc1.weight"], net_data(), damping=damping)


def test_a_layer_that_sees_zeros_alone_has_a_hessian_all_the_same():
    model = net()
    with torch.no_grad():
        model.conv2.weight.zero_()
        model.conv2.bias.zero_()
    (found,) = input_hessians(model, ["fc1.weight"], net_data())["fc1.weight"]
    assert torch.equal(found, torch.eye(24, dtype=torch.float64))


def test_wanda_squared_is_what_the_outputs_lose():
    """Of the layer's outputs, over all examples and positions, for one weight at a time."""
    model = net()
    inputs, _ = seen(net_data())
    maps = torch.relu(model.bn1(model.conv1(inputs)))
    scores = Wanda().scores(model, ["conv2.weight"], net_data())["conv2.weight"]
    before = model.conv2(maps)
    for place in [(0, 0, 0, 0), (2, 1, 1, 2), (3, 0, 2, 1), (5, 1, 0, 0)]:
        weight = model.conv2.weight.detach().clone()
        weight[place] = 0
        after = torch.func.functional_call(model.conv2, {"weight": weight}, (maps,))
        lost = (after - before).square().sum()
        torch.testing.assert_close(scores[place] ** 2, lost, rtol=1e-9, atol=0)
