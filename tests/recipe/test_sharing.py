"""Stages that share weights: importances by name, one codebook for all."""

import pytest
import torch

from laconic.errors import UsageError
from laconic.prune import Prune
from laconic.recipe import STAGES, Stage
from laconic.recipe.context import Context
from laconic.recipe.sharing import CODEBOOKS, curvatures, damped
from laconic.represent import chains, represent, represent_layers, weights
from laconic.saliency import EWC, OBD, Data, Scores
from laconic.share import Share
from laconic.train import ArrayTask, make_fabric

OF_EACH = {
    "share": {"bits": 3},
    "share-nearest": {"bits": 3},
    "share-bins": {"width": 0.4},
    "share-entropy": {"bits": 4, "penalty": 0.02},
}


@pytest.fixture
def context(model):
    inputs = torch.randn(60, 16, generator=torch.Generator().manual_seed(0))
    labels = inputs[:, :3].argmax(1)
    task = ArrayTask(inputs, labels, inputs, labels, validation_fraction=0.2, batch_size=16)
    return Context(model, task, make_fabric("cpu"), 7, None, None)


def values(model):
    return {name: weight.clone() for name, weight in weights(model).items()}


def test_every_step_with_a_codebook_has_its_example():
    assert sorted(OF_EACH) == sorted(CODEBOOKS)


@pytest.mark.parametrize("saliency", ["obd", "fisher", "true-fisher", "adam-moment", "ewc"])
def test_the_curvature_is_the_saliency_without_the_squared_weight(context, saliency):
    name = "0.weight"
    represent(context.model[0], Prune(0.5))
    found = curvatures(context, [name], saliency, 20)[name]
    kept = weights(context.model)[name] != 0
    assert found.shape == kept.shape
    data = Data(context.task, 20, context.seed)
    if saliency == "obd":
        expected: Scores = OBD().scores(context.model, [name], data)
        half = found * weights(context.model)[name].square() / 2
        torch.testing.assert_close(half.float(), expected[name])
    if saliency == "ewc":
        expected = EWC(power=0).scores(context.model, [name], data)
        torch.testing.assert_close(found, expected[name])
    assert bool((found >= 0).all())
    assert bool((found[kept] > 0).any())


@pytest.mark.parametrize("kind", sorted(CODEBOOKS))
def test_a_saliency_by_name_weighs_the_errors_of_each_layer(context, kind):
    found = curvatures(context, ["0.weight"], "fisher", 20)["0.weight"]
    found = found + 0.1 * found.mean()
    weight = weights(context.model)["0.weight"].clone()
    step = CODEBOOKS[kind](**OF_EACH[kind]).by(found)
    step.fit(weight)
    STAGES[kind](context, layers="0", saliency="fisher", examples=20, **OF_EACH[kind])
    assert torch.equal(weights(context.model)["0.weight"], step(weight))
    plain = CODEBOOKS[kind](**OF_EACH[kind])
    plain.fit(weight)
    assert not torch.equal(step(weight), plain(weight))


def test_damping_adds_a_part_of_the_mean_of_a_layer_or_of_all():
    importances = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([12.0, 0.0, 0.0, 0.0])}
    alone = damped(importances, 0.5, together=False)
    assert alone["a"].tolist() == [2.0, 4.0]
    assert alone["b"].tolist() == [13.5, 1.5, 1.5, 1.5]
    both = damped(importances, 0.375, together=True)
    assert both["a"].tolist() == [2.0, 4.0]
    assert both["b"].tolist() == [13.0, 1.0, 1.0, 1.0]
    assert damped(importances, 0.0, together=True)["b"].tolist() == [12.0, 0.0, 0.0, 0.0]


def test_one_codebook_for_all_layers_has_fewer_values_and_keeps_the_zeros(context):
    model = context.model
    represent_layers(model, {name: Prune(0.5) for name in weights(model)})
    before = values(model)
    STAGES["share"](context, bits=3, scope="global", saliency="fisher", examples=20)
    after = values(model)
    together = torch.cat([weight.flatten() for weight in after.values()])
    assert len(together.unique()) == 8
    assert all(torch.equal(after[name] == 0, before[name] == 0) for name in before)
    assert [len(steps) for steps in chains(model).values()] == [2, 2]


