"""How much memory a packed network takes while it runs, measured from outside."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.errors import MismatchError

# What was there before the file was opened does not count: the interpreter, NumPy, our own code.
CHILD = """
import resource, sys
import numpy
from laconic import runtime

def status(key, otherwise):
    try:
        with open("/proc/self/status") as file:
            return 1024 * int(next(line for line in file if line.startswith(key)).split()[1])
    except OSError:  # not Linux
        return otherwise

folder, max_bytes = sys.argv[1:]
loaded = numpy.load(f"{folder}/inputs.npz")
arrays = [loaded[name] for name in loaded.files]
before = status("VmRSS", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
session = runtime.load(f"{folder}/network.lac", max_bytes=int(max_bytes))
session.run(*arrays)
print(status("VmHWM", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) - before)
"""


def running_bytes(data: bytes, inputs: Sequence[NDArray[Any]], max_bytes: int) -> int:
    """Bytes of memory that a fresh process takes on to load a file and run it once.

    Args:
        data: a `.lac` file with a program.
        inputs: in the order of the program.
        max_bytes: refuse a file whose tensors would unpack to more bytes than this.

    Raises:
        MismatchError: the process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "network.lac").write_bytes(data)
        np.savez(Path(folder) / "inputs.npz", *inputs, allow_pickle=False)
        command = [sys.executable, "-c", CHILD, folder, str(max_bytes)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MismatchError(f"the network does not run in a process of its own: {last}")
    return max(0, int(done.stdout))
