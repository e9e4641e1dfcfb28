"""Training that pays for every bit."""

import pytest

from laconic.errors import UsageError
from laconic.quantize import Spaced
from laconic.recipe import Stage
from laconic.recipe.entropy import check_entropy
from laconic.represent import chains

FIT = Stage("fit", {"epochs": 3, "learning_rate": 0.01})


def entropy(**arguments):
    usual = {"epochs": 12, "strength": 1e-3, "learning_rate": 0.01}
    return Stage("entropy", {**usual, **arguments})


@pytest.fixture(scope="module")
def done(tmp_path_factory, runner):
    return runner(tmp_path_factory.mktemp("entropy"), (FIT, entropy()))


def test_the_file_is_small_and_the_answers_stay(done):
    dense, last = done.receipts[-2:]
    assert last.size_bytes < dense.size_bytes / 3
    assert last.metric["validation"] <= dense.metric["validation"] + 5


def test_more_for_a_bit_makes_fewer_bytes(done, tmp_path, runner):
    dearer = runner(tmp_path, (FIT, entropy(strength=5e-3)))
    assert dearer.receipts[-1].size_bytes < done.receipts[-1].size_bytes
    assert dearer.receipts[-1].nonzeros < done.receipts[-1].nonzeros


def test_biases_are_on_grids_too(done):
    found = chains(done.model)
    assert sorted(found) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    assert all(isinstance(steps[-1], Spaced) for steps in found.values())


def test_layers_that_are_left_out_have_no_grid(tmp_path, runner):
    one = runner(tmp_path, (FIT, entropy(layers="0", epochs=2)))
    assert sorted(chains(one.model)) == ["0.bias", "0.weight"]


def test_a_second_training_goes_on_with_the_grids(done, tmp_path, runner):
    twice = runner(tmp_path, (FIT, entropy(epochs=3), entropy(epochs=3)))
    assert all(len(steps) == 1 for steps in chains(twice.model).values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs is 0; entropy-penalised training needs 1 or more"),
        ({"strength": -1.0}, "strength -1 is not positive"),
        ({"ramp": 2.0}, "ramp 2 is outside"),
        ({"spacing": 0.0}, "spacing 0 is not positive; 0.5 deviations is usual"),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_meant_are_refused_before_the_run(arguments, message):
    usual = {"epochs": 1, "strength": 1e-3, "ramp": 0.5, "spacing": 0.5, "rows": False,
             "layers": "*", "learning_rate": 1e-3, "optimizer": "adam", "schedule": "cosine",
             "clip_norm": None}  # fmt: skip
    with pytest.raises(UsageError, match=message):
        check_entropy(**{**usual, **arguments})
