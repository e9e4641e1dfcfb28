"""Loading a file, what a session takes and gives, and what it refuses."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from laconic import container
from laconic.container import LacFile, Node, Probe, Program, Value
from laconic.container import probe as probe_section
from laconic.container import program as program_section
from laconic.errors import FormatError, MismatchError, UnsupportedError, UsageError
from laconic.runtime import NumpyExecutor, Session, load


def packed(program, tensors, probe=None):
    """A `.lac` file as bytes; float32 arrays as codebooks."""
    sections = {}
    if program is not None:
        sections["program"] = program_section.encode(program, list(tensors))
    if probe is not None:
        sections["probe"] = probe_section.encode(probe)
    stored = [
        container.codebook(name, container.to_bits(array), container.dtype_of(array).name)
        for name, array in tensors.items()
    ]
    return container.pack_bytes(stored, sections)


def one_node(operator="Identity", inputs=("x",), dtype="F32", **attributes):
    return Program(
        opset=20,
        inputs=(Value("x", dtype, (2,)),),
        outputs=(Value("y", dtype, (2,)),),
        nodes=(Node(operator, inputs, ("y",), attributes),),
    )


def session_of(program, tensors=None):
    return Session(program, NumpyExecutor(program, tensors or {}))


def message(error_type, call):
    with pytest.raises(error_type) as caught:
        call()
    return str(caught.value)


@pytest.fixture(scope="module")
def two_inputs():
    """Adds two matrices whose first size may vary but must agree."""
    return session_of(
        Program(
            opset=20,
            inputs=(Value("a", "F32", ("batch", 3)), Value("b", "F32", ("batch", 3))),
            outputs=(Value("sum", "F32", ("batch", 3)),),
            nodes=(Node("Add", ("a", "b"), ("sum",)),),
        )
    )


MATRIX = np.ones((2, 3), np.float32)


@pytest.mark.parametrize("network", ["lenet5", "lenet300"])
def test_a_packed_lenet_gives_what_onnxruntime_gives(network, request, images, onnx_programs):
    program, tensors = request.getfixturevalue(network)
    session = load(packed(program, tensors))
    (expected,) = onnx_programs.onnxruntime(program, tensors, {"image": images})
    found = session(image=images)
    (name,) = session.output_names
    assert list(found) == [name]
    assert found[name].dtype == np.float32
    np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(session.run(images)[0], found[name])


def test_a_path_and_its_bytes_load_alike(lenet5, images, tmp_path):
    data = packed(*lenet5)
    path = tmp_path / "net.lac"
    path.write_bytes(data)
    for source in (path, str(path)):
        np.testing.assert_array_equal(load(source).run(images)[0], load(data).run(images)[0])


def test_a_session_tells_its_inputs_outputs_and_program(lenet5):
    session = load(packed(*lenet5))
    assert session.inputs == (Value("image", "F32", ("batch", 1, 28, 28)),)
    assert session.input_names == ["image"]
    assert session.outputs == (Value("logits", "F32", ("batch", 10)),)
    assert [node.operator for node in session.program.nodes][:2] == ["Conv", "MaxPool"]


def test_tied_tensors_are_one_array():
    weight = np.arange(600, dtype=np.float32)
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", (600,)),),
        outputs=(Value("y", "F32", (600,)),),
        nodes=(
            Node("Mul", ("x", "encoder"), ("h",)),
            Node("Mul", ("h", "decoder"), ("y",)),
        ),
    )
    session = load(packed(program, {"encoder": weight, "decoder": weight}), engine="numpy")
    assert session.executor.tensors["encoder"] is session.executor.tensors["decoder"]
    np.testing.assert_array_equal(session(x=weight)["y"], weight * weight * weight)


def test_tensors_are_decoded_once_and_only_those_that_the_program_reads(monkeypatch):
    decoded = []
    original = LacFile.array
    monkeypatch.setattr(
        LacFile, "array", lambda self, name: decoded.append(name) or original(self, name)
    )
    two = np.float32([2, 3])
    session = load(packed(one_node("Mul", ("x", "read")), {"read": two, "unread": two + 1}))
    session(x=two)
    session(x=two)
    assert decoded == ["read"]


def test_the_probe_is_checked_and_a_wrong_one_is_refused(lenet5):
    program, tensors = lenet5
    size = (2, 1, 28, 28)
    image = probe_section.make_input(program.inputs[0], size, 0)
    outputs = session_of(program, tensors).run(image)
    right = Probe((size,), tuple(probe_section.sample(array) for array in outputs))
    assert load(packed(program, tensors, right), engine="numpy").check_probe() == 0
    assert load(packed(program, tensors, right), engine="native").check_probe() < 1e-5
    wrong = Probe((size,), tuple(values + np.float32(0.01) for values in right.outputs))
    text = message(MismatchError, load(packed(program, tensors, wrong)).check_probe)
    assert text.startswith("probe: output 0 deviates by ")
    many = Probe((size, size), right.outputs)
    text = message(MismatchError, load(packed(program, tensors, many)).check_probe)
    assert text == "the probe has 2 inputs, the program 1"


def test_without_a_probe_the_check_says_none(lenet5):
    assert load(packed(*lenet5)).check_probe() is None


def test_a_file_of_weights_alone_says_how_to_use_it(tmp_path):
    path = tmp_path / "weights.lac"
    path.write_bytes(packed(None, {"w": np.float32([1, 2])}))
    text = message(MismatchError, lambda: load(path))
    assert text.startswith(f"{path}: 1 tensors and no program, so there is nothing to run")
    assert "laconic.load(path, into=model)" in text


def test_max_bytes_limits_what_a_file_may_unpack_to(lenet5):
    text = message(FormatError, lambda: load(packed(*lenet5), max_bytes=1_000_000))
    assert "the tensors unpack to 1,724,320 bytes; 1,000,000 are allowed" in text


@pytest.mark.parametrize(
    ("arrays", "error", "text"),
    [
        (
            {"a": MATRIX},
            UsageError,
            "b is missing; the network takes a float32[batch, 3], b float32[batch, 3]",
        ),
        (
            {"a": MATRIX, "b": MATRIX, "c": MATRIX},
            UsageError,
            "c is no input; the network takes a float32[batch, 3], b float32[batch, 3]",
        ),
        (
            {"a": MATRIX.astype(np.float64), "b": MATRIX},
            MismatchError,
            "the network takes a float32[batch, 3]; found float64[2, 3]: "
            "convert it with .astype(np.float32)",
        ),
        (
            {"a": MATRIX[0], "b": MATRIX},
            MismatchError,
            "the network takes a float32[batch, 3]; found float32[3]: 1 dimensions instead of 2",
        ),
        (
            {"a": MATRIX.T.copy(), "b": MATRIX},
            MismatchError,
            "the network takes a float32[batch, 3]; found float32[3, 2]: dimension 1 is 2, not 3",
        ),
        (
            {"a": MATRIX, "b": np.ones((4, 3), np.float32)},
            MismatchError,
            "the network takes b float32[batch, 3]; found float32[4, 3]: "
            "batch is 4 here and 2 in a",
        ),
    ],
    ids=["missing", "unknown", "dtype", "rank", "fixed size", "sizes that must agree"],
)
def test_wrong_inputs_are_refused_with_what_was_expected(two_inputs, arrays, error, text):
    assert message(error, lambda: two_inputs(**arrays)) == text


def test_the_wrong_number_of_positional_inputs_is_refused(two_inputs):
    assert message(UsageError, lambda: two_inputs.run(MATRIX)) == (
        "the network takes 2 inputs (a float32[batch, 3], b float32[batch, 3]), not 1"
    )


def test_an_input_may_be_called_self():
    program = Program(
        20,
        (Value("self", "F32", (1,)),),
        (Value("y", "F32", (1,)),),
        (Node("Neg", ("self",), ("y",)),),
    )
    assert session_of(program)(self=np.float32([3]))["y"].tolist() == [-3]


def test_missing_operators_are_all_named_when_loading():
    nodes = (Node("TopK", ("x",), ("h",)), Node("Fancy", ("h",), ("y",)))
    program = Program(20, (Value("x", "F32", (2,)),), (Value("y", "F32", (2,)),), nodes)
    text = message(UnsupportedError, lambda: load(packed(program, {}), engine="numpy"))
    assert text.startswith("the runtime has no Fancy, TopK; it has ")
    assert "laconic export X.lac --onnx X.onnx" in text


def test_an_attribute_of_an_older_opset_is_refused_when_loading():
    program = one_node("ReduceMean", axes=(0,))
    text = message(UnsupportedError, lambda: session_of(program))
    assert "ReduceMean" in text
    assert "'axes'" in text


def test_an_opset_before_13_is_refused():
    program = Program(12, (), (), ())
    text = message(UnsupportedError, lambda: session_of(program))
    assert text.startswith("the program has opset 12; the runtime knows 13 and later")


def test_a_tensor_that_is_not_given_is_named():
    text = message(MismatchError, lambda: session_of(one_node("Mul", ("x", "w"))))
    assert text == "the program reads w, which are not given"


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_a_tensor_that_numpy_cannot_compute_with_is_refused(dtype):
    bits = np.zeros(2, container.DTYPES[dtype].bits)
    program = one_node("Mul", ("x", "w"))
    data = container.pack_bytes(
        [container.plain("w", bits, dtype)],
        {"program": program_section.encode(program, ["w"])},
    )
    text = message(UnsupportedError, lambda: load(data, engine="numpy"))
    assert text.startswith(f"the tensor w is {dtype}, in which NumPy cannot compute")


def test_an_input_that_numpy_cannot_compute_with_is_refused():
    text = message(UnsupportedError, lambda: session_of(one_node(dtype="BF16")))
    assert text.startswith("the input x is BF16")


def test_shapes_that_clash_inside_the_program_name_the_operator():
    session = session_of(one_node("Mul", ("x", "w")), {"w": np.ones(3, np.float32)})
    text = message(MismatchError, lambda: session(x=np.float32([1, 2])))
    assert text.startswith("operator 1 of 1, Mul, cannot take (float32[2], float32[3]): ")


def test_an_operator_that_makes_too_few_outputs_is_named():
    nodes = (Node("Relu", ("x",), ("y", "z")),)
    program = Program(20, (Value("x", "F32", (2,)),), (Value("y", "F32", (2,)),), nodes)
    text = message(MismatchError, lambda: session_of(program)(x=np.float32([1, 2])))
    assert text == "operator 1 of 1, Relu, makes 1 outputs; the program wants 2"


def test_writing_into_an_output_changes_neither_input_nor_weight():
    program = Program(
        opset=20,
        inputs=(Value("x", "F32", (2,)),),
        outputs=(Value("same", "F32", (2,)), Value("weight", "F32", (1, 2))),
        nodes=(
            Node("Identity", ("x",), ("same",)),
            Node("Unsqueeze", ("w", "axes"), ("weight",)),
        ),
        constants={"axes": np.array([0])},
    )
    weight, given = np.float32([3, 4]), np.float32([1, 2])
    session = session_of(program, {"w": weight})
    for array in session.run(given):
        array[...] = 9
    assert weight.tolist() == [3, 4]
    assert given.tolist() == [1, 2]
    assert session(x=given)["weight"].tolist() == [[3, 4]]


def test_threads_that_share_a_session_do_not_disturb_each_other(lenet5, images):
    session = load(packed(*lenet5))
    expected = [session.run(images * np.float32(i))[0] for i in range(4)]
    found = [[] for _ in range(4)]

    def work(index):
        for _ in range(5):
            found[index].append(session.run(images * np.float32(index))[0])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for right, arrays in zip(expected, found, strict=True):
        assert len(arrays) == 5
        for array in arrays:
            np.testing.assert_array_equal(array, right)
