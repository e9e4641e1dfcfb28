"""One engine in a process of its own, on processors of its own, timed on demand.

A process a side: thread pools start with the processors that they may use, no side's threads wait
in another side's way, and each has its memory to itself.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from laconic.bench.engines import ENGINES, Array, Call, Laconic
from laconic.errors import UnsupportedError

END_SECONDS = 10
PART_RUNS = 7
LONG_SECONDS = 0.5
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Worker:
    """A process in which one engine runs one network; use it in a ``with``.

    Args:
        engine: a key of `ENGINES`.
        path: what the engine runs.
        inputs: arrays in the order of the network's inputs.
        threads: of the engine; the process keeps to as many processors, the last ones.

    Raises:
        UnsupportedError: the engine cannot run the network.
    """

    def __init__(self, engine: str, path: Path, inputs: Sequence[Array], threads: int) -> None:
        self.engine = engine
        # Not a fork: engines do not survive one, and a fork inherits what this process has loaded.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, engine, path, list(inputs), threads), daemon=True
        )
        self._process.start()
        theirs.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *raised: object) -> None:
        self._connection.close()
        self._process.join(END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def ready(self) -> None:
        """Wait until the network is loaded."""
        self._received()

    def outputs(self) -> list[Array]:
        """What the network computes."""
        return list(self._asked("outputs"))

    def seconds(self, warm_up: int, calls: int) -> list[float]:
        """The time of each of `calls` calls, after some that are not timed."""
        return list(self._asked("seconds", warm_up, calls))

    def parts(self) -> list[tuple[str, str, float]]:
        """Operator, form and seconds of each operator, in the fastest of several runs of ours."""
        return list(self._asked("parts"))

    def _asked(self, *words: Any) -> Any:
        self._connection.send(words)
        return self._received()

    def _received(self) -> Any:
        try:
            failed, value = self._connection.recv()
        except EOFError as error:
            raise UnsupportedError(f"{self.engine} ended without a word") from error
        if failed:
            raise UnsupportedError(f"{self.engine} cannot run the network: {value}")
        return value


def serve(
    connection: Connection, engine: str, path: Path, inputs: list[Array], threads: int
) -> None:
    """Answer a `Worker` until it closes the connection."""
    keep_to(threads)
    try:
        call = ENGINES[engine](path, inputs, threads)
        outputs = call()
    except Exception as error:  # of other people's engines, whatever they raise
        lines = traceback.format_exception_only(error)
        connection.send((True, lines[-1].strip()))
        return
    connection.send((False, None))
    while True:
        try:
            asked, *numbers = connection.recv()
        except EOFError:
            return
        if asked == "seconds":
            connection.send((False, timed(call, *numbers)))
        elif asked == "parts" and isinstance(call, Laconic):
            connection.send((False, fastest_parts(call)))
        else:
            connection.send((False, outputs))


def fastest_parts(call: Laconic) -> list[tuple[str, str, float]]:
    """The parts of the fastest of several runs; of one where it takes long."""

    def total(run: list[tuple[str, str, float]]) -> float:
        return sum(seconds for _, _, seconds in run)

    runs = [call.parts()]
    while len(runs) < PART_RUNS and total(runs[0]) < LONG_SECONDS:
        runs.append(call.parts())
    return min(runs, key=total)


def keep_to(threads: int) -> None:
    """Keep this process to its last `threads` processors, and its libraries to as many threads.

    Where the system has no such call (not Linux) nothing is pinned.
    """
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def timed(call: Call, warm_up: int, calls: int) -> list[float]:
    """Seconds of each call."""
    for _ in range(warm_up):
        call()
    found = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found
