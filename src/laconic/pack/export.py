"""A `.lac` file → an ordinary ONNX file with its weights inflated."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnx
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from laconic.container import LacFile, Node, Program, Value
from laconic.container import program as program_section
from laconic.container.atomic import write_bytes
from laconic.container.dtypes import Bits
from laconic.container.file import MAX_BYTES
from laconic.container.program import UNKNOWN_SIZE
from laconic.errors import FormatError, MismatchError, UnsupportedError
from laconic.pack.onnx_types import ONNX_DTYPES
from laconic.pack.qdq import with_integer_weights

MAX_MODEL_BYTES = 2**31 - 1
"""What one protobuf message may hold."""


def export_onnx(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    max_bytes: int = MAX_BYTES,
) -> int:
    """Write the network of a `.lac` file as ONNX; returns the bytes written.

    ONNX Runtime opens it and computes what the network computed: the same operators on the same
    floats, bit for bit. Where a layer's inputs are quantized and its weight is on a grid of 8 bits,
    the weight is written as integers (`laconic.pack.qdq`), so that engines run it on integers.

    Args:
        source: a `.lac` file with a program.
        target: the `.onnx` file to write; it appears whole or not at all.
        max_bytes: refuse a file whose tensors would unpack to more bytes than this.

    Raises:
        FormatError: the file is damaged, or its program is not valid ONNX.
        MismatchError: the file holds weights only.
        UnsupportedError: more than 2 GiB of weights, or a dtype that ONNX lacks.
    """
    with LacFile(source, max_bytes=max_bytes) as file:
        file.check_parts()
        section = file.section("program")
        if section is None:
            raise MismatchError(
                f"{source} holds tensors and no program, so there is no network to export; "
                "pack the model again with its program"
            )
        offset = file.sections["program"][0]
        program = program_section.decode(section, list(file.entries), offset)
        quantized = with_integer_weights(program, file)
        program = quantized.program
        names = [name for name in program.free_names() if name not in quantized.arrays]
        size = sum(file.entry(name).size_bytes for name in names)
        if size > MAX_MODEL_BYTES:
            raise UnsupportedError(f"the weights take {size:,} bytes; an ONNX file holds 2 GiB")
        tensors = [_tensor(name, file.entry(name).dtype, file.bits(name)) for name in names]
    tensors += [numpy_helper.from_array(array, key) for key, array in quantized.arrays.items()]
    model = onnx_model(program, tensors)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise FormatError(f"the program is not valid ONNX: {error}", offset) from error
    data = model.SerializeToString(deterministic=True)
    write_bytes(target, data)
    return len(data)


def onnx_model(program: Program, tensors: list[TensorProto]) -> ModelProto:
    """The program as an ONNX model, with `tensors` and its constants as initializers."""
    graph = _graph(program, "network")
    graph.initializer.extend(tensors)
    opset = helper.make_opsetid("", program.opset)
    model: ModelProto = helper.make_model(graph, opset_imports=[opset], producer_name="laconic")
    model.ir_version = helper.find_min_ir_version_for([opset])
    return model


def _graph(program: Program, name: str) -> GraphProto:
    return helper.make_graph(
        [_node(node) for node in program.nodes],
        name,
        [_value(value) for value in program.inputs],
        [_value(value) for value in program.outputs],
        [numpy_helper.from_array(array, key) for key, array in program.constants.items()],
    )


def _value(value: Value) -> ValueInfoProto:
    shape = [None if size == UNKNOWN_SIZE else size for size in value.shape]
    return helper.make_tensor_value_info(value.name, _onnx_dtype(value.name, value.dtype), shape)


def _node(node: Node) -> NodeProto:
    made = helper.make_node(node.operator, node.inputs, node.outputs)
    made.attribute.extend(_attribute(key, value) for key, value in node.attributes.items())
    return made


def _attribute(key: str, value: Any) -> AttributeProto:
    if isinstance(value, Program):
        value = _graph(value, key)
    elif isinstance(value, np.ndarray):
        value = numpy_helper.from_array(value)
    elif value == ():
        return helper.make_attribute(key, value, attr_type=AttributeProto.INTS)
    return helper.make_attribute(key, value)


def _tensor(name: str, dtype: str, bits: Bits) -> TensorProto:
    data = bits.astype(bits.dtype.newbyteorder("<"), copy=False).tobytes()
    return helper.make_tensor(name, _onnx_dtype(name, dtype), bits.shape, data, raw=True)


def _onnx_dtype(name: str, dtype: str) -> int:
    if dtype not in ONNX_DTYPES:
        raise UnsupportedError(f"{name} has the dtype {dtype}, which ONNX lacks")
    return ONNX_DTYPES[dtype]