def test_without_a_saliency_it_is_the_plain_step(context):
    weight = weights(context.model)["0.weight"].clone()
    step = Share(bits=2)
    step.fit(weight)
    STAGES["share"](context, bits={"0": 2, "2": 1})
    assert torch.equal(weights(context.model)["0.weight"], step(weight))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 3, "scope": "model"}, "scope"),
        ({"bits": {"0": 3}, "scope": "global"}, "a table of bits is by layer; scope 'global' con"),
        (
            {"bits": 3, "saliency": "wanda"},
            r"Wanda\(\) does not say how much a squared error .*obd",
        ),
        ({"bits": 3, "saliency": "l1"}, "scores channels"),
        ({"bits": 3, "examples": 0}, "looks at 0 examples"),
        ({"bits": 3, "damping": -1.0}, "damping -1 is negative or infinite"),
        ({"bits": 17}, "bits 17 is outside"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_run(arguments, message):
    with pytest.raises(UsageError, match=message):
        Stage("share", arguments)


def test_importances_that_are_all_zero_are_refused_with_the_layers_name(context):
    """The second layer sees nothing but dead units."""
    with torch.no_grad():
        context.model[0].bias.fill_(-100)
    with pytest.raises(UsageError, match=r"2\.weight: all 96 importances are 0"):
        STAGES["share"](context, layers="2", bits=2, saliency="fisher", examples=20)


def test_nan_in_the_examples_is_refused(context):
    task = context.task
    bad = torch.full((60, 16), torch.nan)
    labels = torch.zeros(60, dtype=torch.int64)
    nan = ArrayTask(bad, labels, bad, labels, validation_fraction=0.2, batch_size=16)
    with pytest.raises(UsageError, match="an input of the training examples is NaN or infinite"):
        STAGES["share"](
            Context(context.model, nan, make_fabric("cpu"), 7, None, None),
            bits=2, saliency="obd", examples=20,
        )  # fmt: skip
    assert task is not nan


def test_a_recipe_shares_by_importance_and_resumes(tmp_path, runner):
    stages = (
        Stage("prune", {"sparsity": 0.5}),
        Stage("share-entropy", {"bits": 4, "penalty": 0.05, "saliency": "fisher", "examples": 32}),
        Stage("fit", {"epochs": 1}),
    )
    done = runner(tmp_path, stages)
    again = runner(tmp_path, stages, resume=True)
    for name, weight in weights(done.model).items():
        assert torch.equal(weight, weights(again.model)[name])
        assert len(weight.unique()) <= 16


WHILE_TRAINING = {"bits": {"0": 3, "2": 2}, "epochs": 4, "learning_rate": 0.01, "every": 3}


def test_weights_are_clustered_and_tied_while_they_train(tmp_path, runner):
    stages = (Stage("prune", {"sparsity": 0.5}), Stage("share-while-training", WHILE_TRAINING))
    done = runner(tmp_path, stages)
    start = weights(runner(tmp_path / "untrained", stages[:1]).model)
    for name, levels in (("0.weight", 8), ("2.weight", 4)):
        after = weights(done.model)[name]
        assert len(after.unique()) <= levels
        assert torch.equal(after == 0, start[name] == 0)
    pruned, shared = done.receipts[1:]
    assert shared.metric_name == "error_percent"
    assert shared.metric["validation"] < pruned.metric["validation"]


def test_clustering_anew_gives_another_training_than_none(tmp_path, runner):
    trained = [
        weights(
            runner(
                tmp_path / str(every),
                (Stage("share-while-training", {**WHILE_TRAINING, "every": every}),),
            ).model
        )["0.weight"]
        for every in (3, 1000)
    ]
    assert not torch.equal(*trained)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every": 0}, "every is 0; 1 clusters after each update"),
        ({"bits": {"0": 17}}, "0: bits 17 is outside"),
        ({"epochs": -1}, "epochs is -1"),
    ],
)
def test_a_training_that_cannot_be_meant_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Stage("share-while-training", {**WHILE_TRAINING, **arguments})
