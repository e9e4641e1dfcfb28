"""Milliseconds of one call: warm-up, then many timed calls, median and spread."""

from __future__ import annotations

import time
from collections.abc import Callable
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
    milliseconds = []
    with threadpool_limits(threads):
        for _ in range(WARM_UP):
            call()
        for _ in range(count):
            start = time.perf_counter_ns()
            call()
            milliseconds.append((time.perf_counter_ns() - start) / 1e6)
    low, median, high = np.percentile(milliseconds, [5, 50, 95])
    return Latency(float(median), float(low), float(high), count, threads, engine)
