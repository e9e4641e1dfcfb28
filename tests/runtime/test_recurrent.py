"""LSTM, GRU and RNN of both engines against ONNX Runtime: what the node cases leave out."""

from __future__ import annotations

import numpy as np
import pytest

from laconic.container import Node, Program, Value
from laconic.errors import MismatchError
from laconic.runtime import NumpyExecutor
from laconic.runtime.native_executor import NativeExecutor

LENGTH, BATCH, FEATURES, HIDDEN = 7, 3, 10, 17
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
NAMES = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
INTEGERS = {"sequence_lens"}


def arrays_of(operator, directions, zeros):
    """Every input that the operator can have, weights with that share of zeros."""
    random = np.random.default_rng(3)
    rows = GATES[operator] * HIDDEN
    shapes = {
        "X": (LENGTH, BATCH, FEATURES),
        "W": (directions, rows, FEATURES),
        "R": (directions, rows, HIDDEN),
        "B": (directions, 2 * rows),
        "initial_h": (directions, BATCH, HIDDEN),
    }
    if operator == "LSTM":
        shapes |= {"initial_c": shapes["initial_h"], "P": (directions, 3 * HIDDEN)}
    arrays = {name: random.normal(0, 0.4, shape).astype("f4") for name, shape in shapes.items()}
    for name in ("W", "R"):
        arrays[name] *= random.random(arrays[name].shape) >= zeros
    return arrays | {"sequence_lens": np.array([LENGTH, 2, 5], "i4")}


def program_of(operator, arrays, constant, attributes):
    names = [name if name in arrays else "" for name in NAMES]
    while not names[-1]:
        names.pop()
    return Program(
        opset=22,
        inputs=tuple(
            Value(name, "I32" if name in INTEGERS else "F32", array.shape)
            for name, array in arrays.items()
            if name not in constant
        ),
        outputs=(Value("Y", "F32", tuple("abcd")), Value("Y_h", "F32", tuple("efg"))),
        nodes=(Node(operator, tuple(names), ("Y", "Y_h"), attributes),),
    )


def compare(
    onnx_programs, operator, attributes, zeros=0.0, without=(), constant=("W", "R", "sequence_lens")
):
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    arrays = arrays_of(operator, directions, zeros)
    arrays = {name: array for name, array in arrays.items() if name not in without}
    constant = [name for name in constant if name in arrays]
    program = program_of(operator, arrays, constant, {"hidden_size": HIDDEN, **attributes})
    tensors = {name: arrays[name] for name in constant}
    inputs = {name: array for name, array in arrays.items() if name not in constant}
    expected = onnx_programs.onnxruntime(program, tensors, inputs)
    native = [NativeExecutor(program, tensors, threads=threads) for threads in (1, 2)]
    for executor in (*native, NumpyExecutor(program, tensors)):
        found = executor.run(inputs)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("zeros", [0.0, 0.9], ids=["dense", "pruned"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("operator", GATES)
def test_recurrent_layer_equals_onnxruntime(operator, direction, zeros, onnx_programs):
    compare(onnx_programs, operator, {"direction": direction}, zeros)


@pytest.mark.parametrize(
    "without", [(), ("B",), ("initial_h", "initial_c", "P"), ("sequence_lens",)]
)
@pytest.mark.parametrize("operator", GATES)
def test_recurrent_layer_without_what_may_be_absent_equals_onnxruntime(
    operator, without, onnx_programs
):
    compare(onnx_programs, operator, {}, without=without)


@pytest.mark.parametrize("operator", GATES)
def test_recurrent_layer_with_computed_weights_equals_onnxruntime(operator, onnx_programs):
    compare(onnx_programs, operator, {"direction": "bidirectional"}, constant=("sequence_lens",))


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("LSTM", {"clip": 0.3}),
        ("GRU", {"clip": 0.3}),
        ("LSTM", {"input_forget": 1}),
        ("GRU", {"linear_before_reset": 1}),
        ("LSTM", {"activations": ("HardSigmoid", "Softsign", "Tanh")}),
        ("LSTM", {"activations": ("Sigmoid", "Elu", "LeakyRelu"), "activation_alpha": (0.7, 0.2)}),
        (
            "LSTM",
            {
                "activations": ("Sigmoid", "ScaledTanh", "Affine"),
                "activation_alpha": (0.7, 0.2),
                "activation_beta": (0.5, 0.1),
            },
        ),
        ("GRU", {"activations": ("Sigmoid", "Softplus")}),
        ("RNN", {"activations": ("ThresholdedRelu",), "activation_alpha": (0.2,)}),
    ],
    ids=str,
)
def test_recurrent_layer_with_attributes_equals_onnxruntime(operator, attributes, onnx_programs):
    compare(onnx_programs, operator, attributes, zeros=0.5)


def test_a_state_that_does_not_fit_names_both_shapes():
    arrays = arrays_of("LSTM", 1, 0.0)
    program = program_of("LSTM", arrays, (), {"hidden_size": HIDDEN})
    arrays["initial_h"] = arrays["initial_h"][:, :2]
    with pytest.raises(MismatchError, match=r"initial_h is float32\[1, 2, 17\].*\[1, 3, 17\]"):
        NativeExecutor(program, {}).run(arrays)
    with pytest.raises(MismatchError, match=r"initial_h has the shape \[1, 2, 17\], not \[1, 3, "):
        NumpyExecutor(program, {}).run(arrays)
