"""All spacings from one price of a bit, and what is done where no method is named."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from laconic.errors import StageError, UsageError
from laconic.prune import Prune
from laconic.quantize import Spaced, Uniform
from laconic.recipe import Context, Stage, default_recipe
from laconic.recipe.smallest import DOUBLINGS, check_smallest, largest_price, smallest_stage
from laconic.recipe.survey import Part, survey
from laconic.represent import chains, represent
from laconic.train import RandomInputs, evaluate, make_fabric

FIT = Stage("fit", {"epochs": 3, "learning_rate": 0.01})


def smallest(**arguments):
    return Stage("smallest", {"drop": 2.0, "examples": 96, **arguments})


@pytest.fixture(scope="module")
def trained(tmp_path_factory, runner):
    return runner(tmp_path_factory.mktemp("trained"), (FIT,))


@pytest.fixture(scope="module")
def done(tmp_path_factory, runner):
    return runner(tmp_path_factory.mktemp("smallest"), (FIT, smallest()))


def context_of(done, model=None):
    model = copy.deepcopy(done.model) if model is None else model
    return Context(model, done.task, make_fabric("cpu", threads=1), 0, None, None)


def test_the_file_is_much_smaller_and_the_drop_is_kept(done):
    dense, last = done.receipts[-2:]
    assert last.size_bytes < dense.size_bytes / 3
    assert last.metric["validation"] <= done.receipts[0].metric["validation"] + 2.0


def test_every_parameter_is_on_a_grid_of_its_own(done):
    found = chains(done.model)
    assert sorted(found) == sorted(name for name, _ in trained_names(done.model))
    assert all(isinstance(steps[-1], Spaced) for steps in found.values())
    assert len({float(steps[-1].present) for steps in found.values()}) == len(found)


def trained_names(model):
    return [(f"{path}.{key}", None) for path in ("0", "2") for key in ("weight", "bias")]


def test_a_lower_price_costs_less_error_and_more_levels(trained):
    context = context_of(trained)
    found = survey(context, "*", 96, 0.01)
    inputs = next(iter(trained.task.batches("validation")))[0]
    with torch.no_grad():
        wanted = trained.model(inputs)
    errors = []
    for price in (found.first_price / 30, found.first_price, 30 * found.first_price):
        model = copy.deepcopy(context.model)
        found.quantize(model, price)
        with torch.no_grad():
            errors.append(float((model(inputs) - wanted).square().mean()))
    assert errors == sorted(errors)
    assert errors[0] < errors[2] / 20


def test_the_first_price_costs_about_what_it_says(trained):
    """Rounding is expected to cost 1 % of the energy of the outputs."""
    context = context_of(trained)
    found = survey(context, "*", 96, 0.01)
    found.quantize(context.model, found.first_price)
    inputs = torch.cat([batch for batch, _ in trained.task.batches("train")])
    with torch.no_grad():
        change = (context.model(inputs) - trained.model(inputs)).square().sum(1).mean()
    assert 0.002 < float(change) / found.energy < 0.05


def test_at_the_spacing_another_bit_is_worth_its_price():
    part = Part(torch.tensor([1.0]), 3.0, None)
    spacing, price = part.spacing(1e-4), 1e-4
    bits = math.log2(1 / spacing)

    def cost(bits):
        return 3.0 * (2.0**-bits) ** 2 / 12

    slope = (cost(bits - 1e-4) - cost(bits + 1e-4)) / 2e-4
    assert slope == pytest.approx(price, rel=1e-3)


def test_masks_are_kept(trained):
    context = context_of(trained)
    represent(context.model[0], Prune(0.7))
    zeros = context.model[0].weight == 0
    found = survey(context, "*", 96, 0.01)
    found.quantize(context.model, found.first_price)
    assert not context.model[0].weight[zeros].any()


def test_what_is_on_a_grid_is_left_alone(trained):
    context = context_of(trained)
    represent(context.model[0], Uniform(8))
    before = context.model[0].weight.detach().clone()
    found = survey(context, "*", 96, 0.01)
    assert "0.weight" not in found.parts
    found.quantize(context.model, found.first_price)
    assert torch.equal(context.model[0].weight, before)


def test_a_second_time_there_is_nothing_to_do(trained):
    context = context_of(trained)
    found = survey(context, "*", 96, 0.01)
    found.quantize(context.model, found.first_price)
    with pytest.raises(UsageError, match=r"every parameter that '\*' matches is on a grid already"):
        survey(context, "*", 96, 0.01)


def test_an_embedding_is_rounded_without_feedback():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.table, self.out = nn.Embedding(20, 6), nn.Linear(6, 3)

        def forward(self, tokens):
            return self.out(self.table(tokens).mean(1))

    model = Words()
    task = RandomInputs(model, (5,))
    found = survey(
        Context(model, task, make_fabric("cpu", threads=1), 0, None, None), "*", 64, 0.01
    )
    assert found.parts["table.weight"].feedback is None
    assert found.parts["out.weight"].feedback is not None
    found.quantize(model, found.first_price)
    assert evaluate(model, task, "test", make_fabric("cpu", threads=1)) < 5


class Beside(nn.Module):
    """A network, and beside it what a test is about."""

    def __init__(self, **beside):
        super().__init__()
        torch.manual_seed(0)
        self.main = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))
        for name, module in beside.items():
            setattr(self, name, module)

    def forward(self, inputs):
        return self.main(inputs)


class Added(Beside):
    """What is beside takes part."""

    def forward(self, inputs):
        return self.main(inputs) + self.last(self.first(inputs).relu())


def zero_biases():
    model = Beside()
    nn.init.zeros_(model.main[0].bias)
    nn.init.zeros_(model.main[2].bias)
    return model


def subnormal_weights():
    model = Added(first=nn.Linear(6, 4), last=nn.Linear(4, 3))
    model.last.weight.data.fill_(1e-40)
    nn.init.zeros_(model.last.bias)
    return model


def dead_channels():
    model = Added(first=nn.Linear(6, 4), last=nn.Linear(4, 3))
    model.first.bias.data.fill_(-99.0)
    return model


ODD = {
    "biases of zeros": zero_biases,
    "weights too small for a spacing": subnormal_weights,
    "channels that are never active": dead_channels,
    "a layer that is never called": lambda: Beside(unused=nn.Linear(5, 4)),
    "a single weight": lambda: nn.Linear(1, 1),
    "no bias": lambda: nn.Sequential(nn.Linear(6, 12, bias=False), nn.Tanh(), nn.Linear(12, 3)),
    "half precision": lambda: Beside().half(),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD.keys())
def test_odd_networks(make):
    model = make()
    task = RandomInputs(model, (1,) if isinstance(model, nn.Linear) else (6,))
    fabric = make_fabric("cpu", threads=1)
    smallest_stage(Context(model, task, fabric, 0, None, None), drop=1.0, examples=64)
    assert 0 < evaluate(model, task, "validation", fabric) <= 1.0
    assert all(isinstance(steps[-1], Spaced) for steps in chains(model).values())


def test_a_network_in_training_mode_is_looked_at_as_it_will_be_used():
    """A BatchNorm that nothing folds, and dropout: both compute otherwise in training."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 12), nn.ReLU(), nn.BatchNorm1d(12), nn.Dropout(0.5), nn.Linear(12, 3)
    )
    found = []
    for training in (False, True):
        own = copy.deepcopy(model).train(training)
        task = RandomInputs(own, (6,))
        looked = survey(
            Context(own, task, make_fabric("cpu", threads=1), 0, None, None), "*", 64, 0.01
        )
        looked.quantize(own, looked.first_price)
        assert own.training == training
        found.append(own.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_behind_pruning(trained):
    """Each trial puts grids on biases of a copy; the others have none there."""
    context = context_of(trained)
    for layer in (context.model[0], context.model[2]):
        represent(layer, Prune(0.5))
    start = copy.deepcopy(trained.model)
    zeros = context.model[0].weight == 0
    smallest_stage(replace(context, start=start), drop=30.0, examples=64)
    assert not context.model[0].weight[zeros].any()
    assert [type(step) for step in chains(context.model)["0.weight"]] == [Prune, Spaced]


def test_training_that_brings_nothing_back_ends(trained, monkeypatch):
    """A network that was worse than it may be when the stage began."""
    context = replace(context_of(trained), start=trained.model)
    trainings = []
    monkeypatch.setattr(
        "laconic.recipe.smallest.train", lambda *_, **__: trainings.append(len(trainings))
    )
    worse = iter([0.0])
    monkeypatch.setattr("laconic.recipe.smallest.evaluate", lambda *_: next(worse, 2.0))
    with pytest.raises(StageError, match="1 epochs do not bring the metric back within the drop"):
        smallest_stage(context, drop=1.0, examples=32, epochs=1)
    assert len(trainings) == DOUBLINGS


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda last: last.weight.zero_(), "32 training examples are all the same"),
     (lambda last: last.bias.fill_(math.inf), "32 training examples are not finite")],
    ids=["the same", "infinite"],
)  # fmt: skip
def test_outputs_that_say_nothing_are_refused(trained, change, message):
    context = context_of(trained)
    with torch.no_grad():
        change(context.model[2])
    with pytest.raises(UsageError, match=message):
        survey(context, "*", 32, 0.01)


