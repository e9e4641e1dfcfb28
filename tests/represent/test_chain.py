"""Chains on the weights of a model."""

import copy

import pytest
import torch
from torch import nn

from laconic import runtime
from laconic.errors import MismatchError, PatternError, UsageError
from laconic.pack import pack
from laconic.prune import STEPS as PRUNE_STEPS
from laconic.prune import Prune
from laconic.quantize import Affine, Uniform
from laconic.represent import (
    chain,
    chains,
    description,
    matches_layer,
    plain,
    plain_state,
    rebuild,
    represent,
    represent_layers,
    weights,
)
from laconic.share import Share

CLASSES = {kind.__name__: kind for kind in (*PRUNE_STEPS.values(), Share, Uniform, Affine)}


class Tied(nn.Module):
    """An embedding whose weight is also the last layer's, as language models have it."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 6)
        self.middle = nn.Linear(6, 6)
        self.head = nn.Linear(6, 10, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        return self.head(torch.relu(self.middle(self.embedding(tokens))))


@pytest.fixture
def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5), nn.Linear(5, 2)
    )


@pytest.fixture
def inputs():
    return torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def test_represent_fits_the_step_and_restricts_the_weight(network):
    step = represent(network[3], Prune(0.75))
    assert step.is_fitted
    assert int((network[3].weight == 0).sum()) == 60
    assert chain(network[3]) == [step]


def test_steps_join_in_order_and_a_second_of_the_same_class_replaces_the_first(network):
    represent(network[3], Prune(0.5))
    represent(network[3], Uniform(8))
    represent(network[3], Uniform(4))
    assert [str(step) for step in chain(network[3])] == [
        "Prune(sparsity=0.5)",
        "Uniform(bits=4, axis=None, clip='none')",
    ]


def test_a_replaced_grid_starts_from_what_the_old_one_left(network):
    """Finer after coarser: what the coarse grid made zero must not come back."""
    represent(network[3], Uniform(2))
    before = network[3].weight.detach().clone()
    represent(network[3], Uniform(8))
    torch.testing.assert_close(network[3].weight.detach(), before, rtol=1e-6, atol=0)
    assert torch.equal(network[3].weight.detach() == 0, before == 0)


def test_another_parameter_than_the_weight(network):
    represent(network[3], Prune(0.4), name="bias")
    assert int((network[3].bias == 0).sum()) == 2
    assert list(chains(network)) == ["3.bias"]


def test_a_parameter_that_does_not_exist_is_refused_with_those_that_do(network):
    with pytest.raises(UsageError, match=r"Linear.kernel: there is no such parameter; .*'bias'"):
        represent(network[3], Prune(0.5), name="kernel")
    with pytest.raises(UsageError, match="the layer has none"):
        represent(network[2], Prune(0.5))


def test_a_failing_fit_names_the_layer_and_leaves_no_chain(network):
    with pytest.raises(UsageError, match=r"^3\.weight: axis 7 does not exist in a shape of"):
        represent_layers(network, {"3.weight": Uniform(4, axis=7)})
    assert chains(network) == {}


def test_many_layers_at_once_by_name(network):
    represent_layers(network, {"0.weight": Prune(0.5), "4.weight": Prune(0.3)})
    assert {name: str(steps[0]) for name, steps in chains(network).items()} == {
        "0.weight": "Prune(sparsity=0.5)",
        "4.weight": "Prune(sparsity=0.3)",
    }


def test_a_name_that_matches_no_weight_lists_those_that_exist(network):
    with pytest.raises(PatternError, match=r"no layer matches 'fc1.weight'; .*: 0.weight, 0.bias"):
        represent_layers(network, {"fc1.weight": Prune(0.5)})


def test_a_tied_weight_keeps_one_chain_and_stays_tied():
    model = Tied()
    represent_layers(model, {"embedding.weight": Prune(0.5)})
    assert torch.equal(model.head.weight, model.embedding.weight)
    assert chain(model.head) == chain(model.embedding)
    assert list(chains(model)) == ["embedding.weight"]
    names = [name for name, _ in model.named_parameters()]
    assert sum("original" in name for name in names) == 1
    represent_layers(model, {"embedding.weight": Prune(0.8)})
    assert int((model.head.weight == 0).sum()) == 48


def test_weights_are_float_parameters_of_two_dimensions_or_more(network):
    assert list(weights(network)) == ["0.weight", "3.weight", "4.weight"]
    represent(network[3], Prune(0.5))
    assert list(weights(network)) == ["0.weight", "3.weight", "4.weight"]
    assert int((weights(network)["3.weight"] == 0).sum()) == 40
    assert not weights(network)["0.weight"].requires_grad
    assert list(weights(Tied())) == ["embedding.weight", "middle.weight"]


def test_patterns_choose_layers_by_path_or_by_full_name(network):
    assert list(weights(network, "3")) == ["3.weight"]
    assert list(weights(network, ["4.w*", "0"])) == ["0.weight", "4.weight"]
    assert matches_layer("block?.*", "block1.conv.weight")
    assert not matches_layer("conv", "conv1.weight")


def test_a_pattern_that_matches_nothing_lists_the_layers(network):
    with pytest.raises(PatternError) as refusal:
        weights(network, ["3", "conv*"])
    assert str(refusal.value) == "no layer matches 'conv*'; the layers are: 0, 3, 4"


def test_plain_state_has_the_dense_names_and_the_restricted_values(network):
    names = list(network.state_dict())
    represent(network[3], Prune(0.5))
    represent(network[3], Share(bits=2))
    state = plain_state(network)
    assert sorted(state) == sorted(names)
    assert torch.equal(state["3.weight"], network[3].weight)
    assert not any(value.requires_grad for value in state.values())


def test_plain_state_gives_tied_weights_as_one_tensor():
    model = Tied()
    state = plain_state(model)
    assert state["head.weight"] is state["embedding.weight"]
    represent_layers(model, {"embedding.weight": Prune(0.5)})
    state = plain_state(model)
    assert state["head.weight"] is state["embedding.weight"]
    assert torch.equal(state["head.weight"], model.head.weight)


def test_plain_state_of_a_model_that_is_one_layer():
    layer = nn.Linear(4, 4)
    represent(layer, Prune(0.5))
    assert sorted(plain_state(layer)) == ["bias", "weight"]


def test_the_plain_copy_computes_the_same_bits_without_chains(network, inputs):
    represent(network[0], Uniform(3, axis=0))
    represent(network[3], Prune(0.5))
    network.eval()
    twin = plain(network)
    assert torch.equal(twin(inputs), network(inputs))
    assert chains(twin) == {}
    assert list(chains(network)) == ["0.weight", "3.weight"]
    assert type(twin[0]) is nn.Conv2d
    assert torch.equal(plain_state(network)["0.weight"], twin.state_dict()["0.weight"])


def test_the_plain_copy_is_in_eval_mode_and_the_model_stays_as_it_was(network):
    network.train()
    assert not plain(network).training
    assert network.training


def test_the_plain_copy_keeps_ties():
    model = Tied()
    represent_layers(model, {"embedding.weight": Share(bits=3)})
    twin = plain(model)
    assert twin.head.weight is twin.embedding.weight
    tokens = torch.arange(10)
    assert torch.equal(twin(tokens), model.eval()(tokens))


def test_a_copy_of_a_model_with_chains_is_independent(network):
    represent(network[3], Prune(0.5))
    twin = copy.deepcopy(network)
    represent(twin[3], Prune(0.9))
    assert int((network[3].weight == 0).sum()) == 40
    assert int((twin[3].weight == 0).sum()) == 72


def test_chains_are_rebuilt_from_their_description(network):
    fresh = copy.deepcopy(network)
    represent(network[0], Prune(0.5))
    represent(network[0], Affine(5, axis=0))
    represent(network[3], Share(bits=3, start="density"))
    rebuild(fresh, description(network), CLASSES)
    assert description(fresh) == description(network)
    fresh.load_state_dict(network.state_dict())
    for name, value in plain_state(network).items():
        assert torch.equal(value, plain_state(fresh)[name]), name


def test_a_rebuilt_chain_says_that_its_state_is_missing(network):
    rebuild(network, {"3.weight": [{"step": "Prune", "sparsity": 0.5}]}, CLASSES)
    with pytest.raises(UsageError, match="has no mask yet"):
        network[3].weight  # noqa: B018


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"9.weight": [{"step": "Prune", "sparsity": 0.5}]}, "9.weight: no step 'Prune' can be"),
        ({"3.weight": [{"step": "Shrink"}]}, "3.weight: no step 'Shrink' can be put there again"),
        ({"3.weight": [{"step": "Prune", "amount": 1}]}, "3.weight: no Prune can be made again: "),
        ({"3.weight": [{"step": "Prune", "sparsity": 2}]}, "no Prune can be made again: sparsity"),
    ],
    ids=["an unknown weight", "an unknown step", "an unknown argument", "a refused argument"],
)
def test_a_description_that_does_not_fit_is_refused(network, described, message):
    with pytest.raises(MismatchError, match=message):
        rebuild(network, described, CLASSES)


def test_a_weight_under_weight_norm_can_be_pruned_and_made_plain():
    torch.manual_seed(0)
    net = nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(6, 4)))
    before = net[0].weight.detach().clone()
    assert list(weights(net)) == ["0.weight"]
    represent(net[0], Prune(0.5))
    represent(net[0], Prune(0.75))
    assert int((net[0].weight == 0).sum()) == 18
    kept = net[0].weight != 0
    assert torch.equal(net[0].weight[kept], before[kept])
    assert set(plain_state(net)) == {"0.bias", "0.weight"}
    assert torch.equal(plain(net)[0].weight, net[0].weight)


def tied_pair():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    network[2].weight = network[0].weight
    return network


@pytest.mark.parametrize("restricted", [0, 2])
def test_of_tied_layers_only_the_restricted_one_has_the_steps(restricted):
    network = tied_pair()
    step = represent(network[restricted], Prune(0.9))
    name, other = f"{restricted}.weight", f"{2 - restricted}.weight"
    assert chains(network) == {name: [step]}
    for values in (plain_state(network), weights(network)):
        assert int((values[name] != 0).sum()) == 4
        assert int((values[other] != 0).sum()) == 36
    inputs = torch.randn(5, 6)
    assert torch.equal(plain(network)(inputs), network(inputs))


@pytest.mark.parametrize("restricted", [0, 2])
def test_the_file_of_half_restricted_tied_layers_holds_the_network(restricted, tmp_path):
    network = tied_pair()
    represent(network[restricted], Prune(0.9))
    pack(network, tmp_path / "x.lac", example_input=torch.zeros(1, 6))
    inputs = torch.randn(5, 6)
    (output,) = runtime.load(tmp_path / "x.lac").run(inputs.numpy())
    assert torch.allclose(torch.from_numpy(output), network(inputs), atol=1e-5)


@pytest.mark.parametrize("restricted", [0, 2])
def test_half_restricted_tied_layers_are_refused_where_names_cannot_tell_them_apart(restricted):
    network = tied_pair()
    represent(network[restricted], Prune(0.9))
    for call in (description, lambda model: represent_layers(model, {"0.weight": Prune(0.5)})):
        with pytest.raises(UsageError, match=r"0\.weight and 2\.weight share a weight but not"):
            call(network)


def test_a_step_that_restricts_a_weight_is_refused_for_another(network):
    step = represent(network[3], Share(2))
    before = network[3].weight.detach().clone()
    with pytest.raises(UsageError, match=r"Linear\.weight: this Share\(.*\) restricts another"):
        represent(network[4], step)
    assert torch.equal(network[3].weight, before)
    assert chain(network[4]) == []
