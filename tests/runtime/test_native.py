"""The native engine: whole networks against ONNX Runtime, changing shapes, threads, refusals."""

from __future__ import annotations

import os
import signal
import threading
import warnings

import numpy as np
import pytest
import torch

from laconic import _native
from laconic.container import Node, Program, Value
from laconic.errors import MismatchError, UnsupportedError, UsageError
from laconic.pack.torch_program import capture
from laconic.runtime import NumpyExecutor
from laconic.runtime.native_executor import NativeExecutor, Source
from laconic.zoo import resolve_model

MOST_DEVIATION = 1e-4
"""Relative to the largest output, from ONNX Runtime."""
SETS = ["portable", "avx2", "avx512"]


def one(operator, inputs=("x", "w"), shape=("n", 4), **attributes):
    """A program of one operator."""
    return Program(
        opset=20,
        inputs=(Value("x", "F32", shape),),
        outputs=(Value("y", "F32", shape),),
        nodes=(Node(operator, inputs, ("y",), attributes),),
    )


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def network(name, treatment):
    """A network of the zoo with plausible statistics, as it is, pruned, or with shared weights."""
    torch.manual_seed(0)
    model = resolve_model(name).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
            elif isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                weight = module.weight
                if treatment == "pruned":
                    weight *= torch.rand_like(weight) > 0.9
                elif treatment == "shared":
                    weight.copy_((weight / weight.abs().max() * 7).round() / 7 * weight.std())
    size = (1, 3, 32, 32) if name.startswith("resnet") else (1, 1, 28, 28)
    program = capture(model, torch.zeros(size))
    tensors = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    return program, {name: tensors[name] for name in program.free_names()}, size[1:]


@pytest.mark.parametrize("treatment", ["dense", "pruned", "shared"])
@pytest.mark.parametrize(
    "name",
    [
        "lenet-300-100",
        "lenet5",
        "resnet20",
        "resnet56",
        *(pytest.param(f"resnet{n}", marks=pytest.mark.slow) for n in (32, 44, 110)),
    ],
)
def test_a_network_of_the_zoo_equals_onnxruntime(name, treatment, onnx_programs):
    program, tensors, size = network(name, treatment)
    executor = NativeExecutor(program, tensors, threads=1)
    inputs = {program.inputs[0].name: normal(3, *size)}
    (found,) = executor.run(inputs)
    (expected,) = onnx_programs.onnxruntime(program, tensors, inputs)
    assert np.abs(found - expected).max() <= MOST_DEVIATION * np.abs(expected).max()
    forms = {layer.form for layer in executor.layers() if layer.form}
    assert "sparse" in forms or treatment != "pruned"


@pytest.fixture
def narrowed():
    """Gives back the widest instructions after a test."""
    yield _native.use_instructions
    _native.use_instructions(len(SETS) - 1)


@pytest.mark.parametrize("treatment", ["dense", "pruned"])
@pytest.mark.parametrize("widest", range(len(SETS)), ids=SETS)
def test_every_set_of_instructions_gives_the_same_network(widest, treatment, narrowed):
    program, tensors, size = network("resnet20", treatment)
    inputs = {program.inputs[0].name: normal(2, *size)}
    (expected,) = NumpyExecutor(program, tensors).run(inputs)
    narrowed(widest)
    (found,) = NativeExecutor(program, tensors, threads=2).run(inputs)
    assert np.abs(found - expected).max() <= MOST_DEVIATION * np.abs(expected).max()


@pytest.mark.parametrize("treatment", ["dense", "pruned", "shared"])
@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_threads_do_not_change_the_bits(name, treatment):
    program, tensors, size = network(name, treatment)
    name = program.inputs[0].name
    images = normal(5, *size)
    executors = [NativeExecutor(program, tensors, threads=threads) for threads in (1, 2, 5)]
    for batch in (5, 1, 3):
        first, *others = (executor.run({name: images[:batch]})[0] for executor in executors)
        for other in others:
            np.testing.assert_array_equal(first, other)


