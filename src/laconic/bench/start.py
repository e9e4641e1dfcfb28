"""What it costs to import the runtime and load a file, in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from laconic.bench.cases import Case, Setting
from laconic.bench.prepare import Prepared
from laconic.errors import LaconicError
from laconic.zoo import MODELS

RUNS = 10
MOST_MS, MOST_MB = 150, 60
CASE = Case(
    "start",
    "ResNet-56 of about 1 MB",
    MODELS["resnet56"],
    lambda batch: ((batch, 3, 32, 32),),
    (Setting("70 % zeros", 0.7),),
)
# The clock is the system's own: the parent's figures and the child's go together.
CHILD = """
import time
began = time.monotonic()
import numpy
numpy_read = time.monotonic()
import laconic.runtime
imported = time.monotonic()
laconic.runtime.load({path!r})
loaded = time.monotonic()
import json, sys
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
heavy = sorted({{"torch", "onnx", "onnxruntime", "scipy"}} & set(sys.modules))
print(json.dumps([began, numpy_read, imported, loaded, int(peak.split()[1]), heavy]))
"""


@dataclass(frozen=True)
class Start:
    """Medians of several fresh processes."""

    file_bytes: int
    interpreter_ms: float
    numpy_ms: float
    import_ms: float
    load_ms: float
    total_ms: float
    """From before the process is made until the file is loaded."""
    low_ms: float
    high_ms: float
    """The fastest and the slowest process, in all."""
    peak_mb: float
    """The most memory that the process ever had in use (VmHWM), in 2^20 bytes."""


def measure(path: Path) -> Start:
    """Start Python, import `laconic.runtime`, load the file; NumPy is all that is imported.

    Raises:
        LaconicError: the child failed, or loaded more than NumPy.
    """
    runs = [_child(path) for _ in range(RUNS + 1)][1:]  # the first one reads the disk
    interpreter, numpy, imported, load, total, peak = (
        [run[place] for run in runs] for place in range(6)
    )
    return Start(
        file_bytes=path.stat().st_size,
        interpreter_ms=statistics.median(interpreter),
        numpy_ms=statistics.median(numpy),
        import_ms=statistics.median(imported),
        load_ms=statistics.median(load),
        total_ms=statistics.median(total),
        low_ms=min(total),
        high_ms=max(total),
        peak_mb=statistics.median(peak),
    )


def _child(path: Path) -> tuple[float, ...]:
    """Milliseconds of the interpreter, NumPy, our import, the load and in all; peak in MB."""
    start = time.monotonic()
    command = [sys.executable, "-c", CHILD.format(path=str(path))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LaconicError(f"the fresh process failed: {done.stderr.strip()}")
    *moments, peak, heavy = json.loads(done.stdout)
    if heavy:
        raise LaconicError(f"loading a file imported {', '.join(heavy)}")
    moments = [start, *moments]
    parts = [1e3 * (after - before) for before, after in pairwise(moments)]
    return (*parts, 1e3 * (moments[-1] - start), peak / 1024)


def prepared(folder: Path) -> Path:
    """The file that is loaded."""
    return Prepared(CASE, 1, folder, []).restricted(CASE.settings[0])
