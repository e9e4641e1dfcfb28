"""Multiply-accumulate operations of a network, counted while it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from laconic.container.program import Node, Program
from laconic.errors import UsageError
from laconic.runtime.engines import numpy_dtype
from laconic.runtime.executor import NumpyExecutor
from laconic.runtime.operators.arrays import Array
from laconic.runtime.operators.recurrent import RECURRENT
from laconic.runtime.session import Session


def count_macs(
    session: Session, inputs: Mapping[str, Array | tuple[int, ...]] | None = None
) -> tuple[int, int]:
    """All MACs of convolutions, products and recurrent layers, and those whose weight is not zero.

    Each weight counts once for each output position, padded borders included, as papers count:
    Conv ``|w| · n · ∏ counts``, products ``|output| · inner size``, LSTM, GRU and RNN
    ``(|W| + |R|) · time · n``. A weight is an operand that
    depends on no input of the program; a product of two computed values (attention) counts
    wholly as non-zero. Biases and all other operators count nothing.

    Args:
        session: the network, in the engine numpy.
        inputs: an array or a shape for each input; by default the program's own shapes with 1
            for every size that may vary, hence the MACs for one example.

    Raises:
        UsageError: another engine; and as a call of the session does.
        MismatchError: as a call of the session does.
    """
    if not isinstance(session.executor, NumpyExecutor):
        raise UsageError(
            "MACs are counted from the values inside a program, which the engine numpy shows "
            'alone: load(path, engine="numpy")'
        )
    static = _static_names(session.program)
    total = effective = 0

    def observe(node: Node, arguments: list[Array | None], results: list[Array]) -> None:
        nonlocal total, effective
        if node.operator in RECURRENT:
            data, *matrices = (np.asarray(array) for array in arguments[:3])
            steps = data.shape[0] * data.shape[1]
            for name, matrix in zip(node.inputs[1:3], matrices, strict=True):
                total += steps * matrix.size
                used = np.count_nonzero(matrix) if name in static else matrix.size
                effective += steps * int(used)
            return
        if node.operator not in ("Conv", "Gemm", "MatMul"):
            return
        macs = _macs(node, [array for array in arguments if array is not None], results[0])
        places = (1,) if node.operator == "Conv" else (1, 0)
        fixed = [arguments[place] for place in places if node.inputs[place] in static]
        weight = fixed[0] if fixed else None
        total += macs
        if weight is None or not weight.size:
            effective += macs
        else:
            effective += macs // weight.size * int(np.count_nonzero(weight))

    session.executor.run(session.checked(_arrays(session, inputs)), observe)
    return total, effective


def _macs(node: Node, arguments: list[Array], output: Array) -> int:
    first, second = arguments[:2]
    if node.operator == "Conv":
        return int(second.size * output.shape[0] * math.prod(output.shape[2:]))
    inner = first.shape[0] if node.attributes.get("transA") else first.shape[-1]
    return int(output.size) * int(inner)


def _static_names(program: Program) -> set[str]:
    """Names whose values depend on no input: tensors, constants and what is made of them."""
    moving = {value.name for value in program.inputs}
    static = {"", *program.free_names(), *program.constants}
    for node in program.nodes:
        if moving.isdisjoint(node.inputs):
            static.update(node.outputs)
        else:
            moving.update(node.outputs)
    return static - {""}


def _arrays(
    session: Session, inputs: Mapping[str, Array | tuple[int, ...]] | None
) -> dict[str, Array]:
    """Zeros where a shape is given."""
    if inputs is None:
        inputs = {
            value.name: tuple(size if isinstance(size, int) else 1 for size in value.shape)
            for value in session.inputs
        }
    dtypes = {value.name: value.dtype for value in session.inputs}
    arrays: dict[str, Array] = {}
    for name, given in inputs.items():
        if isinstance(given, np.ndarray):
            arrays[name] = given
        elif name in dtypes:
            arrays[name] = np.zeros(given, numpy_dtype(dtypes[name], name))
        else:
            raise UsageError(f"{name} is no input; the network takes {', '.join(dtypes)}")
    return arrays
