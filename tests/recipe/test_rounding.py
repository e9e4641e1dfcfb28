"""Which of a grid's values each weight takes: stages that look at the inputs."""

import copy

import pytest
import torch
from torch import nn

from laconic.errors import UnsupportedError, UsageError
from laconic.prune import Prune
from laconic.quantize import Uniform
from laconic.recipe import Context, Stage
from laconic.recipe.rounding import adaround_stage, check_adaround, gptq_stage
from laconic.represent import plain, represent_layers, weights
from laconic.saliency import Data
from laconic.share import Product, Share
from laconic.train import RandomInputs, make_fabric

FIT = Stage("fit", {"epochs": 3, "learning_rate": 0.01})
STAGES = {"gptq": gptq_stage, "adaround": adaround_stage}
both = pytest.mark.parametrize("kind", STAGES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, runner):
    return runner(tmp_path_factory.mktemp("trained"), (FIT,))


def context_of(model, task):
    return Context(model, task, make_fabric("cpu", threads=1), 0, None, None)


def on_grids(model, make):
    represent_layers(model, {name: make() for name in weights(model)})
    return model


@both
@pytest.mark.parametrize("bits", [3, 4])
def test_layers_move_less_than_with_rounding_to_nearest(trained, kind, bits):
    nearest = on_grids(copy.deepcopy(trained.model), lambda: Uniform(bits))
    solved = copy.deepcopy(nearest)
    STAGES[kind](context_of(solved, trained.task), examples=96)
    inputs = torch.cat([batch for batch, _ in Data(trained.task, 96).batches()])
    with torch.no_grad():
        hidden = torch.relu(trained.model[0](inputs))
        for place, given in [(0, inputs), (2, hidden)]:
            wanted = trained.model[place](given)
            before = (nearest[place](given) - wanted).square().mean()
            assert (solved[place](given) - wanted).square().mean() < 0.7 * before


@both
def test_pruned_weights_stay_zero_and_the_grid_stays(trained, kind):
    model = on_grids(copy.deepcopy(trained.model), lambda: Prune(0.5))
    zeros = {name: weight == 0 for name, weight in weights(model).items()}
    on_grids(model, lambda: Uniform(3))
    STAGES[kind](context_of(model, trained.task), examples=96)
    for name, weight in weights(model).items():
        assert not weight[zeros[name]].any()
        assert len(weight.unique()) <= 7


@both
def test_a_transformer_block(kind):
    """Its attention's fused projection and its linear layers."""
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True).eval()
    task = RandomInputs(block, (5, 16))
    quantized = on_grids(copy.deepcopy(block), lambda: Uniform(3, axis=0))
    solved = copy.deepcopy(quantized)
    STAGES[kind](context_of(solved, task), examples=128)
    inputs, wanted = next(task.batches("test"))
    with torch.no_grad():
        errors = [float((net(inputs) - wanted).square().mean()) for net in (solved, quantized)]
    assert errors[0] < 0.7 * errors[1]


@both
def test_it_wants_a_grid_before_it(trained, kind):
    with pytest.raises(UsageError, match=rf"{kind}: no layer that '\*' matches has a grid; put"):
        STAGES[kind](context_of(copy.deepcopy(trained.model), trained.task))


@both
def test_a_codebook_that_was_chosen_is_refused(trained, kind):
    model = on_grids(copy.deepcopy(trained.model), lambda: Share(2))
    before = {name: value.clone() for name, value in plain(model).state_dict().items()}
    with pytest.raises(
        UnsupportedError, match=r"0\.weight: .* which one each weight takes was chosen"
    ):
        STAGES[kind](context_of(model, trained.task), examples=96)
    assert all(torch.equal(v, before[n]) for n, v in plain(model).state_dict().items())


def test_segments_are_no_columns(trained):
    model = on_grids(copy.deepcopy(trained.model), lambda: Product(2, 4))
    with pytest.raises(UnsupportedError, match=r"0\.weight: gptq chooses .* when Product"):
        gptq_stage(context_of(model, trained.task), examples=96)


def test_feedback_wants_columns_that_are_rounded_alike(trained):
    model = on_grids(copy.deepcopy(trained.model), lambda: Uniform(4, axis=1))
    with pytest.raises(UnsupportedError, match=r"0\.weight: gptq rounds .* scales along axis 1"):
        gptq_stage(context_of(model, trained.task), examples=96)
    adaround_stage(context_of(model, trained.task), examples=96, steps=5)


def test_a_grid_of_each_channel_sees_its_own_rows(trained):
    model = on_grids(copy.deepcopy(trained.model), lambda: Uniform(4, axis=0))
    gptq_stage(context_of(model, trained.task), examples=96)
    for weight in weights(model).values():
        for row in weight:
            assert len(row.unique()) <= 15


@pytest.mark.parametrize("learning", [{"steps": 0}, {"learning_rate": 0.0}], ids=str)
def test_learning_without_steps_is_refused(learning):
    usual = {"layers": "*", "examples": 5, "damping": 0.1, "steps": 10, "learning_rate": 0.01}
    with pytest.raises(
        UsageError, match=r"adaround learns in .* steps of .*; both must be positive"
    ):
        check_adaround(**{**usual, **learning})
