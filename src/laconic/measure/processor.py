"""Which processor this is; one for a process, for rates of one thread that can be compared."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager


def processor_name() -> str:
    """The processor's model, and how many of it this process may use.

    Examples:
        >>> processor_name().endswith(("CPU", "CPUs"))
        True
    """
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        models = []  # not Linux
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{models[0] if models else name}, {count} {'CPU' if count == 1 else 'CPUs'}"


@contextmanager
def one_cpu() -> Iterator[None]:
    """Keep this process on one processor, so that no side has a thread more than another.

    Where the system has no such call (not Linux) nothing is pinned.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