def test_image_sizes_may_change_between_calls():
    program = one("Conv", shape=("n", 3, "h", "w"), pads=(1, 1, 1, 1), strides=(2, 2))
    weight = normal(8, 3, 3, 3)
    executor = NativeExecutor(program, {"w": weight})
    reference = NumpyExecutor(program, {"w": weight})
    for height, width in ((1, 1), (9, 30), (5, 2), (9, 30), *((n, n) for n in range(2, 15))):
        inputs = {"x": normal(2, 3, height, width)}
        found, expected = executor.run(inputs)[0], reference.run(inputs)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def chain(*nodes, shape, constants=None):
    """A program of one input x that gives what the last node makes."""
    inputs, outputs = (Value("x", "F32", shape),), (Value("y", "F32", ()),)
    return Program(20, inputs, outputs, nodes, constants or {})


ADDITIONS = {
    "of a rank that the run decides": (
        chain(
            Node("Squeeze", ("x",), ("s",)),
            Node("MatMul", ("s", "w"), ("h",)),
            Node("Add", ("h", "b"), ("y",)),
            shape=("n", 1, 16),
        ),
        {"w": normal(16, 8), "b": normal(1, 8)},
        [(3, 1, 16), (1, 1, 16)],
    ),
    "that broadcasts at one size alone": (
        chain(
            Node("Transpose", ("x",), ("t",), {"perm": (0, 1, 3, 2)}),
            Node("Conv", ("x", "w"), ("h",)),
            Node("Add", ("h", "t"), ("y",)),
            shape=("n", 3, "h", "w"),
        ),
        {"w": normal(3, 3, 1, 1)},
        [(2, 3, 4, 4), (2, 3, 1, 5)],
    ),
    "that is one pixel at some sizes": (
        chain(
            Node("GlobalAveragePool", ("x",), ("g",)),
            Node("Conv", ("x", "w"), ("h",), {"strides": (61, 61)}),
            Node("Add", ("h", "g"), ("y",)),
            shape=("n", 3, "h", "w"),
        ),
        {"w": normal(3, 3, 1, 1)},
        [(1, 3, 61, 61), (1, 3, 100, 130)],
    ),
}


@pytest.mark.parametrize("what", ADDITIONS)
def test_an_addition_behind_a_layer(what):
    program, tensors, shapes = ADDITIONS[what]
    executor, reference = NativeExecutor(program, tensors), NumpyExecutor(program, tensors)
    for shape in shapes:
        found, expected = (e.run({"x": normal(*shape)})[0] for e in (executor, reference))
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_outputs_share_no_memory_with_inputs_weights_or_later_outputs():
    program = one("Identity", ("x",))
    executor = NativeExecutor(program, {})
    image = normal(2, 4)
    first, second = executor.run({"x": image})[0], executor.run({"x": image})[0]
    assert not np.shares_memory(first, image)
    assert not np.shares_memory(first, second)


