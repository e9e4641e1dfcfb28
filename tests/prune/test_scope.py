"""Over what a sparsity is counted."""

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.prune import SCOPES, Prune, global_scope, layer_scope
from laconic.represent import represent_layers, weights


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 7))
        with torch.no_grad():
            model[2].weight.mul_(3)
    return model


def prune(network, scope, sparsity):
    shares = SCOPES[scope](weights(network), sparsity)
    represent_layers(network, {name: Prune(share) for name, share in shares.items()})
    return {name: int((value == 0).sum()) for name, value in weights(network).items()}


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.333, 0.5, 0.8])
def test_the_global_total_is_exact(network, sparsity):
    zeros = prune(network, "global", sparsity)
    assert sum(zeros.values()) == round(sparsity * 740)


def test_globally_the_smallest_weights_of_all_layers_go(network):
    before = torch.cat([w.flatten() for w in weights(network).values()])
    zeros = prune(network, "global", 0.5)
    after = torch.cat([w.flatten() for w in weights(network).values()])
    assert before[after == 0].abs().max() <= before[after != 0].abs().min()
    assert zeros["0.weight"] / 600 > 2 * zeros["2.weight"] / 140


def test_by_layer_each_loses_the_same_fraction(network):
    assert prune(network, "layer", 0.5) == {"0.weight": 300, "2.weight": 70}


def test_of_equal_magnitudes_the_earlier_layer_and_the_lower_index_go_first():
    equal = {"first": torch.ones(4), "second": -torch.ones(4)}
    assert global_scope(equal, 0.375) == {"first": 0.75, "second": 0.0}


def test_the_layer_scope_is_the_fraction_itself():
    assert layer_scope({"a": torch.ones(3), "b": torch.ones(5)}, 0.3) == {"a": 0.3, "b": 0.3}


def test_an_empty_layer_has_nothing_to_lose():
    shares = global_scope({"empty": torch.ones(0), "full": torch.ones(4)}, 0.5)
    assert shares == {"empty": 0.0, "full": 0.5}


def test_a_layer_that_would_vanish_is_named():
    layers = {"small": torch.full((5,), 0.1), "large": torch.full((5,), 9.0)}
    message = r"small: at 0\.6 over all layers, all its 5 weights would be zero"
    with pytest.raises(UsageError, match=message):
        global_scope(layers, 0.6)


def test_a_sparsity_that_is_no_fraction_is_refused():
    with pytest.raises(UsageError, match=r"sparsity 1.2 is outside \[0, 1\)"):
        global_scope({"a": torch.ones(3)}, 1.2)


def test_no_layers_at_all_are_refused():
    with pytest.raises(UsageError, match="no weights were given"):
        global_scope({}, 0.5)
