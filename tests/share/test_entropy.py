"""Entropy-constrained sharing: the Lagrangian, its limits, and what it saves."""

import numpy as np
import pytest
import torch

from laconic.errors import UsageError
from laconic.prune import Prune
from laconic.represent import represent
from laconic.share import Share, ShareEntropy, kmeans
from laconic.share import entropy as entropy_module
from laconic.share.entropy import constrained


def drawn(count=2000, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_t(4, size=count).astype(np.float32), random.exponential(size=count)


def entropy(places):
    shares = np.unique(places, return_counts=True)[1] / len(places)
    return float(-(shares * np.log2(shares)).sum())


@pytest.mark.parametrize("zeros", [0, 5000])
@pytest.mark.parametrize("penalty", [0.0, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_the_lagrangian_never_rises_and_is_what_it_says(weighted, penalty, zeros):
    values, importances = drawn()
    own = importances if weighted else np.ones(len(values))
    first = kmeans(values, 15, "density")
    found = constrained(
        values, first, penalty, zeros=zeros, importances=importances if weighted else None
    )
    assert len(found.lagrangians) > 2
    assert (np.diff(found.lagrangians) <= 1e-9 * found.lagrangians[0]).all()
    table = np.concatenate([[0.0], found.centroids])
    everything = np.concatenate([found.assignments, np.zeros(zeros, int)])
    bits = entropy(everything) * len(everything)
    wide = values.astype(np.float64)
    distortion = (own * (wide - table[found.assignments]) ** 2).sum()
    price = penalty * (own * wide**2).mean()
    assert found.lagrangians[-1] == pytest.approx(distortion + price * bits)


def test_where_it_ends_every_weight_has_its_cheapest_value_and_every_value_its_mean():
    values, importances = drawn()
    found = constrained(values, kmeans(values, 7), 0.05, zeros=100, importances=importances)
    table = np.concatenate([[0.0], found.centroids])
    counts = np.bincount(found.assignments, minlength=len(table)) + 100 * (
        np.arange(len(table)) == 0
    )
    price = 0.05 * (importances * values.astype(np.float64) ** 2).mean()
    costs = importances[:, None] * (values[:, None] - table) ** 2 - price * np.log2(
        counts / counts.sum()
    )
    chosen = costs[np.arange(len(values)), found.assignments]
    # To the smallest gain that another round is made for.
    assert (chosen - costs.min(1)).sum() <= 1e-5 * found.lagrangians[-1]
    for place in range(1, len(table)):
        members = found.assignments == place
        mean = np.average(values[members], weights=importances[members])
        assert table[place] == pytest.approx(mean, rel=1e-6)


def test_values_that_nobody_takes_are_dropped():
    values, _ = drawn()
    found = constrained(values, kmeans(values, 63, "density"), 0.2)
    assert 1 <= len(found.centroids) < 20
    assert set(found.assignments.tolist()) >= set(range(1, len(found.centroids) + 1))


def test_at_as_many_bits_the_error_is_smaller_than_that_of_the_best_k_means():
    """arXiv:1612.01543, section 4: what counts behind an entropy code."""
    weight = torch.from_numpy(drawn(20000)[0])
    constrained_step, plain = ShareEntropy(bits=5, penalty=0.02), Share(bits=4, start="optimal")
    constrained_step.fit(weight)
    plain.fit(weight)
    errors = [
        float((s(weight) - weight).square().mean().detach()) for s in (constrained_step, plain)
    ]
    bits = [entropy(s.codes(weight).numpy()) for s in (constrained_step, plain)]
    assert errors[0] < 0.7 * errors[1]
    assert bits[0] < bits[1]


def test_a_weight_that_matters_to_nobody_takes_the_cheapest_value():
    values = np.float32([1, 1, 1, 1, 5, 5, 4.9])
    importances = np.array([1, 1, 1, 1, 1, 1, 0.0])
    found = constrained(values, np.array([1.0, 5.0]), 0.01, importances=importances)
    assert found.assignments.tolist() == [1, 1, 1, 1, 2, 2, 1]


def test_runs_of_values_are_handled_alike(monkeypatch):
    values, _ = drawn()
    whole = constrained(values, kmeans(values, 15), 0.02)
    monkeypatch.setattr(entropy_module, "CHUNK", 64)
    parts = constrained(values, kmeans(values, 15), 0.02)
    np.testing.assert_array_equal(whole.assignments, parts.assignments)


def test_a_penalty_that_no_value_is_worth_is_refused_with_the_layers_name():
    layer = torch.nn.Linear(20, 20)
    represent(layer, Prune(0.9))
    with pytest.raises(UsageError, match=r"Linear\.weight: penalty 9: no value is worth its bits"):
        represent(layer, ShareEntropy(bits=2, penalty=9.0))


@pytest.mark.parametrize("penalty", [-0.1, float("inf"), float("nan")])
def test_penalties_that_mean_nothing_are_refused(penalty):
    with pytest.raises(UsageError, match=r"is negative or infinite; 0\.01 is a usual one"):
        ShareEntropy(bits=2, penalty=penalty)
