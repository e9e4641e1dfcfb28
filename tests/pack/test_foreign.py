"""Files that others wrote: `unpack(pack(x)) == x`, for every dtype and any order of tensors."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from laconic.container import DTYPES, LacFile
from laconic.container.foreign import unpack_file
from laconic.container.tensor_files import MEMBER_DATE
from laconic.errors import DataError, FormatError, MismatchError, UnsupportedError, UsageError
from laconic.pack import load, pack, pack_file


def round_trip(folder, name, data):
    """The bytes after packing and unpacking, and the packed file."""
    folder = Path(folder)
    source, packed, target = folder / name, folder / "x.lac", folder / f"again-{name}"
    source.write_bytes(data)
    size = pack_file(source, packed)
    assert size == packed.stat().st_size
    unpack_file(packed, target)
    return target.read_bytes(), packed


def safetensors_file(tensors, metadata=None, padding=b""):
    """Header and data by hand: name → (dtype, shape, bytes)."""
    header, position = ({"__metadata__": metadata} if metadata else {}), 0
    for name, (dtype, shape, data) in tensors.items():
        end = position + len(data)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode() + padding
    body = b"".join(data for _, _, data in tensors.values())
    return len(text).to_bytes(8, "little") + text + body


@st.composite
def tensors(draw):
    """A few tensors of any dtype and shape, with few or many distinct values."""
    found = {}
    for name in draw(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=4)):
        dtype = draw(st.sampled_from(sorted(DTYPES)))
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        count = int(np.prod(shape)) * DTYPES[dtype].size_bytes
        found[name] = (dtype, shape, draw(st.binary(min_size=count, max_size=count)))
    return found


@given(tensors(), st.dictionaries(st.text(max_size=4), st.text(max_size=4)), st.integers(0, 9))
def test_any_safetensors_file_comes_back_byte_for_byte(tmp_path_factory, found, metadata, padding):
    data = safetensors_file(found, metadata, b" " * padding)
    again, packed = round_trip(tmp_path_factory.mktemp("st"), "x.safetensors", data)
    assert again == data
    with LacFile(packed) as file:
        assert sorted(file.entries) == sorted(found)


def test_what_the_library_writes_comes_back_and_its_tensors_have_their_names(tmp_path):
    torch.manual_seed(0)
    state = {
        "weight": torch.randn(30, 20),
        "half": torch.randn(7).half(),
        "brain": torch.randn(7).bfloat16(),
        "eight": torch.randn(8).to(torch.float8_e4m3fn),
        "count": torch.tensor(3),
        "flags": torch.tensor([True, False]),
        "nothing": torch.zeros(0, 4),
    }
    data = safetensors.torch.save(state, metadata={"format": "pt"})
    again, packed = round_trip(tmp_path, "x.safetensors", data)
    assert again == data
    with LacFile(packed) as file:
        assert {name: file.entry(name).shape for name in state} == {
            name: tuple(tensor.shape) for name, tensor in state.items()
        }
        np.testing.assert_array_equal(file.array("weight"), state["weight"].numpy())


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3", "F6_E3M2", "SOMETHING_NEW"])
def test_a_dtype_that_lac_files_do_not_know_is_kept_as_bytes(tmp_path, dtype):
    data = safetensors_file({"small": (dtype, [4, 6], bytes(range(12)))})
    again, packed = round_trip(tmp_path, "x.safetensors", data)
    assert again == data
    with LacFile(packed) as file:
        assert file.array("small").tolist() == list(range(12))


@pytest.mark.parametrize("name", ["n" * 9_000, "\ud800", "", "%1", "a\0b"])
def test_a_name_that_a_lac_file_cannot_write_comes_back(tmp_path, name):
    data = safetensors_file({name: ("U8", [2], b"xy"), name + "z": ("U8", [2], b"zw")})
    assert round_trip(tmp_path, "x.safetensors", data)[0] == data


def test_bytes_that_no_tensor_claims_come_back_too(tmp_path):
    data = safetensors_file({"a": ("U8", [2], b"xy")}) + b"left over"
    assert round_trip(tmp_path, "x.safetensors", data)[0] == data


def test_structure_in_the_values_makes_the_file_small(tmp_path):
    rng = np.random.default_rng(0)
    sparse = np.where(rng.random(20_000) < 0.9, 0, rng.standard_normal(20_000)).astype("f4")
    shared = rng.choice(rng.standard_normal(16).astype("f4"), 20_000)
    grid = rng.integers(-7, 8, (100, 200)).astype("f4") * np.float32(0.013)
    scales = rng.random((100, 1)).astype("f4")
    channels = rng.integers(-7, 8, (100, 200)).astype("f4") * scales
    found = {"sparse": sparse, "shared": shared, "grid": grid, "channels": channels}
    data = safetensors.numpy.save(found)
    again, packed = round_trip(tmp_path, "x.safetensors", data)
    assert again == data
    with LacFile(packed) as file:
        grids = {name: file.stored(name).grid for name in found}
        bits = {name: 8 * entry.length / 20_000 for name, entry in file.entries.items()}
    assert grids["grid"] == grids["channels"] == "uniform"
    assert bits["sparse"] < 4.2
    assert bits["shared"] < 4.2
    assert bits["grid"] < 4.1
    assert bits["channels"] < 4.3


def headed(text, body=b"wxyz"):
    """A file of this header."""
    return len(text).to_bytes(8, "little") + text + body


HEADERS = {
    "too short for a header length": (b"\x01\x00", "too few"),
    "a header longer than the file": (b"\xff\0\0\0\0\0\0\0{}", "a header of 255 bytes"),
    "a header of an impossible length": (b"\xff" * 8 + b"{}", "at most"),
    "a header that is no JSON": (b"\x02\0\0\0\0\0\0\0{]", "no JSON"),
    "a header that is no object": (b"\x02\0\0\0\0\0\0\0[]", "no JSON object"),
    "a header nested beyond measure": (
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        "no JSON",
    ),
    "one name twice": (
        headed(
            b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
            b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
        ),
        "twice",
    ),
    "a tensor without a shape": (
        headed(b'{"a":{"dtype":"U8","data_offsets":[0,0]}}'),
        "not described",
    ),
    "a negative size": (
        headed(b'{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}'),
        "not described",
    ),
    "offsets outside the file": (safetensors_file({"a": ("U8", [9], b"x" * 9)})[:-1], "ends at"),
    "bytes that do not fit the shape": (safetensors_file({"a": ("F32", [2], b"x" * 9)}), "9 bytes"),
    "tensors that overlap": (
        headed(
            b'{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},'
            b'"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}'
        ),
        "overlaps",
    ),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_safetensors_file_is_refused_for(kind, tmp_path):
    data, message = HEADERS[kind]
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(FormatError, match=message):
        pack_file(tmp_path / "x.safetensors", tmp_path / "x.lac")
    assert not (tmp_path / "x.lac").exists()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


ARRAYS = {
    "weight": np.linspace(-1, 1, 60, dtype="f4").reshape(3, 4, 5),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big_endian": np.arange(5, dtype=">i4"),
    "big_fortran": np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)),
    "complex": np.array([1 + 2j], "c8"),
    "big_complex": np.array([1 + 2j], ">c8"),
    "double_complex": np.array([1 + 2j]),
    "flags": np.array([True, False]),
    "scalar": np.array(3.5),
    "nothing": np.zeros((0, 3)),
    "text": np.array(["cat", "Käfer"]),
    "bytes": np.array([b"ab"]),
    "date": np.array(["2020-01-01"], "M8[D]"),
    "record": np.array([(1, 2.0)], [("x", "i4"), ("ÿ", "f8")]),
    "long_double": np.array([1, 2], np.longdouble),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_of_an_npz_file_comes_back(name, tmp_path):
    data = npz(**{name: ARRAYS[name]})
    again, _ = round_trip(tmp_path, "x.npz", data)
    first, second = zipfile.ZipFile(io.BytesIO(data)), zipfile.ZipFile(io.BytesIO(again))
    assert first.namelist() == second.namelist()
    assert first.read(f"{name}.npy") == second.read(f"{name}.npy")
    found = np.load(io.BytesIO(again))[name]
    assert found.dtype == ARRAYS[name].dtype
    assert found.flags.f_contiguous == ARRAYS[name].flags.f_contiguous


def test_arrays_that_a_file_can_code_have_their_logical_shape(tmp_path):
    _, packed = round_trip(tmp_path, "x.npz", npz(**ARRAYS))
    with LacFile(packed) as file:
        np.testing.assert_array_equal(file.array("fortran"), ARRAYS["fortran"])
        np.testing.assert_array_equal(file.array("big_fortran"), ARRAYS["big_fortran"])
        assert "text" not in file.entries


def test_the_same_arrays_give_the_same_npz_whatever_the_zip_looked_like(tmp_path):
    stored = io.BytesIO()
    np.savez(stored, a=ARRAYS["weight"])
    first, _ = round_trip(tmp_path, "x.npz", stored.getvalue())
    assert first == round_trip(tmp_path, "x.npz", npz(a=ARRAYS["weight"]))[0]


def test_a_member_that_is_no_array_comes_back(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("read.me", "hello")
    again, _ = round_trip(tmp_path, "x.npz", buffer.getvalue())
    assert zipfile.ZipFile(io.BytesIO(again)).read("read.me") == b"hello"


def npy(header, body=b""):
    """A `.npy` file of this header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


