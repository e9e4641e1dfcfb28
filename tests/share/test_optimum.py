"""The exact clusters on a line: against every partition there is, and against Lloyd's algorithm."""

import itertools

import numpy as np
import pytest

from laconic.errors import UsageError
from laconic.share import STARTS, Line, kmeans
from laconic.share import optimum as optimum_module
from laconic.share.optimum import MOST_PLACES, best_edges, optimal_start


def error_of(values, weights, centroids):
    distances = (values[:, None].astype(np.float64) - centroids) ** 2
    return float((weights * distances.min(1)).sum())


def by_brute_force(values, weights, clusters):
    """The smallest weighted error of any partition into intervals of the sorted values."""
    order = np.argsort(values)
    values, weights = values[order].astype(np.float64), weights[order]
    best = np.inf
    for cuts in itertools.combinations(range(1, len(values)), clusters - 1):
        edges, total = [0, *cuts, len(values)], 0.0
        for low, high in itertools.pairwise(edges):
            part, own = values[low:high], weights[low:high]
            centre = (own * part).sum() / own.sum() if own.sum() else part.mean()
            total += (own * (part - centre) ** 2).sum()
        best = min(best, total)
    return best


@pytest.mark.parametrize("clusters", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("seed", range(6))
def test_no_partition_has_a_smaller_error(seed, weighted, clusters):
    random = np.random.default_rng(seed)
    values = random.standard_t(2, size=12).astype(np.float32).round(1)
    weights = random.exponential(size=12) ** 3 if weighted else np.ones(12)
    weights[:2] *= seed % 2  # some matter to nobody
    found = kmeans(values, clusters, "optimal", weights)
    best = by_brute_force(values, weights, clusters)
    assert error_of(values, weights, found) == pytest.approx(best, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
@pytest.mark.parametrize("draw", ["normal", "standard_cauchy", "exponential"])
def test_no_start_of_lloyd_ends_lower(draw, bits):
    values = getattr(np.random.default_rng(7), draw)(size=3000).astype(np.float32)
    ones = np.ones(len(values))
    errors = {start: error_of(values, ones, kmeans(values, 2**bits - 1, start)) for start in STARTS}
    assert errors["optimal"] <= min(errors.values()) * (1 + 1e-12)


def test_many_values_are_merged_and_the_result_comes_within_a_thousandth(monkeypatch):
    values = np.random.default_rng(0).standard_t(4, size=4000).astype(np.float32)
    ones = np.ones(len(values))
    exact = error_of(values, ones, kmeans(values, 15, "optimal"))
    monkeypatch.setattr(optimum_module, "MOST_PLACES", 256)
    assert exact <= error_of(values, ones, kmeans(values, 15, "optimal")) <= 1.001 * exact
    edges = optimum_module._thinned(np.arange(4001), np.sort(values))
    assert edges[0] == 0
    assert edges[-1] == 4000
    assert 128 < len(edges) <= 257


def test_a_million_weights_take_as_many_places_as_are_allowed():
    values = np.random.default_rng(0).normal(size=10**6).astype(np.float32)
    line = Line.of(values)
    assert len(np.unique(values)) > 40 * MOST_PLACES
    centroids = optimal_start(line, 16)
    assert len(centroids) == 16
    # Max, Quantizing for minimum distortion, 1960, table I: 0.009497 for 16 levels of a Gaussian.
    error = error_of(values[:200_000], np.ones(200_000), centroids) / 200_000
    assert error == pytest.approx(0.009497, rel=0.01)


def test_fewer_distinct_values_than_clusters_come_back_as_they_are():
    values = np.float32([2, -1, 2, 7, -1])
    assert optimal_start(Line.of(values), 9).tolist() == [-1, 2, 7]


def test_the_table_is_walked_back_to_intervals_that_do_not_overlap():
    line = Line.of(np.float32([0, 1, 10, 11, 20, 21]))
    assert best_edges(line, np.arange(7), 3).tolist() == [0, 2, 4, 6]


def test_more_clusters_than_tables_have_room_for_are_refused():
    values = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    with pytest.raises(UsageError, match=r"finds up to 1,024 centroids, not 2,000; .*'density'"):
        kmeans(values, 2000, "optimal")


def test_a_cluster_whose_weights_are_all_zero_has_the_plain_mean():
    values, weights = np.float32([1, 2, 3, 100, 104]), np.array([1.0, 1, 1, 0, 0])
    assert kmeans(values, 2, "linear", weights).tolist() == [2, 102]
