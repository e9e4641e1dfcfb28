"""Networks whose shape alone solves a task, whatever single weight they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from laconic.errors import UsageError

Array = NDArray[np.float64]
Option = TypeVar("Option")

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "step": lambda x: (x > 0).astype(np.float64),
    "sine": lambda x: np.sin(np.pi * x),
    "cosine": lambda x: np.cos(np.pi * x),
    "gauss": lambda x: np.exp(-(x**2) / 2),
    "tanh": np.tanh,
    "sigmoid": lambda x: (np.tanh(x / 2) + 1) / 2,
    "absolute": np.abs,
    "inverse": lambda x: -x,
    "relu": lambda x: np.maximum(x, 0),
}
"""The paper's set."""
NAMES = tuple(ACTIVATIONS)
WEIGHTS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
"""Shared weights that a network is scored with, as in the paper."""


@dataclass(frozen=True)
class Network:
    """A graph without weights: inputs, a constant 1, hidden nodes and outputs, in this order.

    Examples:
        >>> network = Network(1, 1, (), frozenset({(0, 2)}), ("linear",))
        >>> network(np.array([[3.0]]), 0.5)
        array([[1.5]])
    """

    inputs: int
    outputs: int
    order: tuple[int, ...]
    """Hidden nodes, by number, in the order in which they are computed."""
    connections: frozenset[tuple[int, int]]
    """(from, to); node numbers: inputs, the constant, outputs, then hidden nodes as they came."""
    activations: tuple[str, ...]
    """Of outputs and hidden nodes, by number."""

    @property
    def first(self) -> int:
        """The number of the first node that computes something."""
        return self.inputs + 1

    def sequence(self) -> list[int]:
        """All nodes that compute, in order: hidden ones, then outputs."""
        return [*self.order, *range(self.first, self.first + self.outputs)]

    def __call__(self, rows: Array, weight: float) -> Array:
        """Outputs ``[rows, outputs]`` where every connection has this weight."""
        values: dict[int, Array] = {place: rows[:, place] for place in range(self.inputs)}
        values[self.inputs] = np.ones(len(rows))
        into: dict[int, list[int]] = {}
        for source, target in sorted(self.connections):
            into.setdefault(target, []).append(source)
        for node in self.sequence():
            total = np.zeros(len(rows))
            for source in into.get(node, []):
                total = total + values[source]
            values[node] = ACTIVATIONS[self.activations[node - self.first]](weight * total)
        return np.stack([values[node] for node in self.sequence()[-self.outputs :]], 1)


@dataclass(frozen=True)
class Scored:
    """A network and how often it is right, for each shared weight."""

    network: Network
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the weights."""
        return float(np.mean(self.accuracies))

    @property
    def worst(self) -> float:
        """Of the weights."""
        return min(self.accuracies)


def agnostic_search(
    rows: Array,
    labels: NDArray[np.integer],
    *,
    population: int = 64,
    generations: int = 200,
    seed: int = 0,
    goal: float = 1.0,
    start_connections: float = 0.25,
) -> Scored:
    """Search for a network that classifies whatever weight all its connections share.

    Gaier, Ha, Weight Agnostic Neural Networks, arXiv:1906.04358: networks of few connections are
    scored by their mean over `WEIGHTS`, ranked, and varied by one of three operators (insert a
    node into a connection, add a connection, change an activation). In four of five generations
    the ranking is by Pareto fronts of mean and number of connections, in the fifth by mean and
    best weight; parents win tournaments. Departure: instead of the best weight the **worst** one
    stands in the fifth, because what is asked here is that every weight does.

    Args:
        rows: examples ``[n, inputs]``.
        labels: class numbers from 0; there is an output for each, the largest is the answer.
        population: networks in a generation.
        generations: at most.
        seed: the same seed gives the same search.
        goal: stop when the worst weight of a network is right so often.
        start_connections: part of the connections from inputs to outputs that the first have.

    Returns:
        The best by its worst weight, then its mean, then the fewest connections.

    Raises:
        UsageError: rows and labels do not fit, or an argument is out of range.
    """
    _check(rows, labels, population, generations)
    random = np.random.default_rng(seed)
    outputs = int(labels.max()) + 1
    networks = [
        _first(rows.shape[1], outputs, start_connections, random) for _ in range(population)
    ]
    scored = [score(network, rows, labels) for network in networks]
    best = max(scored, key=_merit)
    for _ in range(generations):
        if best.worst >= goal:
            break
        ranks = _ranks(scored, by_size=random.random() < 0.8)
        elite = [scored[place] for place in np.argsort(ranks)[: population // 5]]
        children: list[Scored] = []
        while len(children) < population - len(elite) - 1:
            rivals = random.integers(0, population, 4)
            parent = scored[int(min(rivals, key=lambda place: ranks[place]))].network
            for _ in range(int(random.integers(1, 4))):
                parent = varied(parent, random)
            children.append(score(parent, rows, labels))
        scored = [*elite, best, *children]
        best = max(scored, key=_merit)
    return best


def score(network: Network, rows: Array, labels: NDArray[np.integer]) -> Scored:
    """How often the largest output is the label's, for each of `WEIGHTS`; a tie is wrong."""
    accuracies = []
    for weight in WEIGHTS:
        with np.errstate(all="ignore"):
            outputs = np.nan_to_num(network(rows, weight), posinf=1e300, neginf=-1e300)
        own = outputs[np.arange(len(rows)), labels]
        outputs[np.arange(len(rows)), labels] = -np.inf
        accuracies.append(float((own > outputs.max(1)).mean()))
    return Scored(network, tuple(accuracies))


