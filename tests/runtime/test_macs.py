"""MACs as papers count them."""

from __future__ import annotations

import numpy as np
import pytest

from laconic.container import Node, Program, Value
from laconic.errors import MismatchError, UsageError
from laconic.runtime import NumpyExecutor, Session, count_macs


def session_of(program, tensors):
    return Session(program, NumpyExecutor(program, tensors))


def one_node(node, *shape):
    sizes = tuple(f"size {index}" for index in range(len(shape)))
    return Program(20, (Value("x", "F32", shape),), (Value("y", "F32", sizes),), (node,))


def test_lenet_5_has_2_293_000_macs(lenet5):
    # 24² · 20 · 25 + 8² · 50 · 500 + 800 · 500 + 500 · 10
    assert count_macs(session_of(*lenet5)) == (2_293_000, 2_293_000)


def test_lenet_300_100_has_266_200_macs_through_transposed_weights(lenet300):
    # 784 · 300 + 300 · 100 + 100 · 10
    assert count_macs(session_of(*lenet300)) == (266_200, 266_200)


def test_zeros_are_left_out_of_the_effective_macs(lenet5):
    program, tensors = lenet5
    pruned = dict(tensors)
    pruned["conv1.weight"] = tensors["conv1.weight"].copy()
    pruned["conv1.weight"][:5] = 0  # 125 of 500 weights, used 576 times each
    pruned["fc1.weight"] = tensors["fc1.weight"].copy()
    pruned["fc1.weight"][0, :7] = 0
    total, effective = count_macs(session_of(program, pruned))
    assert (total, total - effective) == (2_293_000, 125 * 576 + 7)


def test_zeros_behind_a_transpose_are_seen(lenet300):
    program, tensors = lenet300
    zeroed = {**tensors, "fc2.weight": np.zeros_like(tensors["fc2.weight"])}
    assert count_macs(session_of(program, zeroed)) == (266_200, 266_200 - 30_000)


@pytest.mark.parametrize("kind", ["shape", "array"])
def test_macs_grow_with_the_batch(lenet5, kind):
    shape = (3, 1, 28, 28)
    given = shape if kind == "shape" else np.ones(shape, np.float32)
    assert count_macs(session_of(*lenet5), {"image": given})[0] == 3 * 2_293_000


def test_padded_strided_grouped_convolution_counts_every_weight_at_every_position():
    attributes = {"pads": (1, 1, 1, 1), "strides": (2, 2), "group": 4}
    program = one_node(Node("Conv", ("x", "w"), ("y",), attributes), 2, 8, 9, 9)
    weight = np.ones((12, 2, 3, 3), np.float32)
    weight[0, 0, 0, 0] = 0
    positions = 2 * 5 * 5
    assert count_macs(session_of(program, {"w": weight})) == (216 * positions, 215 * positions)


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_counts_alike_however_its_input_is_laid_out(transposed):
    node = Node("Gemm", ("x", "w"), ("y",), {"transA": transposed})
    program = one_node(node, *((7, 2) if transposed else (2, 7)))
    weight = np.eye(7, 5, dtype=np.float32)
    assert count_macs(session_of(program, {"w": weight})) == (2 * 7 * 5, 2 * 5)


def test_a_weight_may_stand_on_the_left():
    program = one_node(Node("MatMul", ("w", "x"), ("y",)), 6, 4)
    weight = np.zeros((3, 6), np.float32)
    weight[0] = 1
    assert count_macs(session_of(program, {"w": weight})) == (3 * 6 * 4, 6 * 4)


def test_products_of_two_computed_values_count_wholly():
    nodes = (Node("Transpose", ("x",), ("t",)), Node("MatMul", ("x", "t"), ("y",)))
    program = Program(20, (Value("x", "F32", (3, 4)),), (Value("y", "F32", (3, 3)),), nodes)
    assert count_macs(session_of(program, {})) == (36, 36)


def test_a_wrong_shape_is_refused_as_by_a_call(lenet5):
    with pytest.raises(MismatchError, match=r"found float32\[1, 3, 28, 28\]: dimension 1 is 3"):
        count_macs(session_of(*lenet5), {"image": (1, 3, 28, 28)})
    with pytest.raises(UsageError, match="picture is no input; the network takes image"):
        count_macs(session_of(*lenet5), {"picture": (1, 1, 28, 28)})


@pytest.mark.parametrize("zeros", [0, 100], ids=["dense", "pruned"])
@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_a_recurrent_layer_multiplies_both_matrices_at_every_step(operator, gates, zeros):
    # Two directions of 6 units over 5 steps of 3 sequences with 7 features.
    weights = {
        "w": np.ones((2, gates * 6, 7), np.float32),
        "r": np.ones((2, gates * 6, 6), np.float32),
    }
    for weight in weights.values():
        weight.flat[: zeros // 2] = 0
    attributes = {"hidden_size": 6, "direction": "bidirectional"}
    node = Node(operator, ("x", "w", "r"), ("y",), attributes)
    macs = 15 * gates * 2 * (6 * 7 + 6 * 6)
    found = count_macs(session_of(one_node(node, 5, 3, 7), weights))
    assert found == (macs, macs - 15 * 2 * min(zeros // 2, 2 * gates * 6 * 6))


def test_the_zeros_of_a_recurrent_weight_that_is_computed_are_not_known():
    shapes = {"x": (5, 3, 7), "w": (1, 24, 7), "r": (1, 24, 6)}
    program = Program(
        20,
        tuple(Value(name, "F32", shape) for name, shape in shapes.items()),
        (Value("y", "F32", tuple("abcd")),),
        (Node("LSTM", ("x", "w", "r"), ("y",), {"hidden_size": 6}),),
    )
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    assert count_macs(session_of(program, {}), arrays) == (15 * 24 * 13, 15 * 24 * 13)
