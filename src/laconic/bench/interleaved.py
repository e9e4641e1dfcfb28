"""Times of several sides, taken in turns, so that a drift of the machine meets all of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from laconic.bench.engines import Array
from laconic.bench.prepare import Side
from laconic.bench.worker import LONG_SECONDS, Worker
from laconic.errors import UnsupportedError

BLOCK_SECONDS = 0.03
"""About how long one side runs before it is the next one's turn."""
PAUSE_SECONDS = 0.02
"""Between blocks: threads of the last side that still look for work give up meanwhile."""
LEAST_ROUNDS, MOST_ROUNDS = 3, 60


@dataclass(frozen=True)
class Turns:
    """Seconds of every call of a side: a list a round."""

    rounds: list[list[float]]

    @property
    def calls(self) -> list[float]:
        """All of them."""
        return [seconds for block in self.rounds for seconds in block]

    def percentiles_ms(self) -> tuple[float, float, float]:
        """10th, 50th and 90th percentile of all calls."""
        low, median, high = np.percentile(self.calls, [10, 50, 90]) * 1e3
        return float(low), float(median), float(high)


def ratio(slow: Turns, fast: Turns) -> tuple[float, float, float]:
    """How many times longer `slow` takes: 10th, 50th and 90th percentile over the rounds.

    A round's ratio is that of its two medians, taken a moment after each other.

    Examples:
        >>> low, median, high = ratio(Turns([[4.0], [6.0], [8.0]]), Turns([[2.0], [2.0], [2.0]]))
        >>> round(low, 1), median, round(high, 1)
        (2.2, 3.0, 3.8)
    """
    found = [
        statistics.median(theirs) / statistics.median(ours)
        for theirs, ours in zip(slow.rounds, fast.rounds, strict=True)
    ]
    low, median, high = np.percentile(found, [10, 50, 90])
    return float(low), float(median), float(high)


@dataclass(frozen=True)
class Ran:
    """What the sides of one network did at one batch and number of threads."""

    turns: dict[str, Turns]
    outputs: dict[str, list[Array]]
    failures: dict[str, str]
    """Side → why it could not run."""
    parts: dict[str, list[tuple[str, str, float]]]
    """One of our sides → operator, form and seconds, for each operator of its fastest run."""


def run(sides: Sequence[Side], inputs: Sequence[Array], threads: int, seconds: float) -> Ran:
    """Time the sides in turns for about so many seconds.

    Args:
        sides: what runs; each gets a process.
        inputs: arrays in the order of the network's inputs.
        threads: of every engine.
        seconds: in all; never less than three rounds.
    """
    ran = Ran({}, {}, {}, {})
    with ExitStack() as stack:
        workers = {
            side.name: stack.enter_context(Worker(side.engine, side.path, inputs, threads))
            for side in sides
        }
        for name, worker in list(workers.items()):
            try:
                worker.ready()
                ran.outputs[name] = worker.outputs()
            except UnsupportedError as error:
                ran.failures[name] = str(error)
                del workers[name]
        rounds: dict[str, list[list[float]]] = {name: [] for name in workers}
        blocks = {name: _calls(worker) for name, worker in workers.items()}
        spent = 0.0
        while _goes_on(len(next(iter(rounds.values()), [])), spent, seconds):
            start = time.perf_counter()
            for name, worker in workers.items():
                time.sleep(PAUSE_SECONDS)
                rounds[name].append(worker.seconds(*blocks[name]))
            spent += time.perf_counter() - start
        for side in sides:
            if side.setting is not None and side.name in workers:
                ran.parts[side.name] = workers[side.name].parts()
    ran.turns.update({name: Turns(blocks) for name, blocks in rounds.items()})
    return ran


def _calls(worker: Worker) -> tuple[int, int]:
    """Calls that warm up and calls that are timed in a block."""
    (once,) = worker.seconds(0, 1)
    if once < LONG_SECONDS:
        once = statistics.median(worker.seconds(1, 3))
    calls = max(1, math.ceil(BLOCK_SECONDS / once))
    return math.ceil(calls / 3) if once < BLOCK_SECONDS else 0, calls


def _goes_on(rounds: int, spent: float, seconds: float) -> bool:
    """Whether there is time for one more round."""
    if rounds < LEAST_ROUNDS:
        return True
    return rounds < MOST_ROUNDS and spent * (rounds + 1) / rounds < seconds


def deviation(found: Mapping[str, list[Array]], side: str, reference: str) -> float:
    """The largest difference of two sides' outputs, relative to the largest output."""
    pairs = zip(found[side], found[reference], strict=True)
    return max(
        float(np.max(np.abs(ours - theirs), initial=0))
        / max(float(np.max(np.abs(theirs), initial=0)), 1e-30)
        for ours, theirs in pairs
    )