@pytest.mark.parametrize("wanted", [0.3, 1.0, 70.0])
def test_the_bisection_comes_within_a_tenth(wanted):
    asked = []

    def keeps(price):
        asked.append(price)
        return price <= wanted

    assert wanted / 1.1 < largest_price(keeps, 1.0) <= wanted
    assert len(asked) <= 12


def test_where_nothing_hurts_the_search_ends():
    assert largest_price(lambda price: True, 1.0) == 2.0**DOUBLINGS


def test_where_everything_hurts_it_says_so():
    with pytest.raises(StageError, match="no spacing of the parameters keeps the drop that is all"):
        largest_price(lambda price: False, 1.0)


def test_training_behind_it_makes_a_smaller_file(done, tmp_path, runner):
    longer = runner(tmp_path, (FIT, smallest(epochs=2)))
    last = longer.receipts[-1]
    assert last.metric["validation"] <= longer.receipts[0].metric["validation"] + 2.0
    assert last.size_bytes <= done.receipts[-1].size_bytes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drop": -0.1}, "drop -0.1 is not a number from 0 up; 0.5 is usual, in percent"),
        ({"drop": math.nan}, "drop nan is not a number"),
        ({"examples": 0}, "smallest looks at 0 examples; it needs at least 1"),
        ({"damping": 0.0}, "damping 0 is not positive; 0.01 is usual"),
        ({"epochs": -1}, "epochs is -1"),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_meant_are_refused_before_the_run(arguments, message):
    usual = {"drop": 0.5, "layers": "*", "examples": 5, "damping": 0.1, "epochs": 0,
             "learning_rate": 1e-4}  # fmt: skip
    with pytest.raises(UsageError, match=message):
        check_smallest(**{**usual, **arguments})


