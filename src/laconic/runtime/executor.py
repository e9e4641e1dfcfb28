"""Runs a program operator by operator in NumPy: the reference that faster engines must equal."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from laconic.container.program import Node, Program
from laconic.errors import MismatchError, UnsupportedError
from laconic.runtime.operators import OPERATORS
from laconic.runtime.operators.arrays import Array

Observer = Callable[[Node, list[Array | None], list[Array]], None]
"""Called after each operator with the node, what it read (None: an absent input), what it made."""
FAILURES = (ValueError, IndexError, TypeError, AttributeError, ArithmeticError, MemoryError)
"""What NumPy raises when a program does not fit its inputs."""
OLDEST_OPSET = 13
"""Softmax changed its meaning at 13; every later change shows in a node's attributes."""


class Executor(Protocol):
    """What a `Session` needs of an engine; several threads may call `run` at once."""

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """The program's outputs, in its order, for inputs whose names and shapes were checked."""
        ...


@dataclass(frozen=True)
class _Step:
    """One node, ready to run."""

    node: Node
    operator: Callable[..., Array | tuple[Array, ...]]
    keywords: dict[str, Any]
    release: tuple[str, ...]
    """Values that nobody reads after this node."""


class NumpyExecutor:
    """One NumPy function per operator, in the program's order; values die after their last use.

    Args:
        program: what to run.
        tensors: the arrays behind the program's free names.

    Raises:
        UnsupportedError: operators or attributes without an implementation; all are named.
        MismatchError: the program reads a tensor that is not given.

    Examples:
        >>> from laconic.container import Value
        >>> program = Program(
        ...     opset=20,
        ...     inputs=(Value("x", "F32", (2,)),),
        ...     outputs=(Value("y", "F32", (2,)),),
        ...     nodes=(Node("Mul", ("x", "w"), ("y",)),),
        ... )
        >>> executor = NumpyExecutor(program, {"w": np.float32([2, 3])})
        >>> executor.run({"x": np.float32([1, 1])})[0].tolist()
        [2.0, 3.0]
    """

    def __init__(self, program: Program, tensors: Mapping[str, Array]) -> None:
        self.program = program
        self.tensors = dict(tensors)
        if program.opset < OLDEST_OPSET:
            raise UnsupportedError(
                f"the program has opset {program.opset}; the runtime knows {OLDEST_OPSET} and "
                "later: convert the model (onnx.version_converter) and pack it again"
            )
        require_given(program.free_names(), tensors)
        _require_operators(program)
        self._fixed = {
            name: _read_only(array) for name, array in {**program.constants, **tensors}.items()
        }
        self._steps = _plan(program)

    def run(self, inputs: Mapping[str, Array], observe: Observer | None = None) -> list[Array]:
        """The outputs, in the program's order; they share no memory with inputs or weights.

        Raises:
            MismatchError: an input is missing, or the shapes do not fit together inside the
                program.
            UnsupportedError: an attribute asks for what the runtime does not do (training, say).
        """
        require_given([value.name for value in self.program.inputs], inputs)
        values = self._fixed | {name: _read_only(array) for name, array in inputs.items()}
        with np.errstate(all="ignore"):  # infinities and NaN are values, as in ONNX
            for number, step in enumerate(self._steps, 1):
                arguments = [values[name] if name else None for name in step.node.inputs]
                results = self._apply(step, arguments, number)
                if observe is not None:
                    observe(step.node, arguments, results)
                values.update(zip(step.node.outputs, results, strict=False))
                del arguments, results
                for name in step.release:
                    del values[name]
        outputs = [values[value.name] for value in self.program.outputs]
        # Weights and inputs are read-only here, so a view of one of them is seen by its flag.
        return [array if array.flags.writeable else array.copy() for array in outputs]

    def _apply(self, step: _Step, arguments: list[Array | None], number: int) -> list[Array]:
        """What the operator makes of its inputs, as arrays."""
        try:
            results = step.operator(*arguments, **step.keywords)
        except FAILURES as error:
            shown = ", ".join(describe(array) for array in arguments)
            raise MismatchError(
                f"operator {number} of {len(self._steps)}, {step.node.operator}, cannot take "
                f"({shown}): {error}; the program does not fit these inputs or tensors"
            ) from error
        made = results if isinstance(results, tuple) else (results,)
        if len(made) < len(step.node.outputs):
            raise MismatchError(
                f"operator {number} of {len(self._steps)}, {step.node.operator}, makes "
                f"{len(made)} outputs; the program wants {len(step.node.outputs)}"
            )
        return [np.asarray(array) for array in made[: len(step.node.outputs)]]


def require_given(names: Iterable[str], given: Container[str]) -> None:
    """MismatchError that names what a program reads and nobody gave.

    Examples:
        >>> require_given(["x", "w"], {"x": 1})
        Traceback (most recent call last):
        ...
        laconic.errors.MismatchError: the program reads w, which are not given
    """
    if missing := [name for name in names if name not in given]:
        raise MismatchError(f"the program reads {', '.join(missing)}, which are not given")


def describe(array: Array | None) -> str:
    """Dtype and shape for a message.

    Examples:
        >>> describe(np.zeros((2, 3), np.float32))
        'float32[2, 3]'
    """
    return "nothing" if array is None else f"{array.dtype}{list(array.shape)}"


def _read_only(array: Array) -> Array:
    """A view that no operator can write through."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _require_operators(program: Program) -> None:
    """UnsupportedError that names every operator and attribute without an implementation."""
    names = {node.operator for node in program.nodes}
    if missing := sorted(names - set(OPERATORS)):
        raise UnsupportedError(
            f"the runtime has no {', '.join(missing)}; it has {len(OPERATORS)} other operators. "
            "ONNX Runtime can run the network: laconic export X.lac --onnx X.onnx"
        )
    unknown: dict[str, None] = {}
    for node in program.nodes:
        signature = inspect.signature(OPERATORS[node.operator])
        try:
            signature.bind(*node.inputs, **node.attributes)
        except TypeError as error:
            unknown[f"{node.operator}: {error}"] = None
    if unknown:
        raise UnsupportedError(
            f"nodes that are not as opset 18 and later have them: {'; '.join(unknown)}. Export "
            "the model with a newer opset"
        )


def _plan(program: Program) -> tuple[_Step, ...]:
    """Bind attributes, and find after which node each value is read for the last time."""
    kept = {value.name for value in program.outputs}
    owned = {value.name for value in program.inputs}
    last: dict[str, int] = {}
    for index, node in enumerate(program.nodes):
        owned.update(node.outputs)
        last.update(dict.fromkeys((*node.inputs, *node.outputs), index))
    dying: list[list[str]] = [[] for _ in program.nodes]
    for name, index in last.items():
        if name in owned and name not in kept:
            dying[index].append(name)
    steps = []
    for node, release in zip(program.nodes, dying, strict=True):
        operator = OPERATORS[node.operator]
        keywords: dict[str, Any] = dict(node.attributes)
        if "output_count" in inspect.signature(operator).parameters:
            keywords["output_count"] = len(node.outputs)
        steps.append(_Step(node, operator, keywords, tuple(release)))
    return tuple(steps)
