"""Stages that quantize, and trainings in which grids go with their latent weights."""

import numpy as np
import pytest

from laconic.container import LacFile
from laconic.errors import UsageError
from laconic.recipe import Stage

FIT = Stage("fit", {"epochs": 2, "learning_rate": 0.02, "weight_decay": 0.1})


def weight_of(done, name="0.weight"):
    with LacFile(done.output) as file:
        return np.array(file.array(name))


def test_the_scale_of_binary_weights_follows_them_in_a_training(tmp_path, runner):
    before = weight_of(runner(tmp_path / "one", (FIT, Stage("binary", {"axis": 0}))))
    after = weight_of(runner(tmp_path / "two", (FIT, Stage("binary", {"axis": 0}), FIT)))
    assert (np.abs(after) == np.abs(after[:, :1])).all(), "several magnitudes in a filter"
    assert (np.abs(before[:, 0]) != np.abs(after[:, 0])).all(), "the scale of before the training"


@pytest.mark.parametrize("kind", ["sign", "stochastic-sign"])
def test_signs_are_trained_and_only_where_they_were_asked_for(tmp_path, runner, kind):
    done = runner(tmp_path, (FIT, Stage(kind, {"layers": "0"}), FIT))
    assert set(np.unique(weight_of(done)).tolist()) == {-1.0, 1.0}
    assert len(np.unique(weight_of(done, "2.weight"))) == 96
    assert done.receipts[1].size_bytes < done.receipts[0].size_bytes


def test_a_penalty_on_the_largest_weight_narrows_the_range(tmp_path, runner):
    free = runner(tmp_path / "free", (FIT,))
    held = Stage("fit", {**FIT.arguments, "penalties": {"max": {"0": 0.5}, "l1": 1e-6}})
    narrow = runner(tmp_path / "narrow", (held,))
    assert np.abs(weight_of(narrow)).max() < 0.95 * np.abs(weight_of(free)).max()


def test_a_layer_that_a_grid_would_empty_is_named(tmp_path, runner):
    with pytest.raises(UsageError, match=r"0\.weight: all 512 weights would be 0: the largest"):
        runner(tmp_path, (Stage("fixed-point", {"integer_bits": 4, "fraction_bits": -1}),))


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("uniform", {"bits": 4, "clip": "mean"}, "uniform: no clip is named 'mean'"),
        ("wrpn", {"bits": {"0": 1}}, r"wrpn: 0: bits 1 is outside 2\.\.16"),
        ("fit", {"epochs": 1, "penalties": {"max": -1.0}}, "fit: max: the strength is -1"),
        ("fit", {"epochs": 1, "proximal": {"max": 1.0}, "optimizer": "sgd"},
         "no regulariser is named 'max'"),
    ],
    ids=["a clip", "bits", "a penalty", "a proximal step that there is not"],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_the_run(kind, arguments, message):
    with pytest.raises(UsageError, match=message):
        Stage(kind, arguments)
