"""Channels, neurons, heads and hidden units that are removed for real."""

import json

import pytest
import torch
from check_surgery import check_surgery, stir_norms
from torch import nn
from torch.nn import functional

from laconic import zoo
from laconic.errors import MismatchError, UnsupportedError, UsageError
from laconic.prune import Prune
from laconic.quantize import Uniform
from laconic.represent import chains, represent
from laconic.share import Share
from laconic.surgery import Cut, Groups, apply_cut, remove
from laconic.surgery.remove import set_zero


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def seeded(make, *arguments, **named):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(*arguments, **named)


@pytest.mark.parametrize("name", ["lenet-300-100", "lenet5", "resnet20", "resnet32"])
def test_a_cut_network_of_the_zoo_computes_what_the_zeroed_one_does(name):
    model = seeded(zoo.resolve_model, name)
    stir_norms(model)
    check_surgery(model, noise(2, *((1, 28, 28) if "lenet" in name else (3, 32, 32))))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet44", "resnet56", "resnet110"])
def test_a_deep_network_of_the_zoo_computes_what_the_zeroed_one_does(name):
    model = seeded(zoo.resolve_model, name)
    stir_norms(model)
    check_surgery(model, noise(1, 3, 32, 32))


class Branches(nn.Module):
    """Concatenation, a depthwise convolution, flatten, a module used twice."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 6, 3, padding=1)
        self.depthwise = nn.Conv2d(10, 20, 3, padding=1, groups=10)
        self.middle = nn.Conv2d(20, 12, 3)
        self.twice = nn.Conv2d(12, 12, 1)
        self.out = nn.Linear(12 * 6 * 6, 5)

    def forward(self, images):
        maps = torch.cat([self.left(images), functional.relu(self.right(images))], 1)
        maps = self.middle(functional.hardswish(self.depthwise(maps)))
        maps = self.twice(torch.tanh(self.twice(maps)))
        return self.out(maps.flatten(1))


def test_coupled_channels_go_together():
    model = seeded(Branches)
    groups = Groups(model, noise(1, 3, 8, 8))
    places = {name: {str(part) for part in group.slices} for name, group in groups.items()}
    assert groups["left"].size == 4
    assert "depthwise.weight: rows, 2 each" in places["left"]
    assert "twice.weight: columns" in places["middle"]
    assert "twice.weight: rows" in places["middle"]
    assert "out.weight: columns, 36 each" in places["middle"]
    check_surgery(model, noise(2, 3, 8, 8))
    assert (model.left.out_channels, model.right.out_channels) == (3, 4)
    assert (model.depthwise.groups, model.depthwise.out_channels) == (7, 14)


def test_groups_stay_equally_large():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 3, groups=4), nn.ReLU(), nn.Conv2d(12, 2, 1)
    )
    groups = Groups(model, noise(1, 3, 5, 5))
    assert (groups["0"].size, groups["1"].size) == (2, 3)
    remove(model, noise(1, 3, 5, 5), {"0": [0], "1": [1]}, groups)
    assert (model[1].in_channels, model[1].out_channels, model[1].groups) == (4, 8, 4)


def test_a_convolution_of_one_input_channel_is_no_depthwise_one():
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 1, 3), nn.Conv2d(1, 4, 1),
                          nn.Conv2d(4, 2, 1))  # fmt: skip
    groups = Groups(model, noise(1, 1, 8, 8))
    assert {name: group.size for name, group in groups.items()} == {"0": 6, "3": 4}
    check_surgery(model, noise(1, 1, 8, 8))
    assert [(c.in_channels, c.groups) for c in model if isinstance(c, nn.Conv2d)] == [
        (1, 1), (4, 1), (1, 1), (3, 1)
    ]  # fmt: skip


class Bare(nn.Module):
    """A bare parameter and a functional call in place of modules."""

    def __init__(self):
        super().__init__()
        self.weight, self.scale = nn.Parameter(noise(6, 4)), nn.Parameter(noise(6))
        self.out = nn.Linear(6, 3)

    def forward(self, rows):
        return self.out(functional.linear(rows, self.weight) * self.scale)


def test_bare_parameters_and_functional_calls_are_seen():
    model = seeded(Bare)
    groups = Groups(model, noise(2, 4))
    (group,) = groups.values()
    assert [str(part) for part in group.slices] == [
        "weight: rows", "scale: rows", "out.weight: columns"
    ]  # fmt: skip
    check_surgery(model, noise(2, 4))
    assert model.weight.shape == (4, 4)
    assert model.scale.shape == (4,)


class Fused(nn.Module):
    """Attention with one projection for queries, keys and values."""

    def __init__(self, heads=4, features=24):
        super().__init__()
        self.heads, self.each = heads, features // heads
        self.qkv, self.out = nn.Linear(features, 3 * features), nn.Linear(features, features)

    def forward(self, tokens):
        batch, count, _ = tokens.shape
        parts = self.qkv(tokens).reshape(batch, count, 3, self.heads, self.each)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(batch, count, self.heads * self.each))


def test_heads_of_a_fused_projection_go_whole():
    model = seeded(Fused)
    groups = Groups(model, noise(1, 5, 24))
    assert (groups["qkv"].size, groups["qkv"].slices[0].each) == (4, 18)
    cut = check_surgery(model, noise(1, 5, 24))
    assert cut.attributes == {"heads": 3}
    assert model.qkv.out_features == 54


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one direction", "both directions"])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN], ids=lambda kind: kind.__name__)
def test_hidden_units_go_from_all_gates(kind, bidirectional):
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(20, 8)
            self.cells = kind(8, 6, 2, batch_first=True, bidirectional=bidirectional)
            self.out = nn.Linear(12 if bidirectional else 6, 5)

        def forward(self, tokens):
            return self.out(self.cells(self.words(tokens))[0])

    model = seeded(Tagger)
    check_surgery(model, torch.arange(10).reshape(2, 5))
    assert (model.cells.hidden_size, model.cells.input_size) == (4, 6)
    assert model.words.embedding_dim == 6


def test_chains_shrink_with_their_weight():
    model = seeded(zoo.resolve_model, "lenet5")
    represent(model.conv2, Prune(0.5))
    represent(model.conv2, Share(bits=3))
    before = model.conv2.weight.detach().clone()
    remove(model, noise(1, 1, 28, 28), {"conv1": [0, 7], "conv2": [3]})
    stays = [row for row in range(50) if row != 3]
    columns = [column for column in range(20) if column not in (0, 7)]
    assert torch.equal(model.conv2.weight, before[stays][:, columns])
    (chain,) = chains(model).values()
    assert [tuple(step.state_dict()["mask"].shape) for step in chain[:1]] == [(49, 18, 5, 5)]
    loss = model(noise(2, 1, 28, 28)).square().sum()
    loss.backward()
    assert chain[1].codebook.grad is not None


def test_a_cut_survives_a_json_text_and_is_refused_by_a_network_that_has_it():
    model, other = (seeded(zoo.resolve_model, "lenet5") for _ in range(2))
    cut = remove(model, noise(1, 1, 28, 28), {"conv1": [19]})
    apply_cut(other, Cut.from_json(json.loads(json.dumps(cut.as_json()))))
    assert torch.equal(model(noise(1, 1, 28, 28)), other(noise(1, 1, 28, 28)))
    message = r"conv1.weight has the shape \[19, 1, 5, 5\]; .*to 19 along dimension 0.* cut already"
    with pytest.raises(MismatchError, match=message):
        apply_cut(other, Cut({"conv1.weight": {0: list(range(20))}}))


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"conv1": list(range(20))}, "conv1: all 20 units would be removed; leave at least one"),
        ({"conv1": [20]}, "conv1 has the units 0 to 19; there is no 20"),
        ({"conv3": [0]}, "no group is named 'conv3'; there are: conv1, conv2, fc1"),
    ],
    ids=["every unit", "no such unit", "no such group"],
)
def test_what_cannot_be_removed_is_refused(units, message):
    model = zoo.resolve_model("lenet5")
    with pytest.raises(UsageError, match=message):
        remove(model, noise(1, 1, 28, 28), units)
    assert model.conv1.out_channels == 20


class Branching(nn.Module):
    """Cannot be traced: it looks at its data."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, rows):
        hidden = self.layer(rows)
        return hidden if hidden.sum() > 0 else -hidden


