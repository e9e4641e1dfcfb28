"""One-dimensional k-means against brute force and scikit-learn."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from laconic.errors import UsageError
from laconic.share import STARTS, Line, kmeans, midpoints


def squared_error(values, centroids):
    return float(np.min((values[:, None].astype(np.float64) - centroids) ** 2, axis=1).sum())


def best_error(values, clusters):
    """The smallest error of any partition into intervals, by trying them all."""
    ordered = np.sort(values).astype(np.float64)
    best = np.inf
    for cuts in itertools.combinations(range(1, len(ordered)), clusters - 1):
        parts = np.split(ordered, cuts)
        best = min(best, sum(((part - part.mean()) ** 2).sum() for part in parts))
    return best


@pytest.mark.parametrize("start", STARTS)
def test_three_clear_clusters_are_found(start):
    values = np.float32([-5.1, -5, -4.9, 0.9, 1, 1.1, 7.9, 8, 8.1])
    np.testing.assert_allclose(kmeans(values, 3, start), [-5, 1, 8], rtol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_no_result_beats_brute_force_and_the_best_start_comes_near(seed):
    values = np.random.default_rng(seed).normal(size=13).astype(np.float32)
    best = best_error(values, 4)
    errors = [squared_error(values, kmeans(values, 4, start)) for start in STARTS]
    assert min(errors) >= best * (1 - 1e-9)
    assert min(errors) <= 1.3 * best


@pytest.mark.parametrize("clusters", [2, 7, 15, 31])
@pytest.mark.parametrize("start", STARTS)
def test_scikit_learn_finds_the_same_from_the_same_start(start, clusters):
    """Lloyd's algorithm has one fixed point for a start, unless a cluster runs empty."""
    values = np.random.default_rng(3).normal(size=500).astype(np.float32)
    first = STARTS[start](Line.of(values), clusters)
    theirs = KMeans(
        clusters, init=first[:, None], n_init=1, max_iter=1000, tol=0, algorithm="lloyd"
    ).fit(values[:, None].astype(np.float64))
    expected = np.sort(theirs.cluster_centers_.ravel())
    if (start, clusters) == ("linear", 31):
        # Here the start leaves clusters empty; the two repair them differently.
        assert squared_error(values, kmeans(values, clusters, start)) <= 1.05 * theirs.inertia_
    else:
        np.testing.assert_allclose(kmeans(values, clusters, start), expected, rtol=1e-9)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("clusters", [3, 16, 63])
def test_each_value_is_nearest_to_the_mean_of_its_own_cluster(start, clusters):
    values = np.random.default_rng(5).standard_t(3, size=4000).astype(np.float32)
    centroids = kmeans(values, clusters, start)
    assert len(centroids) == clusters
    assert (np.diff(centroids) > 0).all()
    nearest = np.searchsorted(midpoints(centroids), values, side="right")
    means = [values[nearest == i].astype(np.float64).mean() for i in range(clusters)]
    np.testing.assert_allclose(centroids, means, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("start", STARTS)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=12), st.data())
def test_few_repeated_values_come_back_exactly(start, distinct, data):
    """As many clusters as values lose nothing, whatever the values' magnitudes."""
    repeats = data.draw(st.lists(st.integers(1, 30), min_size=len(distinct)))
    values = np.repeat(np.float32(distinct), repeats[: len(distinct)])
    centroids = kmeans(values, 12, start).astype(np.float32)
    assert np.array_equal(centroids, np.unique(values))


def test_neighbouring_floats_are_told_apart():
    values = np.float32([1.0]) + np.float32([0, 1, 2, 3]) * np.finfo(np.float32).eps
    centroids = kmeans(values, 4)
    assert np.array_equal(centroids.astype(np.float32), values)
    boundaries = midpoints(centroids)
    assert np.searchsorted(boundaries, values, side="right").tolist() == [0, 1, 2, 3]


def test_a_gap_round_zero_loses_no_centroid():
    """Pruning leaves none of the small weights; a linear start puts centroids there."""
    values = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    values = values[np.abs(values) > 1.0]
    assert len(kmeans(values, 31, "linear")) == 31


def test_the_linear_start_spans_the_range_evenly():
    assert STARTS["linear"](Line.of(np.float32([-1, 0, 0, 3])), 5).tolist() == [-1, 0, 1, 2, 3]


def test_the_density_start_puts_as_many_values_between_its_centroids():
    ordered = np.sort(np.random.default_rng(0).normal(size=1000)).astype(np.float32)
    counts = np.diff(np.searchsorted(ordered, STARTS["density"](Line.of(ordered), 10)))
    assert set(counts.tolist()) == {100}


def test_the_forgy_start_draws_values_and_always_the_same():
    ordered = np.arange(100, dtype=np.float32)
    drawn = STARTS["forgy"](Line.of(ordered), 10)
    assert np.array_equal(drawn, STARTS["forgy"](Line.of(ordered), 10))
    assert set(drawn.tolist()) <= set(ordered.tolist())
    assert len(set(drawn.tolist())) == 10
    # Drawn, not spaced: the gaps between the ten differ.
    assert len(set(np.diff(drawn).tolist())) > 3


@pytest.mark.parametrize(
    ("clusters", "start", "message"),
    [
        (3, "random", "no start is named 'random'; there are: linear, density, forgy, optimal"),
        (0, "linear", "0 clusters were asked for; at least 1 is needed"),
    ],
)
def test_what_cannot_be_meant_is_refused(clusters, start, message):
    with pytest.raises(UsageError, match=message):
        kmeans(np.float32([1, 2, 3]), clusters, start)