def test_batchnorm_is_folded_where_there_is_some():
    plain = nn.Sequential(nn.Linear(4, 3))
    normed = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    example = torch.randn(2, 4)
    kinds = [
        [stage.kind for stage in default_recipe(model, example, 0.5).stages]
        for model in (plain, normed)
    ]
    assert kinds == [["smallest"], ["fold-batchnorm", "smallest"]]
    assert isinstance(normed[1], nn.BatchNorm1d)  # left as it was


def test_an_example_that_the_network_does_not_take_is_left_to_the_run():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    assert [stage.kind for stage in default_recipe(model, torch.randn(2, 5), 0.5).stages] == [
        "smallest"
    ]


def test_a_network_that_has_lost_too_much_already_is_told_so(tmp_path, runner):
    with pytest.raises(
        StageError, match="worse than that of the network that the run was given be"
    ):
        runner(tmp_path, (FIT, Stage("prune", {"sparsity": 0.97}), smallest(drop=0.0)))


def test_a_rounding_whose_score_is_not_finite_keeps_nothing(trained):
    """As a perplexity of a network rounded to nothing."""
    inputs, _ = next(iter(trained.task.batches("validation")))
    with torch.no_grad():
        wanted = trained.model(inputs)
    worst = []

    class Strict(type(trained.task)):
        def score(self, outputs, targets):
            far = (outputs - wanted).square().mean() > 0.03 * wanted.square().mean()
            worst.append(bool(far))
            return torch.full((len(targets),), torch.inf if far else 1.0)

    context = replace(context_of(trained), task=Strict())
    smallest_stage(context, drop=50.0, examples=96)
    assert any(worst)
    assert evaluate(context.model, context.task, "validation", context.fabric) == 1.0
