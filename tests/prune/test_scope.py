"""Over what a sparsity is counted."""

import pytest
import torch
from torch import nn

from laconic.errors import PatternError, UsageError
from laconic.prune import SCOPES, Prune, weight_classes
from laconic.represent import represent, represent_layers, weights


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 7))
        with torch.no_grad():
            model[2].weight.mul_(3)
    return model


@pytest.fixture
def recurrent():
    """Gates whose weights differ in size: g's are four times as large as i's."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.ModuleDict({"lstm": nn.LSTM(6, 10), "decoder": nn.Linear(10, 12)})
        with torch.no_grad():
            for weight in (model["lstm"].weight_ih_l0, model["lstm"].weight_hh_l0):
                weight[20:30] *= 4
    return model


class Plain(nn.Module):
    """A model with these weights."""

    def __init__(self, **values):
        super().__init__()
        for name, value in values.items():
            self.register_parameter(name, nn.Parameter(torch.as_tensor(value)))


def magnitudes(model):
    return {name: value.abs() for name, value in weights(model).items()}


def prune(model, scope, sparsity):
    represent_layers(model, SCOPES[scope].steps(model, magnitudes(model), sparsity))
    return {name: int((value == 0).sum()) for name, value in weights(model).items()}


def class_zeros(model):
    return {
        name: (sum(int((p.of(weights(model)[p.weight]) == 0).sum()) for p in parts),
               sum(p.of(weights(model)[p.weight]).numel() for p in parts))
        for name, parts in weight_classes(model).items()
    }  # fmt: skip


@pytest.mark.parametrize("scope", ["global", "class-distribution"])
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.333, 0.5, 0.8])
def test_the_total_of_a_scope_over_all_is_exact(recurrent, scope, sparsity):
    zeros = prune(recurrent, scope, sparsity)
    assert sum(zeros.values()) == round(sparsity * (40 * 6 + 40 * 10 + 120))


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.333, 0.5, 0.8])
def test_every_class_loses_exactly_the_same_fraction(recurrent, sparsity):
    prune(recurrent, "class-uniform", sparsity)
    found = class_zeros(recurrent)
    assert len(found) == 9
    for zeros, count in found.values():
        assert zeros == round(sparsity * count)


def test_by_layer_the_small_gates_lose_more_than_by_class(recurrent):
    prune(recurrent, "layer", 0.5)
    found = class_zeros(recurrent)
    assert found["lstm.weight_hh_l0[i]"][0] > 60 > 20 > found["lstm.weight_hh_l0[g]"][0]


@pytest.mark.parametrize("zeros", [0.0, 0.5], ids=["dense", "with zeros already"])
def test_the_threshold_of_a_class_is_the_same_multiple_of_its_deviation(recurrent, zeros):
    """The definition itself: one λ lies between all that went and all that stayed."""
    represent(recurrent["lstm"], Prune(zeros), "weight_hh_l0")
    before = {name: value.clone() for name, value in weights(recurrent).items()}
    prune(recurrent, "class-distribution", 0.6)
    gone, stayed = [], []
    for parts in weight_classes(recurrent).values():
        (part,) = parts
        old, new = part.of(before[part.weight]), part.of(weights(recurrent)[part.weight])
        ratios = old.abs() / old.square().mean().sqrt()
        gone.append(ratios[new == 0].max())
        stayed.append(ratios[new != 0].min())
    assert max(gone) < min(stayed)


def test_globally_the_smallest_weights_of_all_layers_go(network):
    before = torch.cat([w.flatten() for w in weights(network).values()])
    zeros = prune(network, "global", 0.5)
    after = torch.cat([w.flatten() for w in weights(network).values()])
    assert before[after == 0].abs().max() <= before[after != 0].abs().min()
    assert zeros["0.weight"] / 600 > 2 * zeros["2.weight"] / 140


def test_by_layer_each_loses_the_same_fraction(network):
    assert prune(network, "layer", 0.5) == {"0.weight": 300, "2.weight": 70}


@pytest.mark.parametrize("scope", SCOPES)
def test_scores_decide_not_weights(network, scope):
    """With the scores turned round, the largest weights go."""
    scores = {name: -value.abs() + 9 for name, value in weights(network).items()}
    masks = SCOPES[scope].masks(network, scores, 0.5)
    for name, value in weights(network).items():
        assert value[masks[name]].abs().max() <= value[~masks[name]].abs().min()


@pytest.mark.parametrize("scope", SCOPES)
def test_the_steps_choose_the_masks_of_the_scope(recurrent, scope):
    masks = SCOPES[scope].masks(recurrent, magnitudes(recurrent), 0.45)
    prune(recurrent, scope, 0.45)
    for name, value in weights(recurrent).items():
        assert torch.equal(value != 0, masks[name])


@pytest.mark.parametrize("scope", SCOPES)
def test_zeros_that_are_there_already_go_first_and_count(network, scope):
    represent(network[0], Prune(0.4))
    torch.manual_seed(0)
    scores = {name: torch.rand_like(value) for name, value in weights(network).items()}
    before = {name: value == 0 for name, value in weights(network).items()}
    represent_layers(network, SCOPES[scope].steps(network, scores, 0.6))
    for name, value in weights(network).items():
        assert bool((value[before[name]] == 0).all())
    assert sum(int((value == 0).sum()) for value in weights(network).values()) == 444


def test_pruning_for_less_than_there_is_changes_nothing(network):
    represent(network[0], Prune(0.9))
    before = {name: value.clone() for name, value in weights(network).items()}
    prune(network, "global", 0.3)
    for name, value in weights(network).items():
        assert torch.equal(value, before[name])


def test_of_equal_scores_the_earlier_layer_and_the_lower_index_go_first():
    model = Plain(first=torch.ones(1, 4), second=-torch.ones(1, 4))
    masks = SCOPES["global"].masks(model, magnitudes(model), 0.375)
    assert masks["first"].tolist() == [[False, False, False, True]]
    assert masks["second"].tolist() == [[True] * 4]


def test_the_sparsity_that_was_asked_for_stands_in_the_chain(network):
    steps = SCOPES["layer"].steps(network, magnitudes(network), 0.333)
    assert {str(step) for step in steps.values()} == {"Prune(sparsity=0.333)"}


@pytest.mark.parametrize("scope", SCOPES)
def test_an_empty_layer_and_a_layer_of_zeros_have_nothing_to_lose(scope):
    model = Plain(empty=torch.ones(1, 0), zero=torch.zeros(1, 4), full=torch.arange(1.0, 5)[None])
    represent_layers(model, SCOPES[scope].steps(model, magnitudes(model), 0.5))
    assert int((weights(model)["full"] == 0).sum()) == (0 if scope in FROM_ALL else 2)


FROM_ALL = ("global", "class-distribution")


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("layer", r"tiny: at 0\.9, all its 2 weights would be zero"),
        ("class-uniform", r"tiny: at 0\.9, all its 2 weights would be zero"),
        ("global", r"tiny: at 0\.9 over all together, all its 2 weights would be zero"),
    ],
)
def test_a_layer_that_would_vanish_is_named(scope, message):
    model = Plain(tiny=torch.full((1, 2), 0.01), large=torch.arange(9.0, 29)[None])
    with pytest.raises(UsageError, match=message):
        SCOPES[scope].masks(model, magnitudes(model), 0.9)


def test_a_gate_that_would_vanish_is_named_though_its_weight_would_not():
    model = nn.ModuleDict({"lstm": nn.LSTM(2, 2)})
    message = r"lstm\.weight_ih_l0\[i\]: at 0\.9, all its 4 weights would be zero"
    with pytest.raises(UsageError, match=message):
        SCOPES["class-uniform"].masks(model, magnitudes(model), 0.9)


@pytest.mark.parametrize("scope", SCOPES)
def test_what_cannot_be_scoped_is_refused(network, scope):
    chosen, scores = SCOPES[scope], magnitudes(network)
    with pytest.raises(UsageError, match=r"sparsity 1.2 is outside \[0, 1\)"):
        chosen.masks(network, scores, 1.2)
    with pytest.raises(UsageError, match="no weights were given"):
        chosen.masks(network, {}, 0.5)
    with pytest.raises(PatternError, match="no layer matches 'fc'"):
        chosen.masks(network, {"fc": torch.ones(2, 2)}, 0.5)
    with pytest.raises(UsageError, match=r"0\.weight: the scores have the shape \[2, 2\], the wei"):
        chosen.masks(network, {"0.weight": torch.ones(2, 2)}, 0.5)
    with pytest.raises(UsageError, match=r"2\.weight: 140 of 140 scores are NaN"):
        chosen.masks(network, {"2.weight": scores["2.weight"] * torch.nan}, 0.5)
