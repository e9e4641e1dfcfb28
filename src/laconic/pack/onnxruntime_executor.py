"""Runs a program in ONNX Runtime from inflated weights: every operator, none of the speed-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnxruntime
from onnx import numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from laconic.container import Program
from laconic.errors import MismatchError, UnsupportedError
from laconic.pack.export import MAX_MODEL_BYTES, onnx_model
from laconic.runtime.executor import require_given
from laconic.runtime.operators.arrays import Array

REFUSALS = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NotImplemented,
    failures.RuntimeException,
)
"""What ONNX Runtime raises when a network or its inputs are not what it can compute."""
ERRORS_ALONE = 3
"""ONNX Runtime's log level; its warnings are about how a graph was written."""


class OnnxRuntimeExecutor:
    """The program as an ONNX model of whole float weights, run by ONNX Runtime on the CPU.

    Args:
        program: what to run.
        tensors: the arrays behind the program's free names.
        threads: of ONNX Runtime's own pool; all cores by default.

    Raises:
        UnsupportedError: ONNX Runtime cannot run the program, or its weights take over 2 GiB.
        MismatchError: the program reads a tensor that is not given.

    Examples:
        >>> import numpy as np
        >>> from laconic.container import Node, Value
        >>> program = Program(
        ...     opset=20,
        ...     inputs=(Value("x", "F32", (2,)),),
        ...     outputs=(Value("y", "F32", (2,)),),
        ...     nodes=(Node("Mul", ("x", "w"), ("y",)),),
        ... )
        >>> executor = OnnxRuntimeExecutor(program, {"w": np.float32([2, 3])}, threads=1)
        >>> executor.run({"x": np.float32([1, 1])})[0].tolist()
        [2.0, 3.0]
    """

    def __init__(
        self, program: Program, tensors: Mapping[str, Array], *, threads: int | None = None
    ) -> None:
        self.program = program
        require_given(program.free_names(), tensors)
        size = sum(array.nbytes for array in tensors.values())
        if size > MAX_MODEL_BYTES:
            raise UnsupportedError(
                f"the weights take {size:,} bytes inflated; ONNX Runtime is given 2 GiB at most"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ALONE
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        model = onnx_model(
            program, [numpy_helper.from_array(array, name) for name, array in tensors.items()]
        )
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except REFUSALS as error:
            raise UnsupportedError(f"ONNX Runtime cannot run the program: {error}") from error

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """The outputs, in the program's order.

        Raises:
            MismatchError: an input is missing, or the shapes do not fit together inside the
                program.
        """
        require_given([value.name for value in self.program.inputs], inputs)
        try:
            outputs: list[Array] = self._session.run(None, dict(inputs))
        except REFUSALS as error:
            raise MismatchError(f"ONNX Runtime cannot compute these inputs: {error}") from error
        return outputs
