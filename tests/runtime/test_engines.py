"""Engines by name: which one computes, and what is said where it cannot."""

import subprocess
import sys

import numpy as np
import pytest

from laconic import runtime
from laconic.container import Node, Program, Value, pack_bytes, plain
from laconic.container import program as program_section
from laconic.errors import MismatchError, UnsupportedError, UsageError
from laconic.pack.onnxruntime_executor import OnnxRuntimeExecutor
from laconic.runtime import ENGINES, NumpyExecutor

IMAGE = (Value("image", "F32", ("batch", 1, 28, 28)),)


def file_of(program, tensors):
    """The bytes of a `.lac` file."""
    stored = [plain(name, array.view(np.uint32), "F32") for name, array in tensors.items()]
    return pack_bytes(stored, {"program": program_section.encode(program, list(tensors))})


@pytest.fixture(scope="module")
def lenet_file(lenet5):
    return file_of(*lenet5)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_computes_what_numpy_computes(engine, lenet5, lenet_file, images):
    expected = NumpyExecutor(*lenet5).run({"image": images})[0]
    session = runtime.load(lenet_file, engine=engine)
    found = session(image=images)["logits"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert session(image=images[:2])["logits"].shape == (2, 10)


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "numpy"])
def test_an_engine_takes_its_number_of_threads(engine, lenet_file, images):
    one, two = (runtime.load(lenet_file, engine=engine, threads=count) for count in (1, 2))
    np.testing.assert_allclose(one.run(images)[0], two.run(images)[0], rtol=1e-4, atol=1e-5)


def test_numpy_has_no_threads_of_its_own(lenet_file):
    with pytest.raises(UsageError, match=r"numpy has no threads of its own.*OMP_NUM_THREADS"):
        runtime.load(lenet_file, engine="numpy", threads=2)


def test_an_unknown_engine_is_refused_with_those_that_there_are(lenet_file):
    with pytest.raises(UsageError) as refused:
        runtime.load(lenet_file, engine="tensorflow")
    assert str(refused.value) == (
        f"no engine is named 'tensorflow'; there are: {', '.join(ENGINES)}"
    )


@pytest.mark.parametrize("library", ["onnxruntime", "onnx"])
def test_an_engine_that_is_not_installed_says_how_to_get_it(library, lenet_file, tmp_path):
    (tmp_path / "x.lac").write_bytes(lenet_file)
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from laconic import runtime\n"
        "from laconic.errors import UsageError\n"
        "try:\n    runtime.load('x.lac', engine='onnxruntime')\n"
        "except UsageError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        f'the engine onnxruntime needs {library}: pip install "laconic[onnx,bench]"\n'
    )


def test_onnxruntime_needs_every_tensor(lenet5):
    program, tensors = lenet5
    with pytest.raises(MismatchError, match=r"the program reads fc2\.bias, which are not given"):
        OnnxRuntimeExecutor(program, {k: v for k, v in tensors.items() if k != "fc2.bias"})


def test_onnxruntime_takes_at_most_2_gib(lenet5, monkeypatch):
    monkeypatch.setattr("laconic.pack.onnxruntime_executor.MAX_MODEL_BYTES", 1000)
    with pytest.raises(UnsupportedError, match=r"1,724,320 bytes inflated.*2 GiB at most"):
        OnnxRuntimeExecutor(*lenet5)


def test_onnxruntime_refuses_an_operator_that_it_does_not_know():
    program = Program(20, IMAGE, (Value("y", "F32", ()),), (Node("Wish", ("image",), ("y",)),))
    with pytest.raises(UnsupportedError, match=r"ONNX Runtime cannot run the program: .*Wish"):
        OnnxRuntimeExecutor(program, {})


def test_onnxruntime_refuses_shapes_that_do_not_fit(lenet5):
    with pytest.raises(MismatchError, match="ONNX Runtime cannot compute these inputs"):
        OnnxRuntimeExecutor(*lenet5).run({"image": np.zeros((1, 1, 3, 3), np.float32)})


def test_macs_are_counted_by_numpy_alone(lenet_file):
    counted = runtime.count_macs(runtime.load(lenet_file, engine="numpy"))
    assert counted == (2_293_000, 2_293_000)
    with pytest.raises(UsageError, match=r'load\(path, engine="numpy"\)'):
        runtime.count_macs(runtime.load(lenet_file, engine="onnxruntime"))
