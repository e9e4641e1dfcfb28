"""Every saliency of the registry, on the networks of the zoo and on small ones."""

import copy
import json

import pytest
import torch
from check_step import same_bits
from torch import nn

from laconic.errors import PatternError, UnsupportedError, UsageError
from laconic.prune import Prune, Supermask
from laconic.quantize import Uniform
from laconic.represent import represent, represent_layers, weights
from laconic.saliency import SALIENCIES, Data
from laconic.train.array_task import ArrayTask
from laconic.zoo.models import MODELS

IMAGES = {"lenet-300-100": (1, 28, 28), "lenet5": (1, 28, 28), "resnet20": (3, 32, 32)}


def with_learned_scores(name, model):
    """A supermask on every weight, for the saliency that reads its scores."""
    if name == "learned-scores":
        represent_layers(model, {each: Supermask() for each in weights(model)})
    return model


EVERY = pytest.mark.parametrize("name", SALIENCIES)


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def task(*shape, classes=10):
    inputs, targets = gaussian(12, *shape), torch.arange(12) % classes
    return ArrayTask(inputs, targets, inputs, targets, validation_fraction=0.25, batch_size=4)


def network():
    """A convolution with BatchNorm, one in two groups, and a linear layer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(),
            nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 4),
        )  # fmt: skip


def small_data(model, count=6):
    initial = {name: gaussian(*weight.shape, seed=1) for name, weight in weights(model).items()}
    return Data(task(3, 6, 6, classes=4), count=count, initial=initial)


@EVERY
def test_it_is_made_without_arguments_and_its_configuration_is_json(name):
    saliency = SALIENCIES[name]()
    described = json.loads(json.dumps(saliency.configuration))
    assert SALIENCIES[name](**described).configuration == saliency.configuration
    assert repr(saliency).startswith(SALIENCIES[name].__name__ + "(")


@EVERY
@pytest.mark.parametrize("zoo", ["lenet-300-100", "lenet5", "resnet20"])
def test_networks_of_the_zoo_get_finite_scores_in_the_right_shape(name, zoo):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = with_learned_scores(name, MODELS[zoo]())
    chosen = list(weights(model))
    if name == "obs-greedy":
        chosen = [min(chosen, key=lambda each: weights(model)[each].numel())]
    initial = {each: weight.clone() for each, weight in weights(model).items()}
    scores = SALIENCIES[name]().scores(model, chosen, Data(task(*IMAGES[zoo]), 2, 0, initial))
    assert list(scores) == chosen
    for each, weight in weights(model).items():
        if each in chosen:
            shape = weight.shape[:1] if SALIENCIES[name].per_channel else weight.shape
            assert scores[each].shape == shape
            assert scores[each].dtype == weight.dtype
            assert bool(torch.isfinite(scores[each]).all())
            assert not scores[each].requires_grad


@EVERY
def test_the_model_and_the_random_state_are_left_as_they_were(name):
    model = network()
    model[1].eval()
    represent(model[0], Prune(0.5))
    with_learned_scores(name, model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = copy.deepcopy(model.state_dict())
    random = torch.get_rng_state()
    SALIENCIES[name]().scores(model, data=small_data(model))
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(same_bits(after[key], before[key]) for key in before)
    assert all(bool((parameter.grad == 1).all()) for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert [module.training for module in model] == [True, False] + [True] * 6
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), random)


@EVERY
def test_the_same_scores_come_again_in_either_mode_and_under_no_grad(name):
    model = with_learned_scores(name, network())
    first = SALIENCIES[name]().scores(model.train(), data=small_data(model))
    with torch.no_grad():
        second = SALIENCIES[name]().scores(model.eval(), data=small_data(model))
    assert all(same_bits(first[each], second[each]) for each in first)


@EVERY
def test_a_network_with_chains_is_scored_as_it_computes(name):
    """The latent weights behind the chains must not matter."""
    chained, plain = network(), network()
    for place, step in [(0, Prune(0.5)), (7, Uniform(4))]:
        represent(chained[place], step)
        with torch.no_grad():
            plain[place].weight.copy_(chained[place].weight)
    data = small_data(chained)
    if name in ("movement", "synaptic-intelligence"):  # what a chain made zero stays so
        represent(plain[0], Prune(0.5))
        represent(plain[7], Uniform(4))
    with_learned_scores(name, chained)
    with_learned_scores(name, plain)
    with torch.no_grad():
        latent = chained[0].parametrizations.weight.original
        latent[chained[0].weight == 0] += 7.0
    scores = SALIENCIES[name]().scores(chained, data=data)
    expected = SALIENCIES[name]().scores(plain, data=data)
    assert list(scores) == list(expected)
    assert all(same_bits(scores[each], expected[each]) for each in expected)


@EVERY
def test_what_it_is_told_to_leave_out_it_leaves_out(name):
    model = with_learned_scores(name, network())
    alone = SALIENCIES[name]().scores(model, ["4.weight"], small_data(model))
    assert list(alone) == ["4.weight"]
    if name not in ("random", "random-channels"):
        assert torch.equal(
            alone["4.weight"], SALIENCIES[name]().scores(model, data=small_data(model))["4.weight"]
        )


@EVERY
def test_a_name_that_no_weight_has_is_refused_with_those_that_there_are(name):
    with pytest.raises(PatternError, match=r"'fc9.weight'; the layers are: 0.weight, 4.weight"):
        SALIENCIES[name]().scores(network(), ["fc9.weight"])


@EVERY
def test_missing_data_are_named(name):
    saliency = SALIENCIES[name]()
    model = with_learned_scores(name, network())
    if saliency.needs_data:
        with pytest.raises(UsageError, match="is measured on training examples; give it a task"):
            saliency.scores(model)
    elif saliency.needs_initial:
        with pytest.raises(UsageError, match=r"weights before training; give it Data\(initial=…"):
            saliency.scores(model, data=Data(task(3, 6, 6)))
    else:
        assert len(saliency.scores(model)) == 3


INPUTS = ("embedding.weight", "lstm.weight_hh_l0", "head.weight")
LOOK_INSIDE = {
    "wanda": INPUTS,
    "obs": INPUTS[1:],
    "obs-greedy": INPUTS[1:],
    **dict.fromkeys(("fisher-channels", "taylor-channels", "apoz"), ("head.weight",)),
}
"""They see inputs or outputs of layers: of which of those below."""


class Odd(nn.Module):
    """Layers of other kinds than linear and convolutional ones, and one linear layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.up = nn.ConvTranspose1d(4, 6, 3)
        self.lstm = nn.LSTM(6, 3, batch_first=True)
        self.mixing = nn.Parameter(gaussian(3, 3))
        self.head = nn.Linear(3, 2)

    def forward(self, tokens):
        maps = self.up(self.embedding(tokens).mT)
        return self.head(self.lstm(maps.mT)[0][:, -1] @ self.mixing)


