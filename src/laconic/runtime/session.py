"""A network that is ready to run: checks what comes in, names what comes out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from laconic.container import probe as probe_section
from laconic.container import program as program_section
from laconic.container.dtypes import DTYPES
from laconic.container.file import MAX_BYTES, LacFile
from laconic.container.probe import Probe, make_input
from laconic.container.program import UNKNOWN_SIZE, Program, Value
from laconic.errors import MismatchError, UsageError
from laconic.runtime.engines import DEFAULT_ENGINE, Wishes, engine_named, numpy_dtype
from laconic.runtime.executor import Executor, describe
from laconic.runtime.operators.arrays import Array


class Session:
    """Runs one program; calls from several threads do not disturb each other.

    Args:
        program: inputs and outputs are its own.
        executor: the engine that holds the weights.
        probe: an input and its output, for `check_probe`.
    """

    def __init__(self, program: Program, executor: Executor, probe: Probe | None = None) -> None:
        self._expected = {
            value.name: numpy_dtype(value.dtype, f"the input {value.name}")
            for value in program.inputs
        }
        self.program = program
        self.executor = executor
        self.probe = probe

    @property
    def inputs(self) -> tuple[Value, ...]:
        """Name, dtype and shape of each input."""
        return self.program.inputs

    @property
    def outputs(self) -> tuple[Value, ...]:
        """Name, dtype and shape of each output."""
        return self.program.outputs

    @property
    def input_names(self) -> list[str]:
        """The keywords that a call takes."""
        return [value.name for value in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The keys of what a call returns."""
        return [value.name for value in self.outputs]

    def __call__(self, /, **arrays: Array) -> dict[str, Array]:
        """The outputs by name, for inputs by name.

        Raises:
            UsageError: an input is missing, or a name is none of the inputs'.
            MismatchError: a dtype or shape is not the input's.
        """
        found = self.executor.run(self.checked(arrays))
        return dict(zip(self.output_names, found, strict=True))

    def run(self, *arrays: Array) -> list[Array]:
        """The outputs in order, for inputs in order; raises as a call does."""
        if len(arrays) != len(self.inputs):
            raise UsageError(
                f"the network takes {len(self.inputs)} inputs ({self._described()}), "
                f"not {len(arrays)}"
            )
        return self.executor.run(self.checked(dict(zip(self.input_names, arrays, strict=True))))

    def checked(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The inputs as arrays, in the program's order; raises as a call does."""
        if arrays.keys() != self._expected.keys():
            missing = [name for name in self.input_names if name not in arrays]
            unknown = [name for name in arrays if name not in self._expected]
            wrong = [f"{name} is missing" for name in missing]
            wrong += [f"{name} is no input" for name in unknown]
            raise UsageError(f"{'; '.join(wrong)}; the network takes {self._described()}")
        inputs: dict[str, Array] = {}
        sizes: dict[str, tuple[int, str]] = {}
        for value in self.inputs:
            array = np.asarray(arrays[value.name])
            fault = _fault(value, self._expected[value.name], array, sizes)
            if fault:
                wanted = f"the network takes {_signature(value)}"
                raise MismatchError(f"{wanted}; found {describe(array)}: {fault}")
            inputs[value.name] = array
        return inputs

    def check_probe(self) -> float | None:
        """Run the file's probe: the largest deviation relative to its output, None without one.

        Raises:
            MismatchError: an output deviates by more than `RELATIVE_TOLERANCE` of its largest.
        """
        if self.probe is None:
            return None
        if len(self.probe.sizes) != len(self.inputs):
            raise MismatchError(
                f"the probe has {len(self.probe.sizes)} inputs, the program {len(self.inputs)}"
            )
        arrays = [
            make_input(value, size, index)
            for index, (value, size) in enumerate(zip(self.inputs, self.probe.sizes, strict=True))
        ]
        return self.probe.check(self.run(*arrays), self.program)

    def _described(self) -> str:
        return ", ".join(_signature(value) for value in self.inputs) or "no inputs"


def load(
    source: str | os.PathLike[str] | bytes,
    *,
    engine: str = DEFAULT_ENGINE,
    threads: int | None = None,
    int8: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Session:
    """A `.lac` file as a network that runs, without torch: ``load("x.lac")(image=array)``.

    Every tensor that the program reads is decoded here, once; tied ones are one.

    Args:
        source: a path, or the bytes of a file.
        engine: a name of `ENGINES`; native unless it was not built or is switched off.
        threads: at most so many compute one call; the engine's own choice by default.
        int8: layers whose weights have 8 bits may round their inputs to 8 bits too (native only):
            faster, and other numbers.
        max_bytes: refuse a file whose tensors would unpack to more bytes than this.

    Raises:
        UsageError: no engine has that name, or it is not installed.
        FormatError: the file is damaged, with the offset.
        MismatchError: the file holds weights only.
        UnsupportedError: operators or dtypes without an implementation; all are named.
    """
    make = engine_named(engine)
    with LacFile(source, max_bytes=max_bytes) as file:
        file.check_parts()
        names = list(file.entries)
        section = file.section("program")
        if section is None:
            what = "these bytes" if isinstance(source, bytes) else os.fspath(source)
            raise MismatchError(
                f"{what}: {len(names)} tensors and no program, so there is nothing to run; fill "
                "a model of yours with laconic.load(path, into=model), or pack again with the "
                "program"
            )
        program = program_section.decode(section, names, file.sections["program"][0])
        tested = file.section("probe")
        probe = None
        if tested is not None:
            probe = probe_section.decode(tested, file.sections["probe"][0])
        executor = make(file, program, Wishes(threads, int8))
    return Session(program, executor, probe)


def _signature(value: Value) -> str:
    """An input as a message shows it: ``image float32[batch, 1, 28, 28]``."""
    sizes = ", ".join(str(size) for size in value.shape)
    return f"{value.name} {np.dtype(DTYPES[value.dtype].numpy)}[{sizes}]"


def _fault(
    value: Value, expected: np.dtype[Any], array: Array, sizes: dict[str, tuple[int, str]]
) -> str:
    """What is wrong with dtype, rank or sizes, if anything; `sizes` remembers symbolic ones."""
    if array.dtype != expected:
        return f"convert it with .astype(np.{expected})"
    if array.ndim != len(value.shape):
        return f"{array.ndim} dimensions instead of {len(value.shape)}"
    for axis, (size, given) in enumerate(zip(value.shape, array.shape, strict=True)):
        if isinstance(size, int):
            if given != size:
                return f"dimension {axis} is {given}, not {size}"
            continue
        if size == UNKNOWN_SIZE:
            continue
        known, where = sizes.setdefault(size, (given, value.name))
        if given != known:
            return f"{size} is {given} here and {known} in {where}"
    return ""
