"""An `.onnx` file from any exporter, packed with what it computes, runs and comes back."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from laconic import runtime
from laconic.container import LacFile
from laconic.container.foreign import unpack_file
from laconic.errors import UnsupportedError, UsageError
from laconic.pack import pack_file

WEIGHT = np.random.default_rng(3).standard_normal((8, 6)).astype(np.float32)
ROWS = np.random.default_rng(4).standard_normal((5, 6)).astype(np.float32)


def model_of(text, opset=20, **initializers):
    """A model from ONNX's own textual form, with float initializers."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    for name, array in initializers.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def packed(folder, model, **options):
    """The packed file, whose source came back byte for byte."""
    source, target = folder / "x.onnx", folder / "x.lac"
    source.write_bytes(model.SerializeToString())
    size = pack_file(source, target, program=True, **options)
    assert size == target.stat().st_size
    unpack_file(target, folder / "again.onnx")
    assert (folder / "again.onnx").read_bytes() == source.read_bytes()
    return target


def compare(folder, model, *arrays, engine="numpy"):
    """The session, whose outputs are those of ONNX Runtime on the source."""
    session = runtime.load(packed(folder, model), engine=engine)
    reference = onnxruntime.InferenceSession(folder / "x.onnx", providers=["CPUExecutionProvider"])
    assert session.input_names == [value.name for value in reference.get_inputs()]
    assert session.output_names == [value.name for value in reference.get_outputs()]
    inputs = dict(zip(session.input_names, arrays, strict=True))
    for found, expected in zip(session.run(*arrays), reference.run(None, inputs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    return session


LINEAR = "g (float[n, 6] rows) => (float[n, 8] scores) { scores = Gemm<transB = 1>(rows, weight) }"


@pytest.mark.parametrize("opset", [11, 13, 20])
def test_inputs_and_outputs_keep_their_names(opset, tmp_path):
    session = compare(tmp_path, model_of(LINEAR, opset, weight=WEIGHT), ROWS)
    assert (session.input_names, session.output_names) == (["rows"], ["scores"])
    assert session.program.free_names() == ["weight"]
    assert session.program.constants == {}
    assert session.program.opset == (20 if opset < 13 else opset)


def test_a_weight_in_a_node_is_a_tensor_of_the_file(tmp_path):
    model = model_of("g (float[n, 6] rows) => (float[n, 8] scores) "
                     "{ weight = Constant() scores = Gemm<transB = 1>(rows, weight) }")  # fmt: skip
    value = helper.make_attribute("value", numpy_helper.from_array(WEIGHT))
    model.graph.node[0].attribute.append(value)
    session = compare(tmp_path, model, ROWS)
    assert session.program.free_names() == ["weight"]
    assert [node.operator for node in session.program.nodes] == ["Gemm"]


def test_a_model_of_the_oldest_kind_lists_its_weights_as_inputs(tmp_path):
    model = model_of(LINEAR, 13, weight=WEIGHT)
    model.graph.input.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, [8, 6]))
    session = runtime.load(packed(tmp_path, model))
    assert session.input_names == ["rows"]


def test_sizes_without_a_name_need_not_be_equal(tmp_path):
    model = model_of("g (float[?, ?] a) => (float[?, ?] b) { b = Relu(a) }")
    session = compare(tmp_path, model, ROWS)
    assert session.inputs[0].shape == ("?", "?")


def test_what_one_branch_holds_alone_goes_along(tmp_path):
    text = """g (bool choice, float[n, 6] rows) => (float[n, m] scores) {
        scores = If (choice) <
            then_branch = yes () => (float[n, 8] a) { a = Gemm<transB = 1>(rows, weight) },
            else_branch = no () => (float[n, 1] b) <float[6, 1] column = {1, 2, 3, 4, 5, 6}>
                { b = MatMul(rows, column) }
        > }"""
    choice = np.bool_(True).reshape(())
    packed_file = packed(tmp_path, model_of(text, weight=WEIGHT))
    session = runtime.load(packed_file, engine="onnxruntime")
    yes = session(choice=choice, rows=ROWS)["scores"]
    no = session(choice=~choice, rows=ROWS)["scores"]
    np.testing.assert_allclose(yes, ROWS @ WEIGHT.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(no, ROWS @ np.float32([[1], [2], [3], [4], [5], [6]]), rtol=1e-5)


def test_a_slice_to_the_start_may_be_written_in_two_ways(tmp_path):
    text = """g (float[n, 6] rows) => (float[n, 6] turned)
        <int64[1] start = {-1}, int64[1] axis = {1}, int64[1] step = {-1}>
        { end = Constant() turned = Slice(rows, start, end, axis, step) }"""
    model = model_of(text)
    value = helper.make_attribute("value", numpy_helper.from_array(np.int64([-(2**63) + 1])))
    model.graph.node[0].attribute.append(value)
    session = compare(tmp_path, model, ROWS)
    assert np.iinfo(np.int64).min in [array.item() for array in session.program.constants.values()]


def test_an_output_that_is_an_input_goes_along(tmp_path):
    text = "g (float[n, 6] rows) => (float[n, 6] same) { same = Identity(rows) }"
    compare(tmp_path, model_of(text), ROWS)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param(
            model_of("g (float[n] a) => (float[n] b) { b = com.microsoft.Gelu(a) }"),
            "com.microsoft::Gelu; only ONNX's standard operators fit",
            id="another domain",
        ),
        pytest.param(
            model_of("g (float[] a) => (float[] b) { b = Relu(a) }"),
            "how many dimensions its input a has",
            id="no rank",
        ),
    ],
)
def test_a_model_that_no_file_holds_is_refused_and_nothing_written(model, message, tmp_path):
    if "dimensions" in message:
        model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(UnsupportedError, match=message):
        packed(tmp_path, model)
    assert not (tmp_path / "x.lac").exists()


def test_an_operator_that_the_runtime_lacks_is_named_by_the_check(tmp_path):
    model = model_of("g (float[n] a) => (float[n] b) { c = Relu(a) b = Multinomial(c) }")
    packed(tmp_path, model)
    (tmp_path / "x.lac").unlink()
    with pytest.raises(UnsupportedError, match="Multinomial"):
        packed(tmp_path, model, runtime_check=True)
    assert not (tmp_path / "x.lac").exists()


def test_the_check_is_silent_where_the_runtime_has_all(tmp_path):
    packed(tmp_path, model_of(LINEAR, weight=WEIGHT), runtime_check=True)
    with LacFile(tmp_path / "x.lac") as file:
        assert set(file.sections) == {"program", "foreign"}


def test_only_an_onnx_file_has_a_program_to_check(tmp_path):
    np.savez(tmp_path / "x.npz", weight=WEIGHT)
    with pytest.raises(UsageError, match=r"only an \.onnx file says what a network computes"):
        pack_file(tmp_path / "x.npz", tmp_path / "x.lac", program=True)
    with pytest.raises(UsageError, match="without its program there is nothing to check"):
        pack_file(tmp_path / "x.npz", tmp_path / "x.lac", runtime_check=True)


def test_an_old_model_that_onnx_cannot_convert_says_so(tmp_path, monkeypatch):
    def refuse(model, opset):
        raise RuntimeError("no adapter")

    monkeypatch.setattr(onnx.version_converter, "convert_version", refuse)
    with pytest.raises(UnsupportedError, match="opset 11, and ONNX cannot convert it to 20: no ad"):
        packed(tmp_path, model_of(LINEAR, 11, weight=WEIGHT))