def varied(network: Network, random: np.random.Generator) -> Network:
    """A network that differs in one node, connection or activation."""
    change = random.integers(0, 3)
    if change == 0 and network.connections:
        return _with_node(network, random)
    if change == 1:
        return _with_connection(network, random)
    activations = list(network.activations)
    activations[int(random.integers(0, len(activations)))] = _any(NAMES, random)
    return replace(network, activations=tuple(activations))


def _with_node(network: Network, random: np.random.Generator) -> Network:
    """Cut a connection in two with a node between."""
    source, target = _any(sorted(network.connections), random)
    node = network.first + len(network.activations)
    order = list(network.order)
    place = order.index(source) + 1 if source in order else 0
    order.insert(place, node)
    return replace(
        network,
        order=tuple(order),
        connections=network.connections - {(source, target)} | {(source, node), (node, target)},
        activations=(*network.activations, _any(NAMES, random)),
    )


def _with_connection(network: Network, random: np.random.Generator) -> Network:
    """Join two nodes, forwards in the order of computing; outputs join nothing."""
    target_place = int(random.integers(0, len(network.sequence())))
    target = network.sequence()[target_place]
    sources = [*range(network.inputs + 1), *network.order[:target_place]]
    free = [source for source in sources if (source, target) not in network.connections]
    if not free:
        return network
    return replace(network, connections=network.connections | {(_any(free, random), target)})


def _first(inputs: int, outputs: int, share: float, random: np.random.Generator) -> Network:
    first = inputs + 1
    connections = frozenset(
        (source, first + output)
        for source in range(inputs + 1)
        for output in range(outputs)
        if random.random() < share
    )
    activations = tuple(_any(NAMES, random) for _ in range(outputs))
    return Network(inputs, outputs, (), connections, activations)


def _any(options: Sequence[Option], random: np.random.Generator) -> Option:
    return options[int(random.integers(0, len(options)))]


def _merit(one: Scored) -> tuple[float, float, int]:
    return one.worst, one.mean, -len(one.network.connections)


def _ranks(scored: Sequence[Scored], *, by_size: bool) -> NDArray[np.float64]:
    """The number of the Pareto front that each stands on, from 0; in it, the higher mean first."""
    means = np.array([one.mean for one in scored])
    second = np.array(
        [-len(one.network.connections) if by_size else one.worst for one in scored], np.float64
    )
    better = (means[:, None] >= means) & (second[:, None] >= second)
    dominated = better & ((means[:, None] > means) | (second[:, None] > second))
    front = np.full(len(scored), -1)
    number = 0
    while (front < 0).any():
        left = front < 0
        free = left & ~(dominated[left].any(0))
        front[free] = number
        number += 1
    ranks: NDArray[np.float64] = front - means / 2
    return ranks


def _check(rows: Array, labels: NDArray[np.integer], population: int, generations: int) -> None:
    if rows.ndim != 2 or labels.shape != (len(rows),) or not len(rows):
        raise UsageError(
            f"rows have the shape {list(rows.shape)} and labels {list(labels.shape)}; give one "
            "row of inputs and one class number for each example"
        )
    if labels.min() < 0 or labels.max() < 1:
        raise UsageError(
            f"the classes go from {labels.min()} to {labels.max()}; number two or more from 0"
        )
    if population < 10 or generations < 0:
        raise UsageError(
            f"population is {population} and generations {generations}; at least 10 and 0 are "
            "needed"
        )
