"""Milliseconds of one call: warm-up, then many timed calls, median and spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from laconic.measure.receipts import Latency

WARM_UP = 5
COUNT = 50


def latency(
    call: Callable[[], Any], engine: str, *, threads: int = 1, count: int = COUNT
) -> Latency:
    """Time `call` `count` times after a warm-up, with the BLAS threads pinned.

    Args:
        call: one inference, batch 1.
        engine: who computes, for the record.
        threads: how many threads matrix products may use.
        count: timed calls.
    """
    return in_turns({"": call}, engine, threads=threads, count=count)[""]


def in_turns(
    calls: Mapping[str, Callable[[], Any]], engine: str, *, threads: int = 1, count: int = COUNT
) -> dict[str, Latency]:
    """Time several calls, one after the other in each round: a drift of the machine meets all.

    Args:
        calls: name → one inference.
        engine: who computes, for the record.
        threads: how many threads matrix products may use.
        count: rounds; as many more as `latency` warms up with come first and are not counted.
    """
    milliseconds: dict[str, list[float]] = {name: [] for name in calls}
    with threadpool_limits(threads):
        for _ in range(WARM_UP + count):
            for name, call in calls.items():
                start = time.perf_counter_ns()
                call()
                milliseconds[name].append((time.perf_counter_ns() - start) / 1e6)
    found = {}
    for name, own in milliseconds.items():
        low, median, high = np.percentile(own[WARM_UP:], [5, 50, 95])
        found[name] = Latency(float(median), float(low), float(high), count, threads, engine)
    return found
