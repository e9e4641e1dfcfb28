"""Architectures in plain PyTorch, each with something that a cut can get wrong."""

import copy

import pytest
import torch
from check_surgery import check_surgery, stir_norms
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from laconic.errors import UnsupportedError, UsageError
from laconic.surgery import Groups, remove
from laconic.surgery.remove import difference, outputs, zeroed


def noise(*shape, seed=5):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


def cut_everywhere(model, example, *others):
    """Cut, and compare on other inputs too: of another content, number and size."""
    stir_norms(model)
    before = copy.deepcopy(model).eval()
    cut = check_surgery(model, example)
    for other in others:
        wanted = outputs(zeroed(before, cut), other)
        assert difference(outputs(model, other), wanted) <= 1e-5
    return cut


def head(channels):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4)]


class Shuffled(nn.Module):
    """ShuffleNetV2's unit (arXiv:1807.11164): half of the channels pass, then they mix."""

    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            nn.Conv2d(half, half, 1), nn.BatchNorm2d(half), nn.ReLU(),
            nn.Conv2d(half, half, 3, padding=1, groups=half), nn.Conv2d(half, half, 1), nn.ReLU(),
        )  # fmt: skip

    def forward(self, maps):
        one, other = maps.chunk(2, 1)
        maps = torch.cat([one, self.branch(other)], 1)
        return functional.channel_shuffle(maps, 2)