def test_what_cannot_be_traced_is_refused_with_its_line():
    message = r"(?s)cannot be traced.*test_remove.py, line \d+: return hidden if hidden.sum\(\) > 0"
    with pytest.raises(UnsupportedError, match=message):
        Groups(Branching(), noise(1, 4))


def test_an_example_that_does_not_fit_is_refused_with_its_line():
    with pytest.raises(UsageError, match=r"does not run on the example: RuntimeError.*lenet.py"):
        Groups(zoo.resolve_model("lenet5"), noise(1, 3, 28, 28))


class Stubborn(nn.Module):
    """Keeps a size in its code, where nobody finds it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, rows):
        return self.second(self.first(rows).reshape(-1, 6))


def test_a_size_in_the_code_is_refused_and_nothing_changes():
    model = Stubborn()
    with pytest.raises(UnsupportedError, match="first: the network without these units does not"):
        remove(model, noise(2, 4), {"first": [0]})
    assert model.first.out_features == 6


def test_what_stays_has_a_reason():
    fixed = Groups(zoo.resolve_model("lenet5"), noise(1, 1, 28, 28)).fixed()
    assert fixed == {"fc2.weight": "output: it is an output of the network"}
    normed = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    because = Groups(normed, noise(1, 3)).fixed()["0.weight"]
    assert because.startswith("layer_norm (1")
    assert because.endswith("mean and variance are over all of them")


@pytest.mark.parametrize("axis", [0, None], ids=["a scale a channel", "one scale"])
def test_scales_of_channels_go_with_them(axis):
    model = seeded(zoo.resolve_model, "lenet5")
    represent(model.conv2, Uniform(bits=4, axis=axis))
    represent(model.conv2, Share(bits=2), "bias")
    before = model.conv2.weight.detach().clone(), model.conv2.bias.detach().clone()
    remove(model, noise(1, 1, 28, 28), {"conv2": [3, 20]})
    stays = [row for row in range(50) if row not in (3, 20)]
    assert torch.equal(model.conv2.weight, before[0][stays])
    assert torch.equal(model.conv2.bias, before[1][stays])


def test_a_weight_that_another_package_computes_is_never_left_standing():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    torch.nn.utils.parametrizations.weight_norm(model[0])
    cut = Cut({"0.weight": {0: [0, 1]}})
    with pytest.raises(UnsupportedError, match=r"0\.weight is computed by a parametrization"):
        set_zero(model, cut)
    remove(model, noise(1, 4), {"0": [2, 5]})
    assert model[0].out_features == 4
