"""The native engine with binary weights, with inputs that are signs, and with 8-bit inputs."""

from __future__ import annotations

import numpy as np
import pytest

from laconic import _native
from laconic.container import Node, Program, Value
from laconic.runtime import NumpyExecutor
from laconic.runtime.native_executor import NativeExecutor

SETS = ["portable", "avx2", "avx512"]


@pytest.fixture(params=range(len(SETS)), ids=SETS)
def instructions(request):
    _native.use_instructions(request.param)
    yield
    _native.use_instructions(len(SETS) - 1)


def signs(*shape, seed=0):
    return np.random.default_rng(seed).choice(np.float32([-1, 1]), shape)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def convolution(channels=64, outputs=64, size=9):
    """x through Sign, which the engine is not told about, and a padded 3x3 convolution."""
    return Program(
        opset=20,
        inputs=(Value("x", "F32", ("n", channels, size, size)),),
        outputs=(Value("y", "F32", ("n", outputs, size, size)),),
        nodes=(
            Node("Sign", ("x",), ("s",)),
            Node("Conv", ("s", "w"), ("y",), {"pads": (1, 1, 1, 1)}),
        ),
    )


def product(depth, outputs):
    return Program(
        opset=20,
        inputs=(Value("x", "F32", ("n", depth)),),
        outputs=(Value("y", "F32", ("n", outputs)),),
        nodes=(Node("MatMul", ("x", "w"), ("y",)),),
    )


@pytest.mark.usefixtures("instructions")
def test_signs_times_signs_are_exact_with_zeros_among_them_too():
    program, weights = convolution(), {"w": signs(64, 64, 3, 3)}
    native = NativeExecutor(program, weights, threads=2)
    for zeros in (0, 1, 500):
        x = normal(2, 64, 9, 9)
        x.reshape(-1)[:zeros] = 0
        expected = NumpyExecutor(program, weights).run({"x": x})[0]
        np.testing.assert_array_equal(native.run({"x": x})[0], expected)


def test_binary_weights_of_a_convolution_take_a_few_bits_each():
    program, weights = convolution(512, 512, size=7), {"w": 0.3 * signs(512, 512, 3, 3)}
    layer = NativeExecutor(program, weights).layers()[-1]
    assert layer.form == "binary"
    assert layer.size_bytes < weights["w"].nbytes / 12


@pytest.mark.usefixtures("instructions")
def test_a_linear_layer_with_binary_weights_is_the_dense_one():
    program, weights = product(200, 90), {"w": 0.7 * signs(200, 90)}
    x = normal(3, 200)
    found = NativeExecutor(program, weights).run({"x": x})[0]
    np.testing.assert_allclose(found, x @ weights["w"], rtol=1e-4, atol=1e-4)


def test_inputs_are_rounded_to_8_bits_only_where_the_user_allows_it():
    weights = {"w": np.random.default_rng(0).integers(-127, 128, (512, 256)).astype(np.float32)}
    weights["w"] *= np.float32(0.01)
    program, x = product(512, 256), normal(4, 512)
    expected = x @ weights["w"]
    exact = NativeExecutor(program, weights)
    rounded = NativeExecutor(program, weights, int8=True)
    assert [layer.form for layer in rounded.layers()] == ["int8"]
    assert "int8" not in [layer.form for layer in exact.layers()]
    step = np.ptp(x, axis=1).max() / 255
    bound = step / 2 * np.abs(weights["w"]).sum(0).max()
    error = np.abs(rounded.run({"x": x})[0] - expected).max()
    assert 1e-4 < error < bound
    np.testing.assert_allclose(exact.run({"x": x})[0], expected, rtol=1e-4, atol=1e-4)


def test_an_int8_convolution_keeps_close_to_the_exact_one():
    weights = {"w": np.random.default_rng(1).integers(-127, 128, (64, 64, 3, 3)).astype(np.float32)}
    program, x = convolution(), normal(1, 64, 9, 9)
    exact = NativeExecutor(program, weights).run({"x": x})[0]
    executor = NativeExecutor(program, weights, int8=True)
    assert executor.layers()[-1].form == "int8"
    found = executor.run({"x": x})[0]
    assert np.abs(found - exact).max() < 0.01 * np.abs(exact).max()
