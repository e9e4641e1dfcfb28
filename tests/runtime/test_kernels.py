"""The native kernels against NumPy: sizes, strides, groups and structures of zeros at random."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laconic import _native
from laconic.container import Node, Program, Value
from laconic.runtime import NumpyExecutor
from laconic.runtime.native_executor import NativeExecutor

SETS = ["portable", "avx2", "avx512"]
MOST_DEVIATION = 1e-4
"""Relative to the largest output."""
KINDS = ["dense", "half zeros", "95 % zeros", "few values", "plus or minus", "zeros alone"]


@pytest.fixture(scope="module", params=range(len(SETS)), ids=SETS)
def instructions(request):
    _native.use_instructions(request.param)
    yield SETS[request.param]
    _native.use_instructions(len(SETS) - 1)


def weights(kind, shape, rng):
    """Weights with the structure that a form of the engine looks for."""
    dense = rng.standard_normal(shape, np.float32)
    if kind in ("half zeros", "95 % zeros"):
        return dense * (rng.random(shape) < (0.5 if kind == "half zeros" else 0.05))
    if kind == "few values":
        return rng.choice(np.float32([-0.7, -0.1, 0, 0.3, 1.1]), shape)
    if kind == "plus or minus":
        alpha = rng.uniform(0.1, 1, (shape[0],) + (1,) * (len(shape) - 1)).astype(np.float32)
        return np.copysign(alpha, dense)
    return np.zeros_like(dense) if kind == "zeros alone" else dense


def program(operator, shape, reads, **attributes):
    """One operator over x, of that shape."""
    return Program(
        opset=20,
        inputs=(Value("x", "F32", shape),),
        outputs=(Value("y", "F32", tuple(f"y{axis}" for axis in range(len(shape)))),),
        nodes=(Node(operator, ("x", *reads), ("y",), attributes),),
    )


def check(made, tensors, x, threads=1):
    """The native engine computes what NumPy does; the layer that it made of the node."""
    (expected,) = NumpyExecutor(made, tensors).run({"x": x})
    executor = NativeExecutor(made, tensors, threads=threads)
    (found,) = executor.run({"x": x})
    assert found.shape == expected.shape
    error = np.abs(found - expected).max(initial=0)
    assert error <= MOST_DEVIATION * np.abs(expected).max(initial=0), executor.layers()
    return executor.layers()[-1]


@st.composite
def convolutions(draw):
    """Shapes and attributes of a convolution whose output is not empty."""
    kernel = tuple(draw(st.sampled_from([1, 2, 3, 3, 5, 7, 11])) for _ in range(2))
    strides = tuple(draw(st.integers(1, 3)) for _ in range(2))
    dilations = tuple(draw(st.sampled_from([1, 1, 2, 3])) for _ in range(2))
    pads = tuple(draw(st.integers(0, 3)) for _ in range(4))
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
    least = [max(1, reach[axis] - pads[axis] - pads[axis + 2]) for axis in range(2)]
    size = tuple(draw(st.integers(first, first + 18)) for first in least)
    group = draw(st.sampled_from([1, 1, 1, 2, 3, 8]))
    inputs = draw(st.sampled_from([1, 2, 3, 5, 16, 17]) if group < 8 else st.just(1))
    outputs = draw(st.sampled_from([1, 2, 4, 9, 16, 33]) if group < 8 else st.just(1))
    attributes = {"strides": strides, "dilations": dilations, "pads": pads, "group": group}
    return (
        (draw(st.integers(1, 3)), group * inputs, *size),
        (group * outputs, inputs, *kernel),
        attributes,
    )


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(convolutions(), st.sampled_from(KINDS), st.booleans(), st.integers(1, 3), st.integers(0, 99))
def test_a_convolution_is_the_one_of_numpy(instructions, shapes, kind, has_bias, threads, seed):
    shape, weight_shape, attributes = shapes
    rng = np.random.default_rng(seed)
    tensors = {"w": weights(kind, weight_shape, rng)}
    if has_bias:
        tensors["b"] = rng.standard_normal(weight_shape[0], np.float32)
    made = program("Conv", shape, tuple(tensors), **attributes)
    check(made, tensors, rng.standard_normal(shape, np.float32), threads)


@st.composite
def depthwise_convolutions(draw):
    """Shapes and attributes of a depthwise convolution; most can be read where the images lie."""
    taps = draw(st.sampled_from([3, 3, 5, 5, 4]))
    stride = draw(st.integers(1, 2))
    strides = (stride, draw(st.sampled_from([stride, stride, stride, 3 - stride])))
    pads = tuple(draw(st.integers(0, 4)) for _ in range(4))
    least = [max(1, taps - pads[axis] - pads[axis + 2]) for axis in range(2)]
    size = (draw(st.integers(least[0], 14)), draw(st.integers(least[1], 56)))
    channels, multiplier = draw(st.integers(1, 20)), draw(st.integers(1, 2))
    return (
        (draw(st.integers(1, 2)), channels, *size),
        (channels * multiplier, 1, taps, taps),
        {"strides": strides, "pads": pads, "group": channels},
    )


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(depthwise_convolutions(), st.integers(1, 3), st.integers(0, 99))
def test_a_depthwise_convolution_is_the_one_of_numpy(instructions, shapes, threads, seed):
    shape, weight_shape, attributes = shapes
    rng = np.random.default_rng(seed)
    tensors = {"w": rng.standard_normal(weight_shape, np.float32)}
    made = program("Conv", shape, ("w",), **attributes)
    check(made, tensors, rng.standard_normal(shape, np.float32), threads)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.integers(1, 70),
    st.integers(1, 300),
    st.integers(1, 150),
    st.sampled_from(KINDS),
    st.sampled_from(["MatMul", "Gemm", "Gemm with transB"]),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_a_linear_layer_is_the_one_of_numpy(
    instructions, rows, depth, outputs, kind, form, threads, seed
):
    rng = np.random.default_rng(seed)
    weight = weights(kind, (outputs, depth), rng)
    tensors = {"w": weight if form == "Gemm with transB" else np.ascontiguousarray(weight.T)}
    attributes = {}
    if form != "MatMul":
        tensors["b"] = rng.standard_normal(outputs, np.float32)
        attributes = {"transB": int(form == "Gemm with transB")}
    made = program(form.split()[0], (rows, depth), tuple(tensors), **attributes)
    check(made, tensors, rng.standard_normal((rows, depth), np.float32), threads)


def n_of_m(kept, size):
    """The `kept` largest of each `size` weights in a row (N:M sparsity)."""

    def mask(shape, rng):
        dense = rng.standard_normal((math.prod(shape) // size, size), np.float32)
        order = np.abs(dense).argsort(axis=1)
        np.put_along_axis(dense, order[:, : size - kept], 0, 1)
        return dense.reshape(shape)

    return mask


def of_patterns(share):
    """Of a share of the kernels four weights, in one of eight patterns (arXiv:2001.00138)."""

    def mask(shape, rng):
        patterns = np.zeros((8, 9), np.float32)
        for pattern in patterns:
            pattern[[4, *rng.choice([0, 1, 2, 3, 5, 6, 7, 8], 3, replace=False)]] = 1
        chosen = patterns[rng.integers(0, 8, shape[:2])].reshape(shape)
        kernels = rng.random((*shape[:2], 1, 1)) < share
        return chosen * kernels * rng.standard_normal(shape, np.float32)

    return mask


CONVOLUTION = ((1, 64, 14, 14), (64, 64, 3, 3), "Conv", {"pads": (1, 1, 1, 1)})
SMALL_CONVOLUTION = ((1, 16, 32, 32), (16, 16, 3, 3), "Conv", {"pads": (1, 1, 1, 1)})
LINEAR = ((1, 512), (256, 512), "Gemm", {"transB": 1})


def beside_dense(mask, shape, weight_shape, operator, attributes):
    """The layers of masked and of dense weights, once both computed what they should."""
    rng = np.random.default_rng(0)
    made, x = program(operator, shape, ("w",), **attributes), rng.standard_normal(shape, np.float32)
    masked, dense = mask(weight_shape, rng), rng.standard_normal(weight_shape, np.float32)
    return check(made, {"w": masked}, x), check(made, {"w": dense}, x)


HALF = {
    "a convolution of 2:4 weights": (n_of_m(2, 4), *CONVOLUTION),
    "a convolution of kernel patterns": (of_patterns(1), *CONVOLUTION),
    "a linear layer of 2:4 weights": (n_of_m(2, 4), *LINEAR),
}


@pytest.mark.parametrize("case", HALF.values(), ids=HALF)
def test_half_of_structured_zeros_is_computed_right_and_takes_no_more_memory(instructions, case):
    """Zeros are multiplied where that is estimated to be faster than to skip half of them."""
    masked, dense = beside_dense(*case)
    assert masked.size_bytes <= dense.size_bytes


FEW = {
    "a convolution of 1:8 weights": (n_of_m(1, 8), *CONVOLUTION),
    "a convolution of patterns in four kernels of ten": (of_patterns(0.4), *CONVOLUTION),
    "a linear layer of 1:8 weights": (n_of_m(1, 8), *LINEAR),
}


@pytest.mark.parametrize("case", FEW.values(), ids=FEW)
def test_more_structured_zeros_are_skipped_and_take_less_memory(instructions, case):
    masked, dense = beside_dense(*case)
    assert masked.form == "sparse"
    assert masked.size_bytes < 0.75 * dense.size_bytes


@pytest.mark.parametrize("mask", [n_of_m(2, 4), of_patterns(1)], ids=["2:4", "kernel patterns"])
def test_half_of_structured_zeros_is_skipped_in_a_layer_of_few_channels(instructions, mask):
    masked, dense = beside_dense(mask, *SMALL_CONVOLUTION)
    if instructions == "portable":  # whose dense kernel is the faster one at any structure
        assert masked.size_bytes <= dense.size_bytes
    else:
        assert masked.form == "sparse"
        assert masked.size_bytes < dense.size_bytes
