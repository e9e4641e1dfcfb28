"""Runs a program in C++ (native/engine): weights stay compressed in memory, zeros are skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from laconic import _native
from laconic.container.file import LacFile
from laconic.container.program import Attribute, Program, Value
from laconic.errors import MismatchError, UnsupportedError, UsageError
from laconic.runtime.engines import numpy_dtype
from laconic.runtime.executor import OLDEST_OPSET, describe, require_given
from laconic.runtime.operators.arrays import Array

ONNX_NUMBERS = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
}
"""What the engine computes in, as ONNX numbers types."""
DTYPES = frozenset(np.dtype(name) for name in ONNX_NUMBERS)
FLOAT16, BFLOAT16 = 10, 16
MOST_THREADS = 64
DTYPE_ATTRIBUTES = ("to", "dtype")
"""Attributes that name a type by its number."""


@dataclass(frozen=True)
class Source:
    """A tensor that is decoded when the engine packs it, and then forgotten."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fetch: Callable[[], Array]


@dataclass(frozen=True)
class Layer:
    """An operator as the engine runs it.

    Args:
        operator: its ONNX name.
        output: the value that it makes.
        form: how its weights are kept in memory (dense, sparse, binary, …); empty without weights.
        size_bytes: of its weights in memory.
    """

    operator: str
    output: str
    form: str
    size_bytes: int


class NativeExecutor:
    """One native network: folded, fused, its weights packed once; any thread may run it.

    Half-precision programs are computed in float32: weights and inputs are widened, outputs
    rounded to their dtype.

    Args:
        program: what to run.
        tensors: what stands behind the program's free names; sources are asked one by one. The
            same object behind two names is one tensor.
        threads: so many compute one call; as many as there are processors by default.
        int8: layers whose weights have 8 bits may round their inputs to 8 bits: faster, and other
            numbers.

    Raises:
        UnsupportedError: operators, attributes or dtypes without an implementation; all are named.
        MismatchError: the program reads a tensor that is not given, or its parts do not fit.

    Examples:
        >>> from laconic.container import Node, Value
        >>> program = Program(
        ...     opset=20,
        ...     inputs=(Value("x", "F32", (2,)),),
        ...     outputs=(Value("y", "F32", (2,)),),
        ...     nodes=(Node("Mul", ("x", "w"), ("y",)),),
        ... )
        >>> executor = NativeExecutor(program, {"w": np.float32([2, 3])})
        >>> executor.run({"x": np.float32([1, 1])})[0].tolist()
        [2.0, 3.0]
    """

    def __init__(
        self,
        program: Program,
        tensors: Mapping[str, Array | Source],
        *,
        threads: int | None = None,
        int8: bool = False,
    ) -> None:
        if program.opset < OLDEST_OPSET:
            raise UnsupportedError(
                f"the program has opset {program.opset}; the runtime knows {OLDEST_OPSET} and "
                "later: convert the model (onnx.version_converter) and pack it again"
            )
        require_given(program.free_names(), tensors)
        self._outputs = [
            (value, numpy_dtype(value.dtype, f"the output {value.name}"))
            for value in program.outputs
        ]
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            raise UsageError(f"threads is {threads}; it may be 1 to {MOST_THREADS}")
        self.program = program
        with _translated():
            graph = _Builder(program, tensors).graph
            self._network = _native.Network(graph, threads or processors(), int8)

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """The outputs, in the program's order; they share no memory with inputs or weights.

        Raises:
            MismatchError: an input is missing, the shapes do not fit together inside the program,
                or an output has another dtype than the program says.
            UnsupportedError: an input of a dtype in which the engine cannot compute.
        """
        with _translated():
            outputs = self._network.run(self._ordered(inputs))
        return [
            array if array.dtype == dtype else _declared(array, value, dtype)
            for (value, dtype), array in zip(self._outputs, outputs, strict=True)
        ]

    def layers(self) -> list[Layer]:
        """The operators that remain after folding and fusing, in their order."""
        return list(self._by_node().values())

    def times(self, inputs: Mapping[str, Array]) -> list[tuple[Layer, float]]:
        """The layers of one run with their seconds; raises as `run` does."""
        layers = self._by_node()
        with _translated():
            times = self._network.times(self._ordered(inputs))
        return [(layers[node], seconds) for node, seconds in times]

    @property
    def weight_bytes(self) -> int:
        """Of weights and constants in memory, in their present form."""
        return self._network.constant_bytes

    def _by_node(self) -> dict[int, Layer]:
        return {
            node: Layer(operator, output, form, size_bytes)
            for node, operator, output, form, size_bytes in self._network.layers
        }

    def _ordered(self, inputs: Mapping[str, Array]) -> list[Array]:
        names = [value.name for value in self.program.inputs]
        require_given(names, inputs)
        return [_readable(inputs[name], f"the input {name}") for name in names]


def processors() -> int:
    """How many processors this process may use, at most `MOST_THREADS`."""
    return min(MOST_THREADS, len(os.sched_getaffinity(0)))


def sources(file: LacFile, program: Program) -> dict[str, Source]:
    """The tensors that the program reads, decoded on request; tied ones are one source.

    Raises:
        UnsupportedError: a dtype in which the engine cannot compute.
    """
    by_origin: dict[str, Source] = {}
    out = {}
    for name in program.free_names():
        origin = file.same_as(name) or name
        if origin not in by_origin:
            entry = file.entry(origin)
            dtype = _computed(entry.dtype, f"the tensor {name}")
            by_origin[origin] = Source(dtype, entry.shape, partial(file.array, origin))
        out[name] = by_origin[origin]
    return out


