"""ONNX models as programs, and LeNets as programs and as ONNX models."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from laconic.container import Node, Program, Value, dtype_of

OPSET = 20


class OnnxPrograms:
    """Turns ONNX models into what the runtime executes, and back."""

    def program(self, model):
        """The program of a model whose initializers are not read (tensors come by name)."""
        held = {entry.name for entry in model.graph.initializer}
        return Program(
            opset=OPSET,
            inputs=tuple(self.value(v) for v in model.graph.input if v.name not in held),
            outputs=tuple(self.value(v) for v in model.graph.output),
            nodes=tuple(self.node(node) for node in model.graph.node),
        )

    def value(self, entry):
        kind = entry.type.tensor_type
        dtype = dtype_of(np.zeros(1, helper.tensor_dtype_to_np_dtype(kind.elem_type)))
        sizes = (
            size.dim_value if size.HasField("dim_value") else size.dim_param or f"size {index}"
            for index, size in enumerate(kind.shape.dim)
        )
        return Value(entry.name, dtype.name, tuple(sizes))

    def node(self, node):
        attributes = {entry.name: self.attribute(entry) for entry in node.attribute}
        return Node(node.op_type, tuple(node.input), tuple(node.output), attributes)

    def attribute(self, entry):
        value = helper.get_attribute_value(entry)
        if isinstance(value, onnx.TensorProto):
            return numpy_helper.to_array(value)
        if isinstance(value, bytes):
            return value.decode()
        return value if isinstance(value, (int, float)) else tuple(value)

    def model(self, program, tensors):
        """The ONNX model of a program, for ONNX Runtime."""
        return helper.make_model(
            helper.make_graph(
                [
                    helper.make_node(node.operator, node.inputs, node.outputs, **node.attributes)
                    for node in program.nodes
                ],
                "program",
                [self.value_info(value) for value in program.inputs],
                [self.value_info(value) for value in program.outputs],
                [
                    numpy_helper.from_array(array, name)
                    for name, array in {**program.constants, **tensors}.items()
                ],
            ),
            opset_imports=[helper.make_opsetid("", program.opset)],
            ir_version=10,
        )

    def value_info(self, value):
        kinds = {"F32": onnx.TensorProto.FLOAT, "I64": onnx.TensorProto.INT64}
        return helper.make_tensor_value_info(value.name, kinds[value.dtype], value.shape)

    def onnxruntime(self, program, tensors, inputs):
        """The outputs that ONNX Runtime gives."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        model = self.model(program, tensors).SerializeToString()
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return session.run(None, inputs)


@pytest.fixture(scope="session")
def onnx_programs():
    return OnnxPrograms()


def weights(**shapes):
    """Reproducible float32 tensors of about unit gain."""
    generator = np.random.default_rng(7)
    return {
        name: generator.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))
        for name, shape in shapes.items()
    }


@pytest.fixture(scope="session")
def lenet5():
    """LeNet-5-Caffe (20-50-500-10): the program and its tensors."""
    program = Program(
        opset=OPSET,
        inputs=(Value("image", "F32", ("batch", 1, 28, 28)),),
        outputs=(Value("logits", "F32", ("batch", 10)),),
        nodes=(
            Node("Conv", ("image", "conv1.weight", "conv1.bias"), ("a",)),
            Node("MaxPool", ("a",), ("b",), {"kernel_shape": (2, 2), "strides": (2, 2)}),
            Node("Conv", ("b", "conv2.weight", "conv2.bias"), ("c",)),
            Node("MaxPool", ("c",), ("d",), {"kernel_shape": (2, 2), "strides": (2, 2)}),
            Node("Flatten", ("d",), ("e",)),
            Node("Gemm", ("e", "fc1.weight", "fc1.bias"), ("f",), {"transB": 1}),
            Node("Relu", ("f",), ("g",)),
            Node("Gemm", ("g", "fc2.weight", "fc2.bias"), ("logits",), {"transB": 1}),
        ),
    )
    names = ("conv1", "conv2", "fc1", "fc2")
    shapes = ((20, 1, 5, 5), (50, 20, 5, 5), (500, 800), (10, 500))
    tensors = weights(**{f"{n}.weight": shape for n, shape in zip(names, shapes, strict=True)})
    tensors |= weights(**{f"{n}.bias": (shape[0],) for n, shape in zip(names, shapes, strict=True)})
    return program, tensors


@pytest.fixture(scope="session")
def lenet300():
    """LeNet-300-100 as MatMul by transposed weights and Add, as some exporters write it."""
    sizes = (784, 300, 100, 10)
    nodes, tensors, last = [Node("Flatten", ("image",), ("x0",))], {}, "x0"
    for layer, (inner, outer) in enumerate(itertools.pairwise(sizes), 1):
        name = f"fc{layer}"
        tensors |= weights(**{f"{name}.weight": (outer, inner), f"{name}.bias": (outer,)})
        nodes += [
            Node("Transpose", (f"{name}.weight",), (f"t{layer}",), {"perm": (1, 0)}),
            Node("MatMul", (last, f"t{layer}"), (f"m{layer}",)),
            Node("Add", (f"m{layer}", f"{name}.bias"), (f"s{layer}",)),
        ]
        last = f"s{layer}"
        if layer < 3:
            nodes.append(Node("Relu", (last,), (f"x{layer}",)))
            last = f"x{layer}"
    program = Program(
        opset=OPSET,
        inputs=(Value("image", "F32", ("batch", 1, 28, 28)),),
        outputs=(Value(last, "F32", ("batch", 10)),),
        nodes=tuple(nodes),
    )
    return program, tensors


@pytest.fixture
def images():
    return np.random.default_rng(0).standard_normal((5, 1, 28, 28), np.float32)
