"""The observer, the life of values, and what the room imports."""

from __future__ import annotations

import itertools
import subprocess
import sys
import weakref

import numpy as np

from laconic.container import Node, Program, Value
from laconic.runtime import OPERATORS, NumpyExecutor


def chain(length):
    """x → exp → exp → … : each value is read once."""
    names = ["x", *(f"v{index}" for index in range(length - 1)), "y"]
    nodes = (Node("Exp", (a,), (b,)) for a, b in itertools.pairwise(names))
    return Program(20, (Value("x", "F32", ("n",)),), (Value("y", "F32", ("n",)),), tuple(nodes))


def test_an_intermediate_value_dies_after_its_last_use():
    made, alive = [], []

    def observe(node, arguments, results):
        made.append(weakref.ref(results[0]))
        alive.append(sum(reference() is not None for reference in made))

    NumpyExecutor(chain(6), {}).run({"x": np.zeros(3, np.float32)}, observe)
    assert alive == [1, 2, 2, 2, 2, 2], "the operator's input and output, and no more"


def test_an_output_that_nobody_reads_dies_at_once():
    nodes = (
        Node("Split", ("x",), ("a", "b"), {"num_outputs": 2}),
        Node("Exp", ("a",), ("c",)),
        Node("Exp", ("c",), ("y",)),
    )
    program = Program(20, (Value("x", "F32", (2,)),), (Value("y", "F32", (1,)),), nodes)
    unread = []

    def observe(node, arguments, results):
        if node.operator == "Split":
            unread.append(weakref.ref(results[1]))
        else:
            assert unread[0]() is None

    NumpyExecutor(program, {}).run({"x": np.zeros(2, np.float32)}, observe)
    assert unread


def test_a_value_that_is_also_an_output_lives_on():
    nodes = (Node("Exp", ("x",), ("y",)), Node("Neg", ("y",), ("z",)))
    outputs = (Value("y", "F32", (1,)), Value("z", "F32", (1,)))
    program = Program(20, (Value("x", "F32", (1,)),), outputs, nodes)
    y, z = NumpyExecutor(program, {}).run({"x": np.float32([0])})
    assert (y.tolist(), z.tolist()) == ([1], [-1])


def test_the_observer_sees_each_node_with_its_inputs_and_outputs(lenet5, images):
    program, tensors = lenet5
    seen = []

    def observe(node, arguments, results):
        shapes = [None if array is None else array.shape for array in arguments]
        seen.append((node.operator, shapes, [array.shape for array in results]))

    NumpyExecutor(program, tensors).run({"image": images}, observe)
    assert seen[0] == ("Conv", [(5, 1, 28, 28), (20, 1, 5, 5), (20,)], [(5, 20, 24, 24)])
    assert [operator for operator, _, _ in seen] == [node.operator for node in program.nodes]


def test_an_absent_input_is_none_to_operator_and_observer():
    node = Node("Clip", ("x", "", "high"), ("y",))
    program = Program(20, (Value("x", "F32", (2,)),), (Value("y", "F32", (2,)),), (node,))
    seen = []
    executor = NumpyExecutor(program, {"high": np.float32(1)})
    (y,) = executor.run({"x": np.float32([-5, 5])}, lambda n, i, o: seen.extend(i))
    assert y.tolist() == [-5, 1]
    assert seen[1] is None


def test_operators_never_write_into_what_they_read(lenet5, images):
    program, tensors = lenet5
    before = {name: array.copy() for name, array in tensors.items()}

    def freeze(node, arguments, results):
        for array in results:
            array.flags.writeable = False  # writing into it would raise

    NumpyExecutor(program, tensors).run({"image": images}, freeze)
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, before[name])


def test_half_precision_does_not_overflow_inside_an_operator():
    x = np.float16([[300, 400]])  # their squares are beyond float16
    norm = OPERATORS["ReduceL2"](x)
    assert (norm.dtype, norm.tolist()) == (np.float16, [[500]])
    distant = np.float16([[-300, 300]])
    out, _, _ = OPERATORS["LayerNormalization"](distant, np.ones(2, np.float16))
    assert (out.dtype, out.tolist()) == (np.float16, [[-1, 1]])


def test_the_runtime_imports_numpy_and_nothing_else():
    script = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "onnx", "onnxruntime", "scipy"}:
            raise ImportError(f"{name} was asked for")

sys.meta_path.insert(0, Refuse())
import laconic.runtime
import numpy as np
allowed = {"numpy", "laconic"} | set(sys.stdlib_module_names)
foreign = {name.split(".")[0] for name in sys.modules} - allowed - before
print(sorted(foreign))
"""
    start = "import sys\nbefore = {name.split('.')[0] for name in sys.modules}\n"
    ran = subprocess.run(
        [sys.executable, "-c", start + script], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "[]", "")