def npz_of(member):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.npy", MEMBER_DATE), member)
    return buffer.getvalue()


def onnx_of(shape, data):
    tensor = TensorProto(name="a", data_type=TensorProto.FLOAT, dims=shape, raw_data=data)
    graph = helper.make_graph([], "g", [], [], [tensor])
    return helper.make_model(graph).SerializeToString()


MAKERS = {
    "x.safetensors": lambda shape, data: safetensors_file({"a": ("F32", shape, data)}),
    "x.onnx": onnx_of,
    "x.npz": lambda shape, data: npz_of(
        npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)}}}", data)
    ),
}
FAR_SHAPES = {
    "a size of 0 beside one of 2^62": ([0, 2**62], b""),
    "forty dimensions": ([1] * 39 + [2], b"\0\0\x80\x3f" * 2),
    "seventy dimensions": ([1] * 69 + [2], b"\0\0\x80\x3f" * 2),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("kind", FAR_SHAPES)
def test_a_shape_that_no_lac_file_can_hold_comes_back(name, kind, tmp_path):
    shape, body = FAR_SHAPES[kind]
    data = MAKERS[name](shape, body)
    assert round_trip(tmp_path, name, data)[0] == data
    with LacFile(tmp_path / "x.lac") as file:
        assert (file.entry("a").dtype, file.entry("a").shape) == ("U8", (len(body),))


@pytest.mark.parametrize("header", ["(3,(", "{'descr': ", "{'descr': '<f4'", "1 +", "  3\n 4"])
def test_an_array_whose_header_is_no_literal_is_refused(header, tmp_path):
    (tmp_path / "x.npz").write_bytes(npz_of(npy(header)))
    with pytest.raises(FormatError, match=r"no readable \.npz"):
        pack_file(tmp_path / "x.npz", tmp_path / "x.lac")
    assert not (tmp_path / "x.lac").exists()


def test_python_objects_are_refused(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([{}], dtype=object))
    (tmp_path / "x.npz").write_bytes(buffer.getvalue())
    with pytest.raises(UnsupportedError, match=r"a.npy holds Python objects, which only pickle"):
        pack_file(tmp_path / "x.npz", tmp_path / "x.lac")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no zip at all", "no readable .npz"),
        (npz(a=np.arange(99))[:-30], "no readable .npz"),
        (npz(**{"../a": np.arange(9)}), "the member '../a.npy' leads out of a folder"),
        (npz(**{"a" * 5_000: np.arange(9)}), "leads out of a folder, or is too long"),
    ],
    ids=["no zip", "a truncated zip", "a member outside the folder", "a long name"],
)
def test_an_npz_file_is_refused_for(data, message, tmp_path):
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(FormatError, match=message):
        pack_file(tmp_path / "x.npz", tmp_path / "x.lac")


