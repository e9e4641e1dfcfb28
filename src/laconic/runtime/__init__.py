"""Runs a `.lac` file with NumPy alone: ``laconic.runtime.load("x.lac")(image=array)``."""

from laconic.runtime.engines import ENGINES
from laconic.runtime.executor import Executor, NumpyExecutor, Observer
from laconic.runtime.macs import count_macs
from laconic.runtime.operators import OPERATORS
from laconic.runtime.session import Session, load

__all__ = [
    "ENGINES",
    "OPERATORS",
    "Executor",
    "NumpyExecutor",
    "Observer",
    "Session",
    "count_macs",
    "load",
]