@pytest.mark.parametrize("network_name", ["lenet5", "resnet20"])
def test_eight_threads_of_one_session_get_their_own_answers(network_name):
    program, tensors, size = network(network_name, "pruned")
    name = program.inputs[0].name
    executor = NativeExecutor(program, tensors, threads=2)
    # Batches of four and more are cut into images.
    batches = [normal(1 + index % 6, *size, seed=index) for index in range(8)]
    expected = [executor.run({name: images})[0] for images in batches]
    wrong = []

    def work(index):
        for _ in range(50):
            (found,) = executor.run({name: batches[index]})
            if not np.array_equal(found, expected[index]):
                wrong.append(index)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_runs_and_forgets_a_session_that_was_made_before():
    program, tensors, size = network("lenet5", "dense")
    executor = NativeExecutor(program, tensors, threads=2)
    inputs = {program.inputs[0].name: normal(2, *size)}
    (expected,) = executor.run(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads in a process that forks: the point here
        child = os.fork()
    if child == 0:
        signal.alarm(30)  # rather than wait for ever
        (found,) = executor.run(inputs)
        same = np.array_equal(found, expected)
        del executor
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(executor.run(inputs)[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("network_name", ["lenet5", "resnet20"])
def test_ten_thousand_runs_from_eight_threads_do_not_grow(network_name):
    program, tensors, size = network(network_name, "pruned")
    name = program.inputs[0].name
    executor = NativeExecutor(program, tensors, threads=2)

    def pages():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1])

    def work():
        for turn in range(1250):
            # Batches of four and more are cut; ten sizes are more than are kept planned.
            executor.run({name: np.zeros((turn % 10 + 1, *size), np.float32)})

    def round_of_eight():
        workers = [threading.Thread(target=work) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def growth():
        before = pages()
        round_of_eight()
        return (pages() - before) * 4096

    round_of_eight()
    # What is lost in each run is lost in every round; what the allocator keeps, once.
    assert any(growth() < 2**21 for _ in range(3))


def test_half_precision_is_computed_in_single_and_rounded():
    program = Program(
        opset=20,
        inputs=(Value("x", "F16", ("n", 2)),),
        outputs=(Value("y", "F16", ("n", 2)),),
        nodes=(
            Node("Mul", ("x", "w"), ("h",)),
            Node("Cast", ("h",), ("c",), {"to": 10}),
            Node("Add", ("c", "h"), ("y",)),
        ),
    )
    executor = NativeExecutor(program, {"w": np.float16([3, 1])})
    (found,) = executor.run({"x": np.float16([[0.5, 1000]])})
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, np.float16([[3, 2000]]))


def test_numbers_too_large_for_half_precision_become_infinite():
    program = Program(
        opset=20,
        inputs=(Value("x", "F16", ("n",)),),
        outputs=(Value("y", "F16", ("n",)),),
        nodes=(Node("Mul", ("x", "x"), ("y",)),),
    )
    (found,) = NativeExecutor(program, {}).run({"x": np.float16([1000, 2])})
    assert found.tolist() == [np.inf, 4]


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_an_output_that_numpy_cannot_hold_is_refused_when_loading(dtype):
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", ("n",)),),
        outputs=(Value("y", dtype, ("n",)),),
        nodes=(Node("Cast", ("x",), ("y",), {"to": 16}),),
    )
    with pytest.raises(UnsupportedError, match=f"the output y is {dtype}, in which NumPy cannot"):
        NativeExecutor(program, {})


@pytest.mark.parametrize("dtype", ["I64", "F64"])
def test_an_output_of_another_dtype_than_the_program_says_is_told(dtype):
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", ("n",)),),
        outputs=(Value("y", dtype, ("n",)),),
        nodes=(Node("Neg", ("x",), ("y",)),),
    )
    name = {"I64": "int64", "F64": "float64"}[dtype]
    with pytest.raises(MismatchError, match=rf"output y is {name}; it comes out as float32\[2\]"):
        NativeExecutor(program, {}).run({"x": np.float32([0.5, 1.5])})


def test_a_condition_takes_one_branch_that_reads_outer_values():
    def branch(operator):
        outputs = (Value("r", "F32", (2,)),)
        return Program(20, (), outputs, (Node(operator, ("h", "w"), ("r",)),))

    program = Program(
        opset=20,
        inputs=(Value("x", "F32", (2,)), Value("wish", "BOOL", ())),
        outputs=(Value("y", "F32", (2,)),),
        nodes=(
            Node("Neg", ("x",), ("h",)),
            Node(
                "If",
                ("wish",),
                ("y",),
                {"then_branch": branch("Add"), "else_branch": branch("Mul")},
            ),
        ),
    )
    executor = NativeExecutor(program, {"w": np.float32([2, 3])})
    x = np.float32([1, 1])
    assert executor.run({"x": x, "wish": np.array(True)})[0].tolist() == [1, 2]
    assert executor.run({"x": x, "wish": np.array(False)})[0].tolist() == [-2, -3]


def test_a_shape_that_only_the_run_knows_is_followed():
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", ("n",)),),
        outputs=(Value("y", "F32", ("k",)),),
        nodes=(
            Node("NonZero", ("x",), ("places",)),
            Node("Squeeze", ("places", "zero"), ("flat",)),
            Node("Gather", ("x", "flat"), ("kept",)),
            Node("Add", ("kept", "kept"), ("y",)),
        ),
        constants={"zero": np.array([0])},
    )
    executor = NativeExecutor(program, {})
    for values in ([0, 3, 0, 4], [0, 0], [1, 2, 3], []):
        (found,) = executor.run({"x": np.float32(values)})
        assert found.tolist() == [2 * value for value in values if value]


