"""Programs that abuse the native engine: each is refused, and the message says why.

`fuzz_programs.py` looks for more of them; a short run of it is here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fuzz_programs
import numpy as np
import pytest

from laconic.container import Node, Program, Value, dtype_of
from laconic.errors import LaconicError
from laconic.runtime.native_executor import NativeExecutor

HUGE = 2**62
LARGEST, SMALLEST = 2**63 - 1, -(2**63)


def floats(*shape):
    return np.ones(shape, np.float32)


def whole(*numbers):
    return np.array(numbers, np.int64)


def node(operator, *inputs, outputs=("y",), **attributes):
    """The operator, what it reads, the names of what it makes, its attributes."""
    return operator, inputs, outputs, attributes


ATTACKS = {
    "1 a permutation with an axis twice": (
        node("Transpose", floats(2, 3), perm=(0, -2)),
        "axis -2 is named twice",
    ),
    "2 a size of -1 to expand to": (
        node("Expand", floats(1), whole(-1)),
        "an output would have the shape [-1]",
    ),
    "3 two open sizes": (node("Reshape", floats(6), whole(-1, -1)), "two sizes"),
    "4 another number of items": (node("Reshape", floats(6), whole(4)), "has no shape [4]"),
    "5 a size below -1": (node("Reshape", floats(6), whole(-6)), "a size below -1"),
    "6 repeats whose product wraps round": (
        node("Tile", floats(4), whole(HUGE)),
        "4 times 4611686018427387904 items",
    ),
    "7 repeats below 0": (node("Tile", floats(4), whole(-1)), "repeated -1 times"),
    "8 blocks whose area wraps round to 0": (
        node("DepthToSpace", floats(1, 4, 2, 2), blocksize=2**32),
        "4294967296 times 4294967296 items",
    ),
    "9 blocks of 0": (node("SpaceToDepth", floats(1, 4, 2, 2), blocksize=0), "with blocks of 0"),
    "10 a part below 0 that nobody wants": (
        node("Split", floats(4), whole(-1, 5), outputs=("", "y")),
        "a part of -1 items",
    ),
    "11 parts that do not sum": (
        node("Split", floats(4), whole(1, 2), outputs=("y", "z")),
        "2 parts of 3 in all",
    ),
    "12 more parts than outputs": (node("Split", floats(4), num_outputs=HUGE), "num_outputs is"),
    "13 a value of another type": (
        node("Pad", np.ones(3), whole(1, 1), floats()),
        "Pad takes one item of float64 as value",
    ),
    "14 pads that wrap round": (
        node("Pad", floats(3), whole(LARGEST, LARGEST)),
        "a pad of 9223372036854775807",
    ),
    "15 more cut away than there is": (
        node("Pad", floats(3), whole(-2, -2)),
        "an output would have the shape [-1]",
    ),
    "16 a step of 0": (
        node("Slice", floats(9), whole(0), whole(9), whole(0), whole(0)),
        "Slice with a step of 0",
    ),
    "17 an axis cut twice": (
        node("Slice", floats(9), whole(0, 0), whole(9, 9), whole(0, 0), whole(3, 3)),
        "axis 0 is named twice",
    ),
    "18 an index behind the end": (node("Gather", floats(3), whole(3)), "index 3 of 3 items"),
    "19 an index before the start": (
        node("GatherElements", floats(3), whole(SMALLEST)),
        "index -9223372036854775808 of 3 items",
    ),
    "20 tuples longer than the array's rank": (
        node("GatherND", floats(3), whole(0, 0)),
        "indices [2] for [3]",
    ),
    "21 indices of reals": (node("Gather", floats(3), floats(1)), "int64 is needed"),
    "22 updates of another shape": (
        node("ScatterND", floats(3), whole(0).reshape(1, 1), floats(2)),
        "updates float32[2]",
    ),
    "23 two diagonals": (
        node("Trilu", floats(3, 3), whole(0, 0)),
        "Trilu takes one int64 as k",
    ),
    "24 a range that stands still": (
        node("Range", whole(0).reshape(()), whole(9).reshape(()), whole(0).reshape(())),
        "Range never reaches its limit",
    ),
    "25 a depth below 0": (
        node("OneHot", whole(1), whole(-1), floats(2)),
        "OneHot needs one depth",
    ),
    "26 more items than any memory holds": (
        node("ConstantOfShape", whole(2**40, 2**40)),
        "items",
    ),
    "27 items below 0": (node("ConstantOfShape", whole(-2)), "would have the shape [-2]"),
    "28 a stride beyond 2^31": (
        node("MaxPool", floats(1, 1, 4), kernel_shape=(2,), strides=(HUGE,)),
        "strides must have 1 numbers from 1 to 2147483647",
    ),
    "29 pads that make a plane beyond memory": (
        node("Conv", floats(1, 1, 3, 3), floats(1, 1, 1, 1), pads=(2**31 - 1,) * 4),
        "make a plane that no memory holds",
    ),
    "30 a window larger than its axis": (
        node("AveragePool", floats(1, 1, 4), kernel_shape=(9,)),
        "a window of 9 does not fit",
    ),
    "31 a dilation of 0": (
        node("Conv", floats(1, 1, 3), floats(1, 1, 1), dilations=(0,)),
        "dilations must have 1 numbers from 1",
    ),
    "32 a weight without items": (
        node("Conv", floats(1, 0, 3), floats(4, 0, 1)),
        "a weight without items",
    ),
    "33 a transposed weight without items": (
        node("ConvTranspose", floats(1, 1, 3), floats(1, 1, 0)),
        "ConvTranspose with a weight of",
    ),
    "34 groups without end": (
        node("ConvTranspose", floats(1, 0, 3), floats(0, 1, 1), group=HUGE),
        "ConvTranspose with a weight of",
    ),
    "35 a bias for one of four outputs": (
        node("Conv", floats(1, 1, 2, 2, 2), floats(4, 1, 1, 1, 1), floats(1)),
        "a bias of float32[1] for 4 outputs",
    ),
    "36 groups of no channels": (
        node("GroupNormalization", floats(1, 0, 2), floats(0), floats(0), num_groups=HUGE),
        "4611686018427387904 groups",
    ),
    "37 a crop of another number of axes": (
        node(
            "Resize",
            floats(1, 1, 2, 2),
            floats(3),
            floats(4),
            coordinate_transformation_mode="tf_crop_and_resize",
        ),
        "Resize has 3 roi, not 8",
    ),
    "38 a size beyond reals": (
        node("Resize", floats(2), "", np.float32([1e30])),
        "a scale of",
    ),
    "39 a K beyond the axis": (node("TopK", floats(3), whole(4)), "TopK takes numbers and a K"),
    "40 an axis beyond the rank": (node("Softmax", floats(3), axis=LARGEST), "axis 9223372036854"),
    "41 no output at all": (node("Relu", floats(3), outputs=("", "y")), "fewer than the 2 outputs"),
    "42 no input at all": (node("Add"), "input 0 is absent"),
    "43 a zero point of another type": (
        node("MatMulInteger", np.ones((2, 2), np.uint8), np.ones((2, 2), np.int8), whole(1)),
        "zero points of int64[1]",
    ),
    "44 no zero point": (
        node(
            "MatMulInteger",
            np.ones((2, 2), np.uint8),
            np.ones((2, 2), np.int8),
            np.ones(0, np.uint8),
        ),
        "zero points of uint8[0]",
    ),
    "45 an attribute of another kind": (node("Softmax", floats(3), axis="last"), "of another kind"),
    "46 a size that takes minutes": (
        node("Resize", floats(2), "", "", whole(2**31)),
        "Resize to 2147483648 items",
    ),
    "47 windows that take minutes": (
        node("MaxPool", floats(1, 1, 4), kernel_shape=(2**30,), pads=(2**30, 2**30)),
        "windows of 1073741824 along an axis",
    ),
    "48 a recurrence without items": (
        node("GRU", floats(2, 1, 3), floats(1, 0, 3), floats(1, 0, 0), hidden_size=0),
        "weights without items",
    ),
    "49 a cell state of what has none": (
        node(
            "GRU",
            floats(2, 1, 3),
            floats(1, 3, 3),
            floats(1, 3, 1),
            outputs=("y", "h", "c"),
            hidden_size=1,
        ),
        "fewer than the 3 outputs",
    ),
    "50 nine dimensions": (node("Relu", floats(*[1] * 9)), "more than 8 dimensions"),
    "51 channels that the weight does not take": (
        node("Conv", floats(1, 1, 5, 5), floats(1, 2, 3, 3)),
        "the weight takes 2 channels",
    ),
}


def program_of(attack):
    """The program of one node, and its inputs."""
    operator, arrays, outputs, attributes = attack
    given = {f"x{k}": array for k, array in enumerate(arrays) if not isinstance(array, str)}
    names = tuple("" if isinstance(array, str) else f"x{k}" for k, array in enumerate(arrays))
    return (
        Program(
            opset=20,
            inputs=tuple(Value(n, dtype_of(a).name, a.shape) for n, a in given.items()),
            outputs=(Value("y", "F32", ()),),
            nodes=(Node(operator, names, outputs, attributes),),
        ),
        given,
    )


@pytest.mark.parametrize("constant", [False, True], ids=["given", "constant"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_refused_is(attack, constant):
    program, given = program_of(ATTACKS[attack][0])
    if constant:
        program = Program(20, (), program.outputs, program.nodes, given)
        given = {}
    with pytest.raises(LaconicError) as caught:
        NativeExecutor(program, {}, threads=1).run(given)
    assert ATTACKS[attack][1] in str(caught.value)


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (node("Transpose", np.arange(6).reshape(2, 3), perm=(-1, 0)), [[0, 3], [1, 4], [2, 5]]),
        (node("Div", whole(SMALLEST, 7), whole(-1, 0)), [SMALLEST, 0]),
        (node("Mod", whole(SMALLEST, 7), whole(-1, 0)), [0, 0]),
        (node("BitShift", np.uint8([1, 1]), np.uint8([7, 200]), direction="LEFT"), [128, 0]),
        (node("EyeLike", floats(2, 2), k=LARGEST), [[0, 0], [0, 0]]),
        (node("Range", whole(SMALLEST)[0], whole(LARGEST)[0], whole(HUGE)[0]), None),
        (
            node("Slice", whole(1, 2, 3), whole(LARGEST), whole(SMALLEST), whole(0), whole(-2)),
            [3, 1],
        ),
        (node("OneHot", np.float32([np.nan, np.inf, 1, -1]), whole(2), whole(0, 1)), None),
        (node("Mean", *[np.uint8([3])] * 256), [0]),
        (node("Gemm", floats(2, 1), floats(1, 3), transB=0), [[1, 1, 1]] * 2),
    ],
)
def test_extremes_have_an_answer(attack, expected):
    program, given = program_of(
        (attack[0], tuple(map(np.asarray, attack[1])), attack[2], attack[3])
    )
    found = fuzz_programs.raw(NativeExecutor(program, {}, threads=1), given)[0]
    if attack[0] == "Range":
        expected = [SMALLEST + step * HUGE for step in range(4)]
    if attack[0] == "OneHot":
        expected = [[0, 0], [0, 0], [0, 1], [0, 1]]
    assert found.tolist() == expected


def test_a_tensor_that_one_operator_reads_as_weight_and_as_bias_stays():
    weight = np.float32([[1, 2, 3]])
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", ("n", 1)),),
        outputs=(Value("y", "F32", ("n", 3)),),
        nodes=(Node("Gemm", ("x", "w", "w"), ("y",)),),
    )
    (found,) = NativeExecutor(program, {"w": weight}).run({"x": floats(2, 1)})
    np.testing.assert_array_equal(found, [[2, 4, 6]] * 2)


def test_a_folded_weight_that_is_also_an_output_stays():
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", ("n", 3)),),
        outputs=(Value("y", "F32", ("n", 1)), Value("t", "F32", (3, 1))),
        nodes=(Node("Transpose", ("w",), ("t",)), Node("MatMul", ("x", "t"), ("y",))),
    )
    executor = NativeExecutor(program, {"w": np.float32([[1, 2, 3]])})
    for _ in range(2):
        product, turned = executor.run({"x": floats(2, 3)})
        np.testing.assert_array_equal(product, [[6], [6]])
        np.testing.assert_array_equal(turned, [[1], [2], [3]])


def test_features_that_the_program_leaves_open_are_those_of_the_weights():
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", ("t", "n", "f")),),
        outputs=(Value("y", "F32", ("t", 1, "n", 1)),),
        nodes=(Node("RNN", ("x", "w", "r"), ("y",), {"hidden_size": 1}),),
        constants={"w": floats(1, 1, 3), "r": np.zeros((1, 1, 1), np.float32)},
    )
    (found,) = NativeExecutor(program, {}).run({"x": floats(2, 1, 3)})
    np.testing.assert_allclose(found, np.full((2, 1, 1, 1), np.tanh(3)), rtol=1e-6)


def test_a_convolution_may_follow_a_shape_that_only_the_run_knows():
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", ("n",)), Value("s", "I64", (4,))),
        outputs=(Value("y", "F32", (1, 1, "h", "w")),),
        nodes=(Node("Reshape", ("x", "s"), ("r",)), Node("Conv", ("r", "k"), ("y",))),
    )
    executor = NativeExecutor(program, {"k": floats(1, 2, 3, 3)})
    (found,) = executor.run({"x": floats(50), "s": whole(1, 2, 5, 5)})
    np.testing.assert_array_equal(found, np.full((1, 1, 3, 3), 18))


@pytest.mark.parametrize("sizes", [(2, 4, 5, 5), (1, 4, 1, 1)])
def test_what_is_added_to_a_convolution_may_have_sizes_of_its_own(sizes):
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", ("n", 3, "h", "w")), Value("a", "F32", ("m", 4, "p", "q"))),
        outputs=(Value("y", "F32", ("n", 4, "h", "w")),),
        nodes=(Node("Conv", ("x", "k"), ("c",)), Node("Add", ("c", "a"), ("y",))),
    )
    executor = NativeExecutor(program, {"k": floats(4, 3, 1, 1)})
    (found,) = executor.run({"x": floats(2, 3, 5, 5), "a": floats(*sizes)})
    np.testing.assert_array_equal(found, np.full((2, 4, 5, 5), 4))


@pytest.mark.parametrize(
    "follower",
    [
        Node("Add", ("h",), ("y",)),
        Node("Relu", ("h",), ("y", "z")),
        Node("Mul", ("h", "s", "s"), ("y",)),
    ],
    ids=["an addition of one", "a Relu of two outputs", "a product of three"],
)
def test_what_is_no_operator_is_not_fused_but_refused(follower):
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", (1, 1, 3)),),
        outputs=(Value("y", "F32", (1, 1, 3)),),
        nodes=(Node("Conv", ("x", "w"), ("h",)), follower),
        constants={"s": floats(1)},
    )
    with pytest.raises(LaconicError, match=f"{follower.operator}"):
        NativeExecutor(program, {"w": floats(1, 1, 1)}).run({"x": floats(1, 1, 3)})


def test_random_programs_are_refused_or_right():
    folder = str(Path(fuzz_programs.__file__).parent)
    command = (
        f"import sys; sys.path.insert(0, {folder!r}); import fuzz_programs as f;"
        "print(f.search(60, 1, f.seeds(), most=300))"
    )
    found = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert found.stdout.splitlines()[-1:] == ["[]"], found.stdout + found.stderr