class _Builder:
    """Tells a program to the engine: names become numbers, branches get what they read."""

    def __init__(self, program: Program, tensors: Mapping[str, Array | Source]) -> None:
        self.graph = _native.Graph(program.opset)
        self.tensors = tensors
        self.numbers: dict[str, int] = {}
        by_identity: dict[int, int] = {}
        for name in program.free_names():
            tensor = tensors[name]
            if id(tensor) in by_identity:
                self.numbers[name] = by_identity[id(tensor)]
            else:
                by_identity[id(tensor)] = self.tensor(name, tensor)
        self.fill(program)

    def tensor(self, name: str, tensor: Array | Source) -> int:
        number = self.add(name)
        if isinstance(tensor, Source):
            kind = _number(tensor.dtype, f"the tensor {name}")
            fetch = tensor.fetch
            self.graph.source(number, kind, tensor.shape, lambda: _readable(fetch(), name))
        else:
            self.graph.constant(number, _readable(tensor, f"the tensor {name}"))
        return number

    def fill(self, program: Program) -> None:
        for name, array in program.constants.items():
            self.graph.constant(self.add(name), _readable(array, f"the constant {name}"))
        for value in program.inputs:
            what = f"the input {value.name}"
            kind = _number(_computed(value.dtype, what), what)
            sizes = [size if isinstance(size, int) else -1 for size in value.shape]
            self.graph.input(self.add(value.name), kind, sizes)
        for node in program.nodes:
            branches = [item for item in node.attributes.values() if isinstance(item, Program)]
            inputs = list(node.inputs)
            captured = dict.fromkeys(
                name
                for branch in branches
                for name in branch.free_names()
                if name not in self.tensors
            )
            inputs += captured
            attributes = {
                key: self.attribute(key, value, list(captured))
                for key, value in node.attributes.items()
            }
            numbers = [self.numbers[name] if name else -1 for name in inputs]
            outputs = [self.add(name) if name else -1 for name in node.outputs]
            self.graph.node(node.operator, numbers, outputs, attributes)
        for value in program.outputs:
            self.graph.output(self.numbers[value.name])

    def add(self, name: str) -> int:
        self.numbers[name] = self.graph.value(name)
        return self.numbers[name]

    def attribute(self, key: str, value: Attribute, captured: list[str]) -> Any:
        if isinstance(value, Program):
            return _Branch(value, self.tensors, captured).graph
        if isinstance(value, np.ndarray):
            return _readable(value, f"the attribute {key}")
        if key in DTYPE_ATTRIBUTES and value in (FLOAT16, BFLOAT16):
            return ONNX_NUMBERS["float32"]
        return value


class _Branch(_Builder):
    """A program inside a program: what it reads of the outer one are its inputs."""

    def __init__(
        self, program: Program, tensors: Mapping[str, Array | Source], captured: list[str]
    ) -> None:
        self.graph = _native.Graph(program.opset)
        self.tensors = tensors
        self.numbers = {}
        for name in captured:
            # Types and sizes of outer values are known when the branch runs.
            self.graph.input(self.add(name), ONNX_NUMBERS["float32"], None)
        for name in program.free_names():
            if name not in captured:
                self.tensor(name, tensors[name])
        self.fill(program)


@contextmanager
def _translated() -> Iterator[None]:
    """What the engine raises, as errors of laconic."""
    try:
        yield
    except _native.MismatchError as error:
        raise MismatchError(str(error)) from error
    except _native.UnsupportedError as error:
        raise UnsupportedError(str(error)) from error


def _computed(dtype: str, what: str) -> np.dtype[Any]:
    """NumPy's dtype for one of the file; bfloat16 is decoded to float32."""
    return np.dtype(np.float32) if dtype == "BF16" else numpy_dtype(dtype, what)


def _number(dtype: np.dtype[Any], what: str) -> int:
    """ONNX's number for what the engine computes in."""
    name = "float32" if dtype.name == "float16" else dtype.name
    if name not in ONNX_NUMBERS:
        raise UnsupportedError(f"{what} is {dtype}, in which the engine cannot compute")
    return ONNX_NUMBERS[name]


def _readable(given: Array, what: str) -> Array:
    """The values in a dtype of the engine, in its byte order, without gaps and aligned."""
    array = np.asarray(given)
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype in DTYPES:
        return array  # in a small network, asking further takes longer than a layer
    _number(array.dtype, what)
    name = "float32" if array.dtype.name == "float16" else array.dtype.name
    # Vector instructions and the C++ compiler take alignment for granted.
    return np.require(array, name, ["C", "A"])


def _declared(array: Array, value: Value, wanted: np.dtype[Any]) -> Array:
    """An output in the dtype that the program says, which may differ in half precision alone."""
    if wanted == np.float16 and array.dtype == np.float32:
        with np.errstate(over="ignore"):  # infinities are values, as in ONNX
            return array.astype(np.float16)
    raise MismatchError(
        f"the program says that the output {value.name} is {wanted}; it comes out as "
        f"{describe(array)}: pack the model again, or add a Cast to it"
    )
