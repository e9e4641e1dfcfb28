"""What can run a program, by name: each engine takes what it needs of the file when it is asked.

An engine loads when it is first used: `onnxruntime` stands in `pack`, beside the export that it
needs, and only its name is here (docs/decisions/0009-engines-by-name.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np

from laconic.coding.kernels import FORM
from laconic.container.dtypes import DTYPES
from laconic.container.file import LacFile
from laconic.container.program import Program
from laconic.errors import UnsupportedError, UsageError
from laconic.runtime.executor import Executor, NumpyExecutor
from laconic.runtime.operators.arrays import Array


@dataclass(frozen=True)
class Wishes:
    """What the caller asks of an engine.

    Args:
        threads: at most so many compute one call; None is the engine's own choice.
        int8: layers with weights of 8 bits may round their inputs to 8 bits.
    """

    threads: int | None = None
    int8: bool = False

    def refuse_int8(self, engine: str) -> None:
        """UsageError when int8 was asked of an engine that has no such layers."""
        if self.int8:
            raise UsageError(f"the engine {engine} computes as the program says; int8 is native's")


Engine: TypeAlias = "Callable[[LacFile, Program, Wishes], Executor]"
"""Given the file, its program and the caller's wishes."""


def engine_named(name: str) -> Engine:
    """The engine of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in ENGINES:
        raise UsageError(f"no engine is named {name!r}; there are: {', '.join(ENGINES)}")
    return ENGINES[name]


def _numpy(file: LacFile, program: Program, wishes: Wishes) -> Executor:
    wishes.refuse_int8("numpy")
    if wishes.threads is not None:
        raise UsageError(
            "the engine numpy has no threads of its own; those of its matrix products are "
            "OMP_NUM_THREADS in the environment"
        )
    return NumpyExecutor(program, decoded(file, program))


def _native(file: LacFile, program: Program, wishes: Wishes) -> Executor:
    if FORM != "native":
        raise UsageError(
            "the engine native is switched off (LACONIC_NATIVE) or was not built; take numpy"
        )
    home = import_module("laconic.runtime.native_executor")
    executor: Executor = home.NativeExecutor(
        program, home.sources(file, program), threads=wishes.threads, int8=wishes.int8
    )
    return executor


def _onnxruntime(file: LacFile, program: Program, wishes: Wishes) -> Executor:
    wishes.refuse_int8("onnxruntime")
    try:
        home = import_module("laconic.pack.onnxruntime_executor")
    except ModuleNotFoundError as error:
        raise UsageError(
            f'the engine onnxruntime needs {error.name}: pip install "laconic[onnx,bench]"'
        ) from error
    executor: Executor = home.OnnxRuntimeExecutor(
        program, decoded(file, program), threads=wishes.threads
    )
    return executor


ENGINES: dict[str, Engine] = {
    "native": _native,
    "numpy": _numpy,
    "onnxruntime": _onnxruntime,
}
DEFAULT_ENGINE = "native" if FORM == "native" else "numpy"


def decoded(file: LacFile, program: Program) -> dict[str, Array]:
    """The arrays that the program reads; a tied tensor is the array of its first name."""
    by_origin: dict[str, Array] = {}
    tensors = {}
    for name in program.free_names():
        numpy_dtype(file.entry(name).dtype, f"the tensor {name}")
        origin = file.same_as(name) or name
        if origin not in by_origin:
            by_origin[origin] = file.array(origin)
        tensors[name] = by_origin[origin]
    return tensors


def numpy_dtype(dtype: str, what: str) -> np.dtype[Any]:
    """NumPy's dtype for a name of the file format.

    Raises:
        UnsupportedError: NumPy has none (bfloat16, float8); `what` says whose dtype it is.
    """
    found = DTYPES[dtype].numpy
    if found is None:
        raise UnsupportedError(
            f"{what} is {dtype}, in which NumPy cannot compute; convert the model to float32 "
            "before packing"
        )
    return np.dtype(found)
