"""Dead neurons: their remaining weights go, and the network computes the same."""

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Prune, drop_dead_neurons
from laconic.represent import represent, represent_layers, weights
from laconic.share import Share

NAMES = ["0.weight", "2.weight", "4.weight"]


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)
        )


def inputs():
    return torch.randn(20, 6, generator=torch.Generator().manual_seed(1))


def outputs(model):
    with torch.no_grad():
        return model(inputs())


def test_neurons_without_input_or_output_lose_the_rest_and_nothing_else_changes():
    model = network()
    with torch.no_grad():
        model[0].weight[2] = 0  # no input; its bias is a constant for the next layer
        model[0].bias[2] = 0.7
        model[2].weight[:, 5] = 0  # no output
        model[4].weight[:, 1] = 0
    before = outputs(model)
    assert drop_dead_neurons(model, NAMES) == 3
    torch.testing.assert_close(outputs(model), before, rtol=1e-6, atol=1e-6)
    first, second, third = (weights(model)[name] for name in NAMES)
    for row, columns in ((2, second), (5, second)):
        assert not first[row].any()
        assert model[0].bias[row] == 0
        assert not columns[:, row].any()
    assert not second[1].any()
    assert not third[:, 1].any()
    assert (int((first == 0).sum()), int((second == 0).sum())) == (12, 8 + 2 * 5 - 2)


def test_what_dies_of_a_dead_neuron_dies_too():
    """Neuron 3 of the first layer feeds neuron 0 of the second alone, which feeds nothing."""
    model = network()
    with torch.no_grad():
        model[2].weight[1:, 3] = 0
        model[4].weight[:, 0] = 0
    before = outputs(model)
    assert drop_dead_neurons(model, NAMES) == 2
    assert not weights(model)["0.weight"][3].any()
    torch.testing.assert_close(outputs(model), before, rtol=1e-6, atol=1e-6)


def test_the_zeros_are_held_in_later_training():
    model = network()
    represent_layers(model, {name: Prune(0.8) for name in NAMES[1:]})
    drop_dead_neurons(model, NAMES)
    zero = {name: weight == 0 for name, weight in weights(model).items()}
    assert int(zero["0.weight"].sum()) > 0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(inputs()).square().sum().backward()
        optimizer.step()
    for name, weight in weights(model).items():
        assert not weight[zero[name]].any()


def test_a_channel_before_flattening_has_many_columns():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4))
    with torch.no_grad():
        model[0].weight[1] = 0
    images = torch.randn(5, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = model(images)
        assert drop_dead_neurons(model, ["0.weight", "3.weight"], "none") == 1
        torch.testing.assert_close(model(images), before, rtol=1e-6, atol=1e-6)
    assert not weights(model)["3.weight"][:, 4:8].any()
    assert bool(weights(model)["3.weight"][:, :4].all())


def test_nothing_dead_drops_nothing():
    model = network()
    before = {name: weight.clone() for name, weight in weights(model).items()}
    assert drop_dead_neurons(model, NAMES) == 0
    assert all(torch.equal(before[name], weight) for name, weight in weights(model).items())


def everything_dead(model):
    with torch.no_grad():
        model[2].weight.zero_()
    return NAMES


def no_bias(model):
    model[2] = nn.Linear(8, 5, bias=False)
    with torch.no_grad():
        model[0].weight[2] = 0
        model[0].bias[2] = 0.7
    return NAMES


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (lambda model: NAMES[::-1], r"4\.weight has 3 outputs, but 2\.weight takes 8 inputs"),
        (lambda model: NAMES[:1], r"between two layers, but these are \['0\.weight'\]"),
        (everything_dead, r"0\.weight: all its 8 neurons are dead; prune less"),
        (no_bias, r"0\.weight: 1 neurons without input give constants, and 2\.weight has no bias"),
    ],
    ids=["another order", "one layer", "everything dead", "no bias to move to"],
)
def test_what_cannot_be_dropped_is_refused(names, message):
    model = network()
    given = names(model)
    with pytest.raises(UsageError, match=message):
        drop_dead_neurons(model, given)


def test_an_unknown_activation_is_refused():
    with pytest.raises(UsageError, match="no activation is named 'gelu'; there are: relu, none"):
        drop_dead_neurons(network(), NAMES, "gelu")


def test_a_weight_that_is_pruned_already_loses_its_neurons_too():
    model = network()
    represent(model[0], Prune(0.5))
    with torch.no_grad():
        model[2].weight[:, 5] = 0
    before = outputs(model)
    drop_dead_neurons(model, NAMES)
    torch.testing.assert_close(outputs(model), before, rtol=1e-6, atol=1e-6)
    assert not weights(model)["2.weight"][:, 5].any()
    assert not weights(model)["0.weight"][5].any()


def test_a_weight_on_a_grid_is_refused_by_name():
    model = network()
    represent(model[2], Share(bits=3))
    message = r"2\.weight is on the grid Share\(bits=3, start='linear'\); drop neurons before"
    with pytest.raises(UsageError, match=message):
        drop_dead_neurons(model, NAMES)


def test_a_constant_that_padding_would_change_at_the_border_is_refused():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3, padding=1))
    with torch.no_grad():
        model[0].weight[1] = 0
        model[0].bias[1] = 1.0
    message = "0.weight: 1 neurons without input give constants, and 2.weight pads with zeros"
    with pytest.raises(UsageError, match=message):
        drop_dead_neurons(model, ["0.weight", "2.weight"])
    with torch.no_grad():
        model[0].bias[1] = -1.0  # no constant behind the ReLU
    assert drop_dead_neurons(model, ["0.weight", "2.weight"]) == 1


def test_a_batchnorm_between_two_layers_is_refused():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(UsageError, match=r"0.weight has 3 outputs, as many as the BatchNorm 1"):
        drop_dead_neurons(model, ["0.weight", "3.weight"])
