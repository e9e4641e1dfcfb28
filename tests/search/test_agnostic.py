"""Shapes of networks that need no weights."""

import os

import numpy as np
import pytest

from laconic import zoo
from laconic.errors import UsageError
from laconic.search import Network, agnostic_search
from laconic.search.agnostic import ACTIVATIONS, NAMES, WEIGHTS, score, varied

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([0, 1, 1, 0])


def test_a_network_computes_what_its_graph_says():
    """Node 5 is |w(x₀ + x₁)|, the outputs w·1 and tanh(w · node 5)."""
    network = Network(
        inputs=2, outputs=2, order=(5,),
        connections=frozenset({(0, 5), (1, 5), (2, 3), (5, 4)}),
        activations=("linear", "tanh", "absolute"),
    )  # fmt: skip
    rows = np.array([[1.0, 2.0], [-3.0, 1.0]])
    expected = [[-0.5, np.tanh(-0.5 * 1.5)], [-0.5, np.tanh(-0.5 * 1.0)]]
    np.testing.assert_allclose(network(rows, -0.5), expected)


def test_xor_is_solved_with_every_weight():
    found = agnostic_search(CORNERS, XOR, seed=0)
    assert found.accuracies == (1.0,) * len(WEIGHTS)
    for weight in (-3.0, -0.7, 0.3, 1.7):  # weights that it was not scored with
        outputs = found.network(CORNERS, weight)
        assert np.mean(outputs.argmax(1) == XOR) >= 0.75


def test_the_same_seed_searches_the_same_way():
    searches = [agnostic_search(CORNERS, XOR, seed=seed, generations=5) for seed in (4, 4, 5)]
    assert searches[0] == searches[1]
    assert searches[0] != searches[2]


def test_every_change_leaves_a_graph_that_runs_forwards():
    random = np.random.default_rng(1)
    network = Network(2, 2, (), frozenset({(0, 3)}), ("linear", "linear"))
    seen = set()
    for _ in range(300):
        network = varied(network, random)
        place = {node: number for number, node in enumerate(network.order)}
        for source, target in network.connections:
            assert source not in (3, 4), "an output feeds a node"
            if source in place and target in place:
                assert place[source] < place[target]
        assert len(network.activations) == 2 + len(network.order)
        seen |= set(network.activations)
    assert len(network.order) > 20
    assert seen == set(NAMES) == set(ACTIVATIONS)
    assert np.isfinite(network(CORNERS, 0.5)).all()


def test_a_tie_is_no_answer():
    nothing = Network(2, 2, (), frozenset(), ("linear", "linear"))
    assert score(nothing, CORNERS, XOR).accuracies == (0.0,) * len(WEIGHTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": XOR[:3]}, r"rows have the shape \[4, 2\] and labels \[3\]"),
        ({"labels": XOR * 0}, "the classes go from 0 to 0; number two or more from 0"),
        ({"population": 4}, "population is 4 and generations 200; at least 10 and 0"),
    ],
    ids=["a label too few", "one class", "too few networks"],
)
def test_what_cannot_be_searched_is_refused(arguments, message):
    given = {"rows": CORNERS, "labels": XOR} | arguments
    with pytest.raises(UsageError, match=message):
        agnostic_search(given.pop("rows"), given.pop("labels"), **given)


def zeros_and_ones(task, split, count):
    """Digits 0 and 1 as 7×7 pixels, and which is which."""
    rows, labels = [], []
    for images, digits in task.batches(split):
        chosen = digits < 2
        small = images[chosen].reshape(-1, 7, 4, 7, 4).mean((2, 4)) * 0.3081 + 0.1307
        rows.append(small.reshape(-1, 49).double().numpy())
        labels.append(digits[chosen].numpy())
    return np.concatenate(rows)[:count], np.concatenate(labels)[:count]


@pytest.mark.slow
def test_two_digits_of_mnist_are_told_apart_with_every_weight():
    """The goal is 90 % for each; a thousand training images, scored on the validation split."""
    if "LACONIC_DATA" not in os.environ:
        pytest.skip("LACONIC_DATA is not set, so there are no data sets to read")
    task = zoo.resolve_task("zoo:mnist")
    rows, labels = zeros_and_ones(task, "train", 1000)
    found = agnostic_search(rows, labels, generations=60, goal=0.97, start_connections=0.05).network
    unseen = score(found, *zeros_and_ones(task, "validation", 5000))
    assert unseen.worst > 0.9
    assert len(found.connections) < 49
