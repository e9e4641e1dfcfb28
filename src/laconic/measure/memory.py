"""The largest amount of memory that a call holds at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any


def peak_memory_bytes(call: Callable[[], Any]) -> int:
    """Bytes that `call` allocates at its worst moment, NumPy arrays included.

    Counts what is allocated while it runs: for a call that loads a file and runs it, the decoded
    weights and the intermediate results.
    """
    already_tracing = tracemalloc.is_tracing()
    if not already_tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        if not already_tracing:
            tracemalloc.stop()
    return max(0, peak - before)
