"""Programs run in several processes that gloo joins, as a person runs them with torchrun."""

import os
import subprocess
import sys


def launch(*words: object, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Run ``python WORDS`` in so many processes, each on one thread; it must end well.

    Warnings of the user's doing are errors there.

    Args:
        words: a script or ``"-m", MODULE``, and its arguments.
        processes: 1 runs it without torchrun.
    """
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::UserWarning"}
    done = subprocess.run(
        [sys.executable, *(torchrun if processes > 1 else []), *map(str, words)],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done
