"""Latency and memory; with a clock and allocations that a test controls."""

import tracemalloc

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from laconic.measure import latency as latency_room
from laconic.measure.latency import WARM_UP, latency
from laconic.measure.memory import peak_memory_bytes
from laconic.measure.versions import versions


def test_median_and_spread_leave_the_warm_up_out(monkeypatch):
    now, calls = [0], []
    monkeypatch.setattr(latency_room.time, "perf_counter_ns", lambda: now[0])

    def call():
        """The n-th timed call takes n milliseconds, a warm-up call an hour."""
        calls.append(None)
        number = len(calls) - WARM_UP
        now[0] += number * 1_000_000 if number > 0 else 3_600_000_000_000

    found = latency(call, "an engine", threads=1, count=101)
    assert len(calls) == WARM_UP + 101
    assert (found.median_ms, found.p5_ms, found.p95_ms) == (51.0, 6.0, 96.0)
    assert (found.count, found.threads, found.engine) == (101, 1, "an engine")


@pytest.mark.parametrize("threads", [1, 2])
def test_matrix_products_use_the_threads_that_the_record_says(threads):
    np.ones((8, 8)) @ np.ones((8, 8))  # loads the library
    seen = []

    def call():
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    assert latency(call, "an engine", threads=threads, count=2).threads == threads
    assert seen
    assert set(seen) == {threads}


def test_peak_memory_is_what_a_call_holds_at_its_worst_moment():
    def call():
        for _ in range(3):
            first = np.ones(1_000_000, np.uint8)
            second = np.concatenate([first, first])
            del first, second

    assert 3_000_000 <= peak_memory_bytes(call) < 3_100_000


def test_what_was_there_before_is_not_counted():
    """Nor an earlier peak, when somebody else traces memory already; who goes on tracing."""
    tracemalloc.start()
    try:
        kept = np.ones(5_000_000, np.uint8)
        np.ones(9_000_000, np.uint8)
        assert peak_memory_bytes(lambda: kept[:10].copy()) < 100_000
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_tracing_ends_with_the_call_even_when_it_fails():
    with pytest.raises(ZeroDivisionError):
        peak_memory_bytes(lambda: 1 / 0)
    assert not tracemalloc.is_tracing()


def test_versions_name_the_packages_and_the_machine():
    found = versions()
    assert {"python", "torch", "numpy", "machine"} <= set(found)
