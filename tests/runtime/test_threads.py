"""What the native engine says when the system has no thread left."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

# A stack of 8 MiB a thread, and room for few: such limits hold for the superuser too.
SCRIPT = """
import resource
from laconic import _native

STACK = 8 << 20
resource.setrlimit(resource.RLIMIT_STACK, (STACK, resource.getrlimit(resource.RLIMIT_STACK)[1]))
with open("/proc/self/statm") as sizes:
    used = int(sizes.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 5 * STACK, used + 5 * STACK))
try:
    _native.Network(_native.Graph(20), 64, False)
except RuntimeError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS counts stacks on Linux")
def test_threads_that_the_system_refuses_are_counted():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    words = r"threads=64: the system gave only (\d+) \(.+\); ask for \1 or fewer\n"
    assert re.fullmatch(words, done.stdout), done.stdout
