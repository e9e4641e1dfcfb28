"""What an `.onnx` file computes, as a program that reads the packed file's tensors by name."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
from onnx import version_converter
from onnx_ir.passes import common

from laconic.container import Program
from laconic.errors import UnsupportedError
from laconic.pack.onnx_graph import program_of
from laconic.pack.onnx_types import FILE_DTYPES
from laconic.pack.stream import Place

OLDEST_OPSET = 13
"""What `laconic.runtime` knows; older models are converted."""
OPSET = 20


def onnx_program(source: str | os.PathLike[str], tensors: Mapping[str, Place]) -> Program:
    """The program of an ONNX model; inputs and outputs keep their names.

    Nothing is folded or fused: functions are written out, constants that are no tensors of the
    file belong to the program, an opset before 13 is converted to 20.

    Args:
        source: the `.onnx` file.
        tensors: name in the model → the tensor, under its name in the packed file.

    Raises:
        UnsupportedError: an operator of another domain, an input whose rank is not known, a dtype
            that no program holds, or an old opset that ONNX cannot convert.
    """
    proto = onnx.load(os.fspath(source), load_external_data=False)
    model = ir.from_proto(_recent(proto))
    passes = (
        common.InlinePass(),
        common.RemoveInitializersFromInputsPass(),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.RemoveUnusedNodesPass(),
        common.OutputFixPass(),
    )
    ir.passes.Sequential(*passes)(model)
    if "" not in model.opset_imports:
        raise UnsupportedError(
            f"the model has operators of {', '.join(model.opset_imports) or 'no domain'} alone; "
            "only ONNX's standard operators fit into a file"
        )
    for value in model.graph.inputs:
        if value.shape is None:
            raise UnsupportedError(
                f"the model does not say how many dimensions its input {value.name} has"
            )
    for value in model.graph.initializers.values():
        _clamp_ends(value)
    outputs = [str(value.name) for value in model.graph.outputs]
    return program_of(model, _tensors_as_inputs(model.graph, tensors), outputs)


def _recent(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model at an opset that the runtime knows."""
    opset = next((entry.version for entry in model.opset_import if not entry.domain), OPSET)
    if opset >= OLDEST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except RuntimeError as error:
        raise UnsupportedError(
            f"the model has opset {opset}, and ONNX cannot convert it to {OPSET}: {error}"
        ) from error


def _clamp_ends(value: ir.Value) -> None:
    """Write "from the end on" of a Slice as the smallest int64: others do not fit into a file.

    Exporters also write it as that number and one; Slice clamps either to the size that it finds.
    """
    tensor = value.const_value
    if tensor is None or tensor.dtype != ir.DataType.INT64:
        return
    array = tensor.numpy()
    beyond = array <= -(2**62)
    if beyond.any() and all(use.node.op_type == "Slice" for use in value.uses()):
        value.const_value = ir.tensor(np.where(beyond, np.iinfo(np.int64).min, array))


def _tensors_as_inputs(graph: ir.Graph, tensors: Mapping[str, Place]) -> dict[ir.Value, str]:
    """Make the initializers that the file holds inputs of the graph, with their names there."""
    found: dict[ir.Value, str] = {}
    for name in list(graph.initializers):
        value = graph.initializers[name]
        entry = tensors.get(name)
        if entry is None or value.dtype is None or value.shape is None:
            continue
        if (FILE_DTYPES.get(int(value.dtype)), tuple(value.shape)) == (entry.dtype, entry.shape):
            del graph.initializers[name]
            graph.inputs.append(value)
            found[value] = entry.name
    return found
