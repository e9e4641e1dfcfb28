"""An ONNX graph → the program of a `.lac` file, with every attribute that ONNX defaults dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from laconic.container.dtypes import dtype_of
from laconic.container.program import GENERATED, UNKNOWN_SIZE, Attribute, Node, Program, Value
from laconic.errors import UnsupportedError
from laconic.pack.onnx_types import FILE_DTYPES

WINDOWS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool")
"""Operators whose strides and dilations default to ones and whose pads default to zeros."""


def program_of(
    model: ir.Model, tensors: Mapping[ir.Value, str], outputs: Sequence[str] | None = None
) -> Program:
    """The program of `model`, whose weights stand among the graph's inputs.

    Args:
        model: one opset of the standard domain, no functions.
        tensors: those inputs that are tensors of the file, with their names there.
        outputs: how to call the outputs; ``output`` (or ``output_0``, ``output_1``, …) by default.

    Returns:
        Inputs keep their names; a name that a tensor has already gets ``_`` at its end. Sizes that
        may vary and have no name are ``?``.

    Raises:
        UnsupportedError: an operator of another domain, or a dtype that no program can hold.
    """
    if outputs is None:
        count = len(model.graph.outputs)
        outputs = ["output"] if count == 1 else [f"output_{index}" for index in range(count)]
    return _Translator(model, tensors).translate(outputs)


class _Translator:
    """Gives each value of the graph one name, and turns nodes into the file's form."""

    def __init__(self, model: ir.Model, tensors: Mapping[ir.Value, str]) -> None:
        self.graph = model.graph
        self.opset = model.opset_imports[""]
        self.names: dict[ir.Value, str] = dict(tensors)
        self.taken = set(tensors.values())
        self.constants: dict[str, NDArray[Any]] = {}
        self.nodes: list[Node] = []

    def translate(self, outputs: Sequence[str]) -> Program:
        """The whole graph."""
        inputs = [value for value in self.graph.inputs if value not in self.names]
        for value in inputs:
            self.names[value] = self.free(str(value.name))
        for value, name in zip(self.graph.outputs, outputs, strict=True):
            self.names[value] = self.free(name)
        for value in self.graph.initializers.values():
            self.constant(value)
        for node in self.graph:
            self.nodes.append(self.node(node))
        return Program(
            self.opset,
            tuple(self.value(value) for value in inputs),
            tuple(self.value(value) for value in self.graph.outputs),
            tuple(self.nodes),
            self.constants,
        )

    def free(self, name: str) -> str:
        """`name`, made different from all names so far."""
        while name in self.taken or name.startswith(GENERATED):
            name = name.lstrip(GENERATED) + "_"
        self.taken.add(name)
        return name

    def name(self, value: ir.Value | None) -> str:
        """The value's name in the program; numbered when it has none yet, "" when absent."""
        if value is None:
            return ""
        return self.names.setdefault(value, f"{GENERATED}{len(self.names) + 1}")

    def constant(self, value: ir.Value) -> None:
        """A constant of the program; NumPy has no bfloat16, so one becomes float32 and a Cast."""
        tensor = value.const_value
        if tensor is None:
            raise UnsupportedError(f"the constant {value.name} of the program has no value")
        if tensor.dtype == ir.DataType.BFLOAT16:
            widened = ir.Value(name=f"{value.name} as float32")
            self.constants[self.name(widened)] = tensor.numpy().astype(np.float32)
            to = {"to": int(onnx.TensorProto.BFLOAT16)}
            self.nodes.append(Node("Cast", (self.name(widened),), (self.name(value),), dict(to)))
            return
        array = tensor.numpy()
        dtype_of(array)
        self.constants[self.name(value)] = array

    def node(self, node: ir.Node) -> Node:
        """One operator; UnsupportedError when it is not of ONNX's standard domain."""
        if node.domain not in ("", "ai.onnx"):
            raise UnsupportedError(
                f"the program has the operator {node.domain}::{node.op_type}; "
                "only ONNX's standard operators fit into a file"
            )
        inputs = tuple(self.name(value) for value in node.inputs)
        outputs = tuple(self.name(value) for value in node.outputs)
        attributes = {
            name: self.attribute(attribute)
            for name, attribute in node.attributes.items()
            if not self.is_default(node, attribute)
        }
        return Node(node.op_type, inputs, outputs, attributes)

    def attribute(self, attribute: ir.Attr) -> Attribute:
        """The attribute's value as the file's types have it."""
        value = attribute.value
        match attribute.type:
            case ir.AttributeType.INT:
                return int(value)
            case ir.AttributeType.FLOAT:
                return float(value)
            case ir.AttributeType.STRING:
                return str(value)
            case ir.AttributeType.INTS:
                return tuple(int(item) for item in value)
            case ir.AttributeType.FLOATS:
                return tuple(float(item) for item in value)
            case ir.AttributeType.STRINGS:
                return tuple(str(item) for item in value)
            case ir.AttributeType.TENSOR:
                dtype_of(value.numpy())
                return np.asarray(value.numpy())
            case ir.AttributeType.GRAPH:
                return self.subgraph(value)
        raise UnsupportedError(f"attribute {attribute.name} has the type {attribute.type.name}")

    def subgraph(self, graph: ir.Graph) -> Program:
        """The body of an If: it reads names from outside and makes all its outputs itself."""
        made = {value for node in graph for value in node.outputs}
        names, copies = [], []
        for value in graph.outputs:
            names.append(self.free("branch"))
            if value in made and value not in self.names:
                self.names[value] = names[-1]
            else:
                copies.append((value, names[-1]))
        nodes = [self.node(node) for node in graph]
        nodes += [Node("Identity", (self.name(value),), (name,)) for value, name in copies]
        return Program(
            self.opset,
            tuple(self.value(value) for value in graph.inputs),
            tuple(
                replace(self.value(value), name=name)
                for value, name in zip(graph.outputs, names, strict=True)
            ),
            tuple(nodes),
        )

    def value(self, value: ir.Value) -> Value:
        """Name, dtype and shape of an input or output."""
        if value.dtype is None or int(value.dtype) not in FILE_DTYPES:
            raise UnsupportedError(f"the program's {value.name} has the dtype {value.dtype}")
        sizes = value.shape if value.shape is not None else ()
        shape = tuple(s if isinstance(s, int) else s.value or UNKNOWN_SIZE for s in sizes)
        return Value(self.name(value), FILE_DTYPES[int(value.dtype)], shape)

    def is_default(self, node: ir.Node, attribute: ir.Attr) -> bool:
        """Whether the operator means the same without this attribute."""
        name, value = attribute.name, attribute.value
        if node.op_type in WINDOWS:
            if name in ("strides", "dilations"):
                return all(item == 1 for item in value)
            if name == "pads":
                return not any(value)
            if name == "kernel_shape" and node.op_type.startswith("Conv"):
                return True  # the weight's shape says it
        if node.op_type == "BatchNormalization" and name == "momentum":
            training = node.attributes.get("training_mode")
            return training is None or training.value == 0
        if node.op_type == "Reshape" and name == "allowzero":
            shape = node.inputs[1].const_value if node.inputs[1] is not None else None
            if shape is not None and np.all(shape.numpy() != 0):
                return True
        schema = onnx.defs.get_schema(node.op_type, self.opset)
        default = schema.attributes[name].default_value if name in schema.attributes else None
        if default is None or default.type == onnx.AttributeProto.UNDEFINED:
            return False
        return _equal(onnx.helper.get_attribute_value(default), value)


def _equal(default: Any, value: Any) -> bool:
    if isinstance(default, bytes):
        return bool(default.decode() == value)
    if isinstance(default, float):
        return bool(np.float32(default) == np.float32(value))
    if isinstance(default, int):
        return bool(default == value)
    return bool(tuple(default) == tuple(value))