@EVERY
@pytest.mark.parametrize(
    "weight", ["embedding.weight", "up.weight", "lstm.weight_hh_l0", "mixing", "head.weight"]
)
def test_another_kind_of_layer_is_scored_or_refused_by_its_name(name, weight):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = with_learned_scores(name, Odd())
    tokens, targets = torch.arange(24).reshape(8, 3) % 5, torch.arange(8) % 2
    data = Data(
        ArrayTask(tokens, targets, tokens, targets, validation_fraction=0.25),
        initial={each: value.clone() for each, value in weights(model).items()},
    )
    saliency = SALIENCIES[name]()
    unseen = weight not in LOOK_INSIDE.get(name, (weight,))
    if unseen or (saliency.per_channel and weight == "up.weight"):
        with pytest.raises(UnsupportedError, match=f"^{weight}: .*leave this layer out"):
            saliency.scores(model, [weight], data)
        return
    found = saliency.scores(model, [weight], data)[weight]
    shape = weights(model)[weight].shape
    assert found.shape == (shape[:1] if saliency.per_channel else shape)


@EVERY
def test_weights_that_are_nan_are_counted_and_named(name):
    model = network()
    with torch.no_grad():
        model[4].weight[0, 0, 0, :2] = torch.nan
    with pytest.raises(UsageError, match=r"4.weight: 2 of 108 weights are NaN or infinite"):
        SALIENCIES[name]().scores(model, data=small_data(model))


@EVERY
def test_nan_in_what_it_looks_at_is_refused(name):
    model = with_learned_scores(name, network())
    data = small_data(model)
    data.task.train_inputs[:, 0, 0, 0] = torch.nan
    data.initial["4.weight"][0, 0, 0, 0] = torch.nan
    saliency = SALIENCIES[name]()
    if saliency.needs_data or saliency.needs_initial:
        with pytest.raises(UsageError, match="is NaN or infinite"):
            saliency.scores(model, ["4.weight"], data)
    else:
        saliency.scores(model, ["4.weight"], data)