class UNet(nn.Module):
    """Skips that are concatenated, instance norms, unpooling, transposed convolutions."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.InstanceNorm2d(6, affine=True))
        self.middle = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.InstanceNorm2d(8))
        self.back = nn.Conv2d(8, 6, 1)
        self.up = nn.ConvTranspose2d(8, 6, 2, 2)
        self.out = nn.Conv2d(18, 2, 1)

    def forward(self, images):
        fine = functional.relu(self.down(images))
        coarse, places = functional.max_pool2d(fine, 2, return_indices=True)
        coarse = functional.relu(self.middle(coarse))
        again = functional.max_unpool2d(self.back(coarse), places, 2)
        return self.out(torch.cat([fine, again, self.up(coarse)], 1))


def generator():
    """From a vector to an image, the shape of the first map in a module."""
    return nn.Sequential(
        nn.Linear(6, 8 * 16), nn.Unflatten(1, (8, 4, 4)), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.PReLU(6), nn.ConvTranspose2d(6, 3, 4, 2, 1),
    )  # fmt: skip


def normalised(restrict):
    """Weights that torch computes from others."""
    return nn.Sequential(
        restrict(nn.Conv2d(3, 8, 3)), nn.ReLU(), restrict(nn.Conv2d(8, 10, 3)), nn.ReLU(), *head(10)
    )


class Partial(nn.Module):
    """Attention that turns half of each head's features with the position (GPT-NeoX, Phi)."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(24, 24) for _ in range(4))
        angles = torch.arange(5.0)[:, None] / torch.tensor([1.0, 10.0, 1.0, 10.0])
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def turned(self, heads):
        part, rest = heads[..., :4], heads[..., 4:]
        halves = torch.cat([-part[..., 2:], part[..., :2]], -1)
        return torch.cat([part * self.cos + halves * self.sin, rest], -1)

    def forward(self, tokens):
        q, k, v = (
            layer(tokens).unflatten(-1, (-1, 8)).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        scores = self.turned(q) @ self.turned(k).transpose(-1, -2)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Pairs(nn.Module):
    """A bilinear layer of two vectors, a maximum of two, a norm."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(5, 8), nn.Linear(4, 9)
        self.both, self.out = nn.Bilinear(8, 9, 10), nn.Linear(10, 3)

    def forward(self, one, other):
        both = self.both(torch.max(self.one(one), torch.zeros(())), self.other(other).tanh())
        return functional.normalize(self.out(functional.relu(both)))


class Cells(nn.Module):
    """Words that are summed, then recurrent cells in a loop."""

    def __init__(self):
        super().__init__()
        self.words = nn.EmbeddingBag(20, 8)
        self.cell, self.last = nn.LSTMCell(8, 10), nn.GRUCell(10, 7)
        self.out = nn.Linear(7, 3)

    def forward(self, words):
        bag, state, hidden = self.words(words), None, None
        for _ in range(3):
            state = self.cell(bag, state)
            hidden = self.last(state[0], hidden)
        return self.out(hidden)


class Summed(nn.Module):
    """Attention in Einstein's notation: bare parameters ``[heads, inputs, features]``."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Parameter(torch.randn(3, 12, 4) / 3) for _ in range(3))
        self.o, self.out = nn.Parameter(torch.randn(3, 4, 12) / 3), nn.Linear(12, 5)

    def forward(self, tokens):
        q, k, v = (torch.einsum("btd,hde->bhte", tokens, part) for part in (self.q, self.k, self.v))
        scores = torch.einsum("bhie,bhje->bhij", q, k).softmax(-1)
        return self.out(torch.einsum("bhij,bhje,hed->bid", scores, v, self.o))


class Aside(nn.Module):
    """A classifier beside the network, whose answer counts in training alone."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3)
        self.aside, self.out = nn.Conv2d(8, 4, 1), nn.Conv2d(6, 4, 1)

    def forward(self, images):
        maps = self.first(images).relu()
        aside = self.aside(maps)
        result = self.out(self.second(maps).relu())
        return (result, aside) if self.training else result


class Sharp(nn.Module):
    """Attention whose queries and keys are normalised in each head (Qwen3, Swin V2)."""

    def __init__(self):
        super().__init__()
        self.qkv, self.norm, self.out = nn.Linear(24, 72), nn.LayerNorm(8), nn.Linear(24, 5)

    def forward(self, tokens):
        q, k, v = (
            part.unflatten(-1, (-1, 8)).transpose(1, 2) for part in self.qkv(tokens).chunk(3, -1)
        )
        q, k = self.norm(q), functional.normalize(k, dim=-1)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))


IMAGES = [noise(2, 3, 16, 16), noise(2, 3, 16, 16, seed=6), noise(3, 3, 16, 16)]
NETWORKS = {
    "channels that are shuffled": (
        lambda: nn.Sequential(nn.Conv2d(3, 16, 1), *[Shuffled(16) for _ in range(2)], *head(16)),
        [*IMAGES, noise(1, 3, 8, 8)],
    ),
    "skips and instance norms": (UNet, [*IMAGES, noise(1, 3, 8, 8)]),
    "a generator": (generator, [noise(2, 6), noise(3, 6)]),
    "weight norm": (lambda: normalised(parametrizations.weight_norm), IMAGES),
    "spectral norm": (lambda: normalised(parametrizations.spectral_norm), IMAGES),
    "partial rotary positions": (Partial, [noise(2, 5, 24), noise(1, 5, 24, seed=6)]),
    "heads that are normalised": (Sharp, [noise(2, 5, 24), noise(1, 9, 24)]),
    "heads in Einstein's notation": (Summed, [noise(2, 5, 12), noise(1, 9, 12)]),
    "an answer that nobody uses": (Aside, [*IMAGES, noise(1, 3, 8, 8)]),
    "a bilinear layer": (Pairs, [(noise(2, 5), noise(2, 4)), (noise(3, 5), noise(3, 4))]),
    "recurrent cells": (Cells, [torch.arange(8).reshape(2, 4), torch.arange(15).reshape(3, 5)]),
    "volumes": (
        lambda: nn.Sequential(
            nn.Conv3d(2, 6, 3), nn.BatchNorm3d(6), nn.ReLU(), nn.Conv3d(6, 6, 1, groups=6),
            nn.Upsample(scale_factor=2, mode="trilinear"), nn.ConvTranspose3d(6, 8, 2), nn.ReLU(),
            nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 3),
        ),
        [noise(2, 2, 6, 6, 6), noise(1, 2, 5, 6, 7)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_a_cut_network_computes_what_it_does_with_zeros_on_any_input(name):
    make, examples = NETWORKS[name]
    cut_everywhere(seeded(make), *examples)


def test_halves_that_are_split_off_stay_equally_large():
    model = seeded(lambda: nn.Sequential(nn.Conv2d(3, 8, 1), Shuffled(8), *head(8)))
    groups = Groups(model, IMAGES[0])
    reasons = {reason for group in groups.values() for _, reason in group.because}
    assert "equal parts stay equally large" in reasons


def test_heads_go_whole_where_some_of_their_features_turn_with_the_position():
    groups = Groups(seeded(Partial), noise(2, 5, 24))
    sizes = {str(part): groups["q"].size for part in groups["q"].slices}
    assert groups["q"].size == 3
    assert "k.weight: rows, 8 each" in sizes


def test_heads_go_whole_where_their_features_are_normalised():
    groups = Groups(seeded(Sharp), noise(2, 5, 24))
    assert [(group.size, group.slices[0].each) for group in groups.values()] == [(3, 24)]


def test_classes_of_an_answer_that_nobody_uses_stay():
    groups = Groups(seeded(Aside), IMAGES[0])
    assert list(groups) == ["first", "second"]
    assert "aside.weight: columns" in {str(part) for part in groups["first"].slices}
    assert groups.fixed()["aside.weight"].endswith("nobody uses it")


def test_a_weight_that_torch_computes_becomes_a_plain_one_and_the_rest_stay():
    model = seeded(lambda: normalised(parametrizations.weight_norm))
    cut = remove(model, IMAGES[0], {"0": [0, 3]})
    assert model[0].weight.shape == (6, 3, 3, 3)
    assert isinstance(model[0].weight, nn.Parameter)
    assert not hasattr(model[2], "parametrizations")
    assert cut.attributes == {}


def test_attention_of_torch_stays_and_the_reason_says_what_frees_it():
    model = nn.TransformerEncoderLayer(12, 3, 20, batch_first=True)
    groups = Groups(model, noise(2, 5, 12))
    assert list(groups) == ["linear1"]
    assert groups.fixed()["self_attn.in_proj_weight"] == (
        "MultiheadAttention (self_attn): its heads must fill the embedding; "
        "laconic.surgery.unfuse(model) frees them"
    )


class Decoder(nn.Module):
    """Keeps the size of one of its layers in its code."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 32)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, codes):
        return self.out(self.second(self.first(codes)).view(-1, 8, 2, 2))


def test_of_several_groups_the_one_at_fault_is_named_with_its_line():
    message = (
        r"^second: the network .* '\[-1, 8, 2, 2\]' .* \(in test_architectures.py, line \d+: "
        r"return self.out\(.*leave these groups out$"
    )
    with pytest.raises(UnsupportedError, match=message):
        remove(seeded(Decoder), noise(2, 4), {"first": [0], "second": [1]})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.LazyLinear(3)), "0.weight has no size yet: run the network once"),
        (lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 3))), "take that off .*_norm"),
    ],
    ids=["a lazy layer", "a weight from a hook"],
)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_copied_is_refused_with_the_cure(make, message):
    with pytest.raises(UsageError, match=message):
        Groups(make(), noise(2, 4))
