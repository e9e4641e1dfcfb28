"""Latency and memory; with a clock and allocations that a test controls."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from laconic.container import Node, Program, Value, pack_bytes
from laconic.container import program as program_section
from laconic.errors import MismatchError
from laconic.measure import latency as latency_room
from laconic.measure.latency import WARM_UP, in_turns, latency
from laconic.measure.memory import running_bytes
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


def test_calls_take_turns_and_each_has_its_own_median(monkeypatch):
    now, order = [0], []
    monkeypatch.setattr(latency_room.time, "perf_counter_ns", lambda: now[0])

    def taking(name, milliseconds):
        def call():
            order.append(name)
            now[0] += milliseconds * 1_000_000

        return call

    found = in_turns({"a": taking("a", 3), "b": taking("b", 7)}, "an engine", count=4)
    assert "".join(order) == "ab" * (WARM_UP + 4)
    assert {name: one.median_ms for name, one in found.items()} == {"a": 3.0, "b": 7.0}
    assert (found["b"].count, found["b"].engine) == (4, "an engine")


@pytest.mark.parametrize("threads", [1, 2])
def test_matrix_products_use_the_threads_that_the_record_says(threads):
    np.ones((8, 8)) @ np.ones((8, 8))  # loads the library
    seen = []

    def call():
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    assert latency(call, "an engine", threads=threads, count=2).threads == threads
    assert seen
    assert set(seen) == {threads}


def wide_file(width, repeats):
    """A network that repeats its input, a vector, so many times."""
    times = {"times": np.int64([repeats])}
    program = Program(
        20,
        (Value("x", "F32", (width,)),),
        (Value("y", "F32", (repeats * width,)),),
        (Node("Tile", ("x", "times"), ("y",)),),
        times,
    )
    return pack_bytes([], {"program": program_section.encode(program, [])})


def test_memory_is_what_a_process_takes_on_while_it_runs():
    width = 250_000
    few, many = (
        running_bytes(wide_file(width, repeats), [np.ones(width, np.float32)], 2**30)
        for repeats in (1, 40)
    )
    assert 39 * 4 * width <= many < 5 * 40 * 4 * width
    assert few < many - 30 * 4 * width


def test_a_network_that_fails_in_its_process_is_an_error():
    with pytest.raises(MismatchError, match=r"does not run in a process of its own: .*float32"):
        running_bytes(wide_file(5, 2), [np.ones(5)], 2**30)


def test_versions_name_the_packages_and_the_machine():
    found = versions()
    assert {"python", "torch", "numpy", "machine"} <= set(found)
