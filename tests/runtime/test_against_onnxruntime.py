"""Convolutions, pools and products against ONNX Runtime, over grids of their attributes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from laconic.container import Node, Program, Value
from laconic.runtime import NumpyExecutor
from laconic.runtime.native_executor import NativeExecutor

EXECUTORS = (NumpyExecutor, NativeExecutor)


def compare(onnx_programs, node, inputs, tensors=None):
    """The node gives what ONNX Runtime gives, within 1e-5 of the largest value."""
    tensors = tensors or {}
    program = Program(
        opset=22,
        inputs=tuple(Value(name, "F32", array.shape) for name, array in inputs.items()),
        outputs=tuple(
            Value(name, "I64" if index else "F32", tuple(f"{name} {i}" for i in range(rank)))
            for index, (name, rank) in enumerate(
                (name, next(iter(inputs.values())).ndim) for name in node.outputs
            )
        ),
        nodes=(node,),
    )
    expected = onnx_programs.onnxruntime(program, tensors, inputs)
    for executor in EXECUTORS:
        found = executor(program, tensors).run(inputs)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == theirs.dtype
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


CONVOLUTIONS = [
    {"group": group, "strides": strides, "dilations": dilations, **padding}
    for group, strides, dilations, padding in itertools.product(
        (1, 2, 6),
        ((1, 1), (2, 3)),
        ((1, 1), (2, 1)),
        (
            {},
            {"pads": (1, 2, 0, 3)},
            {"auto_pad": "SAME_UPPER"},
            {"auto_pad": "SAME_LOWER"},
            {"auto_pad": "VALID"},
        ),
    )
    # ONNX Runtime refuses SAME together with dilations.
    if not ("SAME" in str(padding.get("auto_pad")) and dilations != (1, 1))
]


@pytest.mark.parametrize("attributes", CONVOLUTIONS, ids=str)
def test_two_dimensional_convolution_equals_onnxruntime(attributes, onnx_programs):
    node = Node("Conv", ("x", "w", "b"), ("y",), attributes)
    weight = numbers(12, 6 // attributes["group"], 3, 2)
    compare(onnx_programs, node, {"x": numbers(3, 6, 11, 10)}, {"w": weight, "b": numbers(12)})


@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("rank", [1, 3])
def test_one_and_three_dimensional_convolution_equal_onnxruntime(rank, group, onnx_programs):
    attributes = {"group": group, "strides": (2,) * rank, "pads": (1,) * (2 * rank)}
    node = Node("Conv", ("x", "w"), ("y",), attributes)
    image = numbers(2, 4, *range(7, 7 + rank))
    compare(onnx_programs, node, {"x": image}, {"w": numbers(8, 4 // group, *(3,) * rank)})


def test_convolution_of_many_images_in_several_chunks_equals_onnxruntime(onnx_programs):
    node = Node("Conv", ("x", "w"), ("y",), {"pads": (1, 1, 1, 1)})
    compare(onnx_programs, node, {"x": numbers(40, 8, 16, 16)}, {"w": numbers(8, 8, 3, 3)})


POOLS = [
    {"kernel_shape": (3, 2), "strides": strides, "ceil_mode": ceil_mode, **padding}
    for strides, ceil_mode, padding in itertools.product(
        ((1, 1), (2, 3), (3, 2)),
        (0, 1),
        ({}, {"pads": (1, 1, 1, 0)}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}),
    )
    # ONNX Runtime refuses SAME where a stride is longer than the kernel.
    if not ("auto_pad" in padding and (ceil_mode or strides == (2, 3)))
]


@pytest.mark.parametrize("attributes", POOLS, ids=str)
def test_max_pool_equals_onnxruntime(attributes, onnx_programs):
    node = Node("MaxPool", ("x",), ("y",), attributes)
    compare(onnx_programs, node, {"x": numbers(2, 3, 10, 9)})


@pytest.mark.parametrize("storage_order", [0, 1])
def test_max_pool_places_equal_onnxruntime(storage_order, onnx_programs):
    attributes = {
        "kernel_shape": (3, 3),
        "strides": (2, 2),
        "pads": (1, 1, 1, 1),
        "storage_order": storage_order,
    }
    node = Node("MaxPool", ("x",), ("y", "places"), attributes)
    compare(onnx_programs, node, {"x": numbers(2, 3, 10, 9)})


@pytest.mark.parametrize("count_include_pad", [0, 1])
@pytest.mark.parametrize("attributes", POOLS, ids=str)
def test_average_pool_equals_onnxruntime(attributes, count_include_pad, onnx_programs):
    attributes = {**attributes, "count_include_pad": count_include_pad}
    node = Node("AveragePool", ("x",), ("y",), attributes)
    compare(onnx_programs, node, {"x": numbers(2, 3, 10, 9)})


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("Softmax", {"axis": 1}),
        ("LogSoftmax", {"axis": 2}),
        ("Gelu", {"approximate": "none"}),
        ("Gelu", {"approximate": "tanh"}),
        ("Erf", {}),
        ("Sigmoid", {}),
        ("Softplus", {}),
        ("Selu", {}),
        ("Elu", {"alpha": 0.3}),
        ("HardSwish", {}),
        ("Mish", {}),
        ("Tanh", {}),
    ],
    ids=str,
)
def test_activation_equals_onnxruntime_from_minus_60_to_60(operator, attributes, onnx_programs):
    ramp = np.linspace(-60, 60, 24_000, dtype=np.float32).reshape(2, 3, 4000)
    compare(onnx_programs, Node(operator, ("x",), ("y",), attributes), {"x": ramp})


@pytest.mark.parametrize("operator", ["BatchNormalization", "InstanceNormalization"])
def test_normalisation_far_from_zero_equals_onnxruntime(operator, onnx_programs):
    image = numbers(4, 5, 6, 7) * np.float32(3) + np.float32(10)
    names = ("x", "scale", "bias", "mean", "variance")
    tensors = {name: numbers(5) for name in names[1:4]} | {"variance": np.abs(numbers(5))}
    used = names if operator == "BatchNormalization" else names[:3]
    tensors = {name: tensors[name] for name in used[1:]}
    compare(onnx_programs, Node(operator, used, ("y",)), {"x": image}, tensors)


def test_erf_equals_the_standard_library_in_float64():
    from math import erf

    from laconic.runtime.operators.activation import erf as ours

    points = np.linspace(-7, 7, 30_001)
    np.testing.assert_allclose(ours(points), [erf(x) for x in points], rtol=5e-16, atol=3e-16)
