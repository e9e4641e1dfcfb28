"""What this machine can do at most: multiplications a second, and bytes a second from memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from laconic.bench.worker import THREAD_VARIABLES, keep_to
from laconic.container import Node, Program, Value
from laconic.errors import LaconicError
from laconic.pack.onnxruntime_executor import OnnxRuntimeExecutor

RUNS = 30
"""Many short ones: on a busy machine some are not disturbed."""
SIDE = 512
"""Of the matrices that are multiplied: large enough for the full speed, small enough for caches."""
MEMORY_ITEMS = 2**26
"""Float32 that are read: far more than caches hold."""


@dataclass(frozen=True)
class Machine:
    """The best of several runs of each, on so many threads."""

    threads: int
    gflops: float
    """10⁹ floating-point operations a second of ONNX Runtime's matrix product; a MAC is two."""
    gigabytes: float
    """10⁹ bytes a second, read from memory in order."""


def measured(threads: int) -> Machine:
    """Measure in a process of its own, which keeps to as many processors.

    Raises:
        LaconicError: the process failed.
    """
    command = [sys.executable, "-m", "laconic.bench.machine", str(threads)]
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise LaconicError(f"the machine cannot be measured: {done.stderr.strip()}")
    return Machine(**json.loads(done.stdout))


def _measure(threads: int) -> Machine:
    # NumPy's own product reaches half of that where its BLAS has no AVX-512.
    multiply = _best(_product(threads))
    parts = np.ones(MEMORY_ITEMS, np.float32).reshape(threads, -1)
    read = _best(lambda: _read(parts))
    return Machine(threads, 2e-9 * SIDE**3 / multiply, 1e-9 * parts.nbytes / read)


def _product(threads: int) -> Callable[[], object]:
    """A product of two square matrices, the second one known beforehand."""
    matrix = np.ones((SIDE, SIDE), np.float32)
    square = (SIDE, SIDE)
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", square),),
        outputs=(Value("y", "F32", square),),
        nodes=(Node("MatMul", ("x", "w"), ("y",)),),
    )
    executor = OnnxRuntimeExecutor(program, {"w": matrix}, threads=threads)
    return lambda: executor.run({"x": matrix})


def _read(parts: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
    """Each row by a thread of its own: NumPy lets go of the interpreter while it looks."""
    if len(parts) == 1:
        parts.max()
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(np.max, parts))


def _best(action: Callable[[], object]) -> float:
    """The least seconds of several runs."""
    found = []
    for _ in range(RUNS):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return min(found)


if __name__ == "__main__":
    count = int(sys.argv[1])
    keep_to(count)
    print(json.dumps(asdict(_measure(count))))