def onnx_model():
    """Raw and typed initializers, a constant in a branch, int4, a sparse tensor, metadata."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.standard_normal((8, 6)).astype("f4"), "weight")
    typed = helper.make_tensor("typed", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    double = helper.make_tensor("double", TensorProto.DOUBLE, [2], [1.0, 2.0])
    counts = helper.make_tensor("counts", TensorProto.INT64, [3], [1, 2, 3])
    small = helper.make_tensor("small", TensorProto.INT4, [5], [1, -2, 3, -4, 5])
    inner = numpy_helper.from_array(np.arange(50, dtype="f4"), "")
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["inner"], value=inner)],
        "then",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [50])],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["y"]),
        helper.make_node("If", ["flag"], ["z"], then_branch=branch, else_branch=branch),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 6])],
        [weight, typed, double, counts, small],
    )
    model = helper.make_model(graph, producer_name="someone")
    helper.set_model_props(model, {"author": "someone"})
    return model


def test_an_onnx_file_comes_back_byte_for_byte(tmp_path):
    data = onnx_model().SerializeToString()
    again, packed = round_trip(tmp_path, "x.onnx", data)
    assert again == data
    with LacFile(packed) as file:
        assert {"weight", "typed", "double"} <= set(file.entries)
        assert file.array("typed").tolist() == [1.0, 2.0, 3.0]
        # The constant stands in both branches, under one name: the second gets another.
        assert file.same_as("inner#2") == "inner"


def test_what_torch_exports_comes_back_byte_for_byte(tmp_path, normed, image):
    pack(normed, tmp_path / "model.lac", example_input=image)
    from laconic.pack import export_onnx

    export_onnx(tmp_path / "model.lac", tmp_path / "model.onnx")
    data = (tmp_path / "model.onnx").read_bytes()
    again, packed = round_trip(tmp_path, "x.onnx", data)
    assert again == data
    with LacFile(packed) as file:
        assert file.entry("conv1.weight").shape == (4, 2, 3, 3)


@pytest.mark.parametrize(
    "path",
    sorted(Path(onnx.__file__).parent.glob("backend/test/data/**/*.onnx"))[::12],
    ids=lambda path: path.parent.name,
)
def test_a_model_of_the_onnx_project_comes_back_byte_for_byte(path, tmp_path):
    data = path.read_bytes()
    assert round_trip(tmp_path, "x.onnx", data)[0] == data


def test_fields_that_no_parser_knows_come_back(tmp_path):
    unknown = bytes([0xFA, 0x7F, 5]) + b"hello"
    data = onnx_model().SerializeToString() + unknown
    assert round_trip(tmp_path, "x.onnx", data)[0] == data


def test_external_data_are_refused_with_the_cure(tmp_path):
    model = onnx_model()
    onnx.save(
        model, tmp_path / "x.onnx", save_as_external_data=True, size_threshold=0, location="x.data"
    )
    with pytest.raises(UnsupportedError, match=r"weight: its values lie in another.*onnx.save"):
        pack_file(tmp_path / "x.onnx", tmp_path / "x.lac")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it has no graph"),
        (b"hello, this is a text", "no ONNX model|promised"),
        (onnx_model().SerializeToString()[:-9], "promised"),
        (b"\xff" * 40, "longer than ten bytes"),
    ],
    ids=["an empty file", "a text", "a truncated file", "an endless number"],
)
def test_an_onnx_file_is_refused_for(data, message, tmp_path):
    (tmp_path / "x.onnx").write_bytes(data)
    with pytest.raises(FormatError, match=message):
        pack_file(tmp_path / "x.onnx", tmp_path / "x.lac")


def message(tag, data):
    """One protobuf field that holds bytes."""
    length, prefix = len(data), b""
    while length >= 0x80:
        prefix += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([tag]) + prefix + bytes([length]) + data


def test_a_message_nested_beyond_measure_is_refused(tmp_path):
    graph = b""
    for _ in range(40):  # attribute.g, node.attribute, graph.node
        graph = message(0x0A, message(0x2A, message(0x32, graph)))
    (tmp_path / "x.onnx").write_bytes(message(0x3A, graph))
    with pytest.raises(FormatError, match="nested deeper than 100"):
        pack_file(tmp_path / "x.onnx", tmp_path / "x.lac")


def test_a_suffix_that_nobody_packs_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match=r"packs .safetensors, .npz, .onnx files"):
        pack_file(tmp_path / "x.bin", tmp_path / "x.lac")
    with pytest.raises(UsageError, match=r"ends in .lac"):
        pack_file(tmp_path / "x.npz", tmp_path / "y.npz")


def test_a_missing_source_is_told(tmp_path):
    with pytest.raises(DataError, match=r"x.npz cannot be read: No such file"):
        pack_file(tmp_path / "x.npz", tmp_path / "x.lac")


def test_unpacking_to_another_suffix_is_wrong_use(tmp_path):
    round_trip(tmp_path, "x.npz", npz(a=np.arange(3)))
    with pytest.raises(UsageError, match=r"was packed from a .npz file.*not 'y.onnx'"):
        unpack_file(tmp_path / "x.lac", tmp_path / "y.onnx")
    assert not (tmp_path / "y.onnx").exists()


@pytest.fixture
def model_file(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    pack(network, tmp_path / "model.lac", program=False)
    return network, tmp_path / "model.lac"


def test_a_models_file_unpacks_to_safetensors_by_name(model_file, tmp_path):
    network, path = model_file
    unpack_file(path, tmp_path / "x.safetensors")
    found = safetensors.torch.load_file(tmp_path / "x.safetensors")
    assert all(torch.equal(found[name], t) for name, t in network.state_dict().items())
    assert len(found) == len(network.state_dict())


def test_a_models_file_unpacks_to_npz_by_name(model_file, tmp_path):
    network, path = model_file
    unpack_file(path, tmp_path / "x.npz")
    found = np.load(tmp_path / "x.npz")
    for name, tensor in network.state_dict().items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_a_models_file_does_not_unpack_to_onnx(model_file, tmp_path):
    with pytest.raises(UsageError, match="laconic export"):
        unpack_file(model_file[1], tmp_path / "x.onnx")


def test_bfloat16_does_not_become_npz(tmp_path):
    pack(nn.Linear(2, 2).bfloat16(), tmp_path / "x.lac", program=False)
    with pytest.raises(UnsupportedError, match=r"NumPy has no BF16; unpack to a .safetensors"):
        unpack_file(tmp_path / "x.lac", tmp_path / "x.npz")
    unpack_file(tmp_path / "x.lac", tmp_path / "x.safetensors")
    assert safetensors.torch.load_file(tmp_path / "x.safetensors")["bias"].dtype == torch.bfloat16


def test_a_packed_safetensors_file_loads_into_a_module(tmp_path):
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    round_trip(tmp_path, "x.safetensors", safetensors.torch.save(dict(first.state_dict())))
    load(tmp_path / "x.lac", into=second)
    assert torch.equal(first.weight, second.weight)


def test_packing_and_unpacking_files_needs_numpy_alone(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'onnx', 'safetensors')))\n"
        "from laconic.pack import pack_file\n"
        "from laconic.container.foreign import unpack_file\n"
        "source, packed, target = sys.argv[1:]\n"
        "pack_file(source, packed); unpack_file(packed, target)\n"
    )
    files = [tmp_path / name for name in ("x.npz", "x.lac", "y.npz")]
    subprocess.run([sys.executable, "-c", code, *files], check=True)
    assert np.load(files[2])["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_what_stood_at_the_target_stays_when_packing_fails(suffix, tmp_path):
    (tmp_path / f"x.{suffix}").write_bytes(b"junk")
    (tmp_path / "x.lac").write_bytes(b"precious")
    with pytest.raises(FormatError):
        pack_file(tmp_path / f"x.{suffix}", tmp_path / "x.lac")
    assert (tmp_path / "x.lac").read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_coder_that_loses_something_is_caught_before_a_foreign_file_is_written(
    tmp_path, monkeypatch
):
    from laconic import coding

    source = tmp_path / "x.safetensors"
    safetensors.numpy.save_file({"w": np.arange(6, dtype=np.float32)}, source)
    real = coding.chosen
    monkeypatch.setattr(
        coding, "chosen", lambda codes, preset: real(codes ^ codes.dtype.type(1), preset)
    )
    with pytest.raises(MismatchError, match="does not give back its source; nothing was written"):
        pack_file(source, tmp_path / "x.lac")
    assert list(tmp_path.iterdir()) == [source]