def test_a_source_is_asked_once_and_forgotten():
    asked = []

    def fetch():
        asked.append(1)
        return normal(4, 4)

    weight = Source(np.dtype(np.float32), (4, 4), fetch)
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", ("n", 4)),),
        outputs=(Value("y", "F32", ("n", 4)),),
        nodes=(Node("MatMul", ("x", "w"), ("y",)),),
    )
    executor = NativeExecutor(program, {"w": weight})
    assert asked == [1]
    (found,) = executor.run({"x": np.eye(4, dtype=np.float32)})
    np.testing.assert_allclose(found, normal(4, 4), rtol=1e-6)


@pytest.mark.parametrize("threads", [0, -1, 65])
def test_a_number_of_threads_that_makes_no_sense_is_refused(threads):
    with pytest.raises(UsageError, match=rf"threads is {threads}; it may be 1 to 64"):
        NativeExecutor(one("Relu", ("x",)), {}, threads=threads)


def test_missing_operators_are_all_named():
    nodes = (Node("Fancy", ("x",), ("h",)), Node("Plain", ("h",), ("y",)))
    program = Program(20, (Value("x", "F32", (2,)),), (Value("y", "F32", (2,)),), nodes)
    with pytest.raises(UnsupportedError, match=r"the engine has no Fancy, Plain; it has \d+ other"):
        NativeExecutor(program, {})


def test_an_attribute_of_an_older_opset_is_refused():
    with pytest.raises(UnsupportedError, match="Relu with the attribute slope"):
        NativeExecutor(one("Relu", ("x",), slope=2), {})


def test_a_tensor_that_is_not_given_is_named():
    with pytest.raises(MismatchError, match="the program reads w, which are not given"):
        NativeExecutor(one("Mul"), {})


@pytest.mark.parametrize("call", ["run", "times"])
def test_shapes_that_do_not_fit_inside_are_told_with_the_operator(call):
    executor = NativeExecutor(one("MatMul"), {"w": normal(4, 4)})
    with pytest.raises(MismatchError, match=r"operator 1 of 1, MatMul, cannot take .*\[2, 3\]"):
        getattr(executor, call)({"x": normal(2, 3)})


@pytest.mark.parametrize("call", ["run", "times"])
def test_an_input_that_is_not_given_is_named(call):
    executor = NativeExecutor(one("Relu", ("x",)), {})
    with pytest.raises(MismatchError, match="the program reads x, which are not given"):
        getattr(executor, call)({})


@pytest.mark.parametrize("dtype", [">f4", ">f2", "<f2"])
def test_numbers_with_their_high_bytes_first_or_in_half_precision_are_read(dtype):
    executor = NativeExecutor(one("Mul"), {"w": np.array([1, 2, 3, 4], dtype)})
    (found,) = executor.run({"x": np.ones((1, 4), dtype)})
    assert found.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("dtype", ["complex64", "U1", "O"])
def test_an_input_in_which_the_engine_cannot_compute_is_named(dtype):
    executor = NativeExecutor(one("Relu", ("x",)), {})
    with pytest.raises(UnsupportedError, match=r"the input x is .*, in which the engine cannot"):
        executor.run({"x": np.zeros((1, 4), dtype)})


def test_weights_that_do_not_fit_the_operator_are_told_when_loading():
    with pytest.raises(MismatchError, match=r"Conv.*3 groups, a weight of \[4, 1, 3, 3\]"):
        NativeExecutor(one("Conv", shape=("n", 3, 8, 8), group=3), {"w": normal(4, 1, 3, 3)})


def test_the_layers_and_their_seconds_are_told():
    program, tensors, size = network("lenet5", "pruned")
    executor = NativeExecutor(program, tensors, threads=1)
    times = executor.times({program.inputs[0].name: normal(1, *size)})
    assert [layer for layer, _ in times] == executor.layers()
    assert all(seconds > 0 for _, seconds in times)
    assert executor.weight_bytes < sum(array.nbytes for array in tensors.values()) / 2
