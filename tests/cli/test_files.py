"""Commands on one file: inspect, verify, run, pack, unpack, export."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from laconic import runtime
from laconic.coding import PRESETS
from laconic.container import LacFile


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as members:
        return dict(members)


def test_inspect_shows_every_tensor(laconic, compressed):
    ended = laconic("inspect", compressed / "x.lac")
    assert ended.code == 0
    lines = ended.out.splitlines()
    size = (compressed / "x.lac").stat().st_size
    assert lines[0] == f"{compressed / 'x.lac'}: {size:,} bytes"
    row = next(line for line in lines if line.startswith("0.weight")).split()
    assert row[:3] == ["0.weight", "F32", "32×16"]
    assert row[4:6] == ["50.0", "%"]
    assert row[8] == "Prune(0.5):"
    assert lines[-1].startswith("sections: program ")
    names = [line.split()[0] for line in lines[3:-1]]
    assert sorted(names) == ["0.bias", "0.weight", "2.bias", "2.weight"]


def test_inspect_as_json_has_the_same_and_more(laconic, compressed):
    data = laconic("inspect", compressed / "x.lac", "--json").json
    assert data["size_bytes"] == (compressed / "x.lac").stat().st_size
    assert sorted(data["sections"]) == ["about", "probe", "program"]
    weight = next(tensor for tensor in data["tensors"] if tensor["name"] == "0.weight")
    assert (weight["shape"], weight["nonzeros"]) == ([32, 16], 256)
    assert weight["steps"] == ["Prune(sparsity=0.5)"]


def test_verify_runs_the_probe(laconic, compressed):
    ended = laconic("verify", compressed / "x.lac")
    assert (
        ended.out == f"✓ {compressed / 'x.lac'}: 4 tensors decoded, checksums right, probe exact\n"
    )
    assert laconic("verify", compressed / "x.lac", "--json").json == {
        "file": str(compressed / "x.lac"), "tensors": 4, "probe_deviation": 0.0,
    }  # fmt: skip


def test_verify_says_when_there_is_no_probe(laconic, files):
    ended = laconic("verify", files / "weights.lac")
    assert ended.out.endswith("4 tensors decoded, checksums right, no probe\n")
    assert laconic("verify", files / "weights.lac", "--json").json["probe_deviation"] is None


@pytest.mark.parametrize("batch", [1, 2, 256])
def test_run_computes_what_the_runtime_computes(laconic, files, tmp_path, batch):
    ended = laconic("run", files / "tiny.lac", files / "rows.npy", tmp_path / "o.npy",
                    "--batch", batch)  # fmt: skip
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'o.npy'}: output [5, 3]\n")
    expected = runtime.load(files / "tiny.lac").run(np.load(files / "rows.npy"))[0]
    np.testing.assert_allclose(np.load(tmp_path / "o.npy"), expected, rtol=1e-6)


def onnx_file(folder, operator="Relu", domain=""):
    """A model of one operator, which any domain may have."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "ab"]
    node = helper.make_node(operator, ["a"], ["b"], domain=domain)
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    opsets = [helper.make_opsetid(name, 20) for name in {"", domain}]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "x.onnx")
    return folder / "x.onnx"


def test_an_onnx_file_is_packed_with_what_it_computes(laconic, tmp_path):
    source, target = onnx_file(tmp_path), tmp_path / "x.lac"
    assert laconic("pack", source, target, "--runtime-check").code == 0
    assert runtime.load(target)(a=np.float32([-1, 2]))["b"].tolist() == [0, 2]
    assert laconic("pack", source, target, "--weights-only").code == 0
    assert laconic("run", target, source, tmp_path / "o.npy").code == 1


def test_pack_says_what_keeps_a_network_out_of_the_file(laconic, tmp_path):
    source, target = onnx_file(tmp_path, "Gelu", "com.microsoft"), tmp_path / "x.lac"
    ended = laconic("pack", source, target)
    assert (ended.code, target.exists()) == (1, False)
    assert "com.microsoft::Gelu" in ended.err
    assert "--weights-only packs the weights without what the model computes" in ended.err
    assert laconic("pack", source, target, "--weights-only").code == 0


def test_pack_names_the_operators_that_the_runtime_lacks(laconic, tmp_path):
    source, target = onnx_file(tmp_path, "Multinomial"), tmp_path / "x.lac"
    ended = laconic("pack", source, target, "--runtime-check")
    assert (ended.code, target.exists()) == (1, False)
    assert "Multinomial" in ended.err
    assert laconic("pack", source, target).code == 0


def test_run_asks_the_engine_of_that_name(laconic, files, tmp_path):
    ended = laconic("run", files / "tiny.lac", files / "rows.npy", tmp_path / "o.npy",
                    "--engine", "onnxruntime", "--threads", "1")  # fmt: skip
    assert ended.code == 0
    expected = runtime.load(files / "tiny.lac", engine="numpy").run(np.load(files / "rows.npy"))[0]
    np.testing.assert_allclose(np.load(tmp_path / "o.npy"), expected, rtol=1e-5)


def test_run_refuses_an_engine_that_there_is_not(laconic, files, tmp_path):
    ended = laconic("run", files / "tiny.lac", files / "rows.npy", tmp_path / "o.npy",
                    "--engine", "abacus")  # fmt: skip
    assert (ended.code, ended.out) == (2, "")
    assert "no engine is named 'abacus'; there are: " in ended.err


def test_run_takes_inputs_and_gives_outputs_by_name(laconic, files, tmp_path):
    left, right = np.float32([[1, 2], [3, 4], [5, 6]]), np.float32([[1, 1], [2, 2], [3, 3]])
    np.savez(tmp_path / "i.npz", right=right, left=left)
    ended = laconic("run", files / "several.lac", tmp_path / "i.npz", tmp_path / "o.npz",
                    "--batch", "2", "--json")  # fmt: skip
    names = runtime.load(files / "several.lac").output_names
    assert ended.json == {
        "file": str(files / "several.lac"),
        "output": str(tmp_path / "o.npz"),
        "shapes": {name: [3, 2] for name in names},
    }
    found = arrays_of(tmp_path / "o.npz")
    assert np.array_equal(found[names[0]], left + right)
    assert np.array_equal(found[names[1]], left - right)


def test_run_on_no_examples_gives_no_results(laconic, files, tmp_path):
    np.save(tmp_path / "i.npy", np.ones((0, 16), np.float32))
    assert laconic("run", files / "tiny.lac", tmp_path / "i.npy", tmp_path / "o.npy").code == 0
    assert np.load(tmp_path / "o.npy").shape == (0, 3)


def test_run_gives_a_network_of_fixed_size_everything_at_once(laconic, files, tmp_path):
    np.save(tmp_path / "i.npy", np.ones((3, 4), np.float32))
    ended = laconic("run", files / "fixed.lac", tmp_path / "i.npy", tmp_path / "o.npy",
                    "--batch", "1")  # fmt: skip
    assert ended.code == 0
    assert np.load(tmp_path / "o.npy").shape == (3, 2)


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "i.npz", **arrays)
    return folder / "i.npz"


ROWS = np.ones((2, 16), np.float32)
PAIR = np.ones((2, 2), np.float32)
WRONG_INPUTS = {
    "float64": (
        "tiny.lac", {"input": ROWS.astype(np.float64)}, 1,
        "found float64[2, 16]: convert it with .astype(np.float32)",
    ),
    "another width": ("tiny.lac", {"input": ROWS[:, :5]}, 1, "dimension 1 is 5, not 16"),
    "a dimension too few": ("tiny.lac", {"input": ROWS[0]}, 1, "1 dimensions instead of 2"),
    "a scalar": ("tiny.lac", {"input": np.float32(1)}, 1, "0 dimensions instead of 2"),
    "another name": (
        "tiny.lac", {"image": ROWS}, 2,
        "input is missing; image is no input; the network takes input float32[batch, 16]",
    ),
    "one of two inputs": ("several.lac", {"left": PAIR}, 2, "right is missing; the network takes"),
    "different numbers of examples": (
        "several.lac", {"left": PAIR, "right": PAIR[:1]}, 1, "batch is 1 here and 2 in left",
    ),
    "a fixed size": ("fixed.lac", {"input": np.ones((2, 4), np.float32)}, 1, "is 2, not 3"),
    "weights alone": ("weights.lac", {"input": ROWS}, 1, "4 tensors and no program"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arrays", "code", "message"), WRONG_INPUTS.values(), ids=WRONG_INPUTS.keys()
)
def test_run_says_which_inputs_it_wants(laconic, files, tmp_path, name, arrays, code, message):
    ended = laconic("run", files / name, saved(tmp_path, **arrays), tmp_path / "o.npz")
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert not (tmp_path / "o.npz").exists()


def test_run_needs_an_npz_for_several_inputs_and_for_several_outputs(laconic, files, tmp_path):
    np.save(tmp_path / "i.npy", PAIR)
    ended = laconic("run", files / "several.lac", tmp_path / "i.npy", tmp_path / "o.npz")
    assert ended.code == 2
    assert "the network takes left, right: pass them as an .npz by name" in ended.err
    inputs = saved(tmp_path, left=PAIR, right=PAIR)
    ended = laconic("run", files / "several.lac", inputs, tmp_path / "o.npy")
    assert ended.code == 2
    assert "need an .npz, not" in ended.err


@pytest.mark.parametrize("name", ["y.txt", "y", "y.npy.gz"])
def test_run_writes_no_arrays_into_a_file_of_another_suffix(laconic, files, tmp_path, name):
    # The input is not read either: it is no array.
    ended = laconic("run", files / "tiny.lac", files / "tiny.lac", tmp_path / name)
    assert (ended.code, ended.out) == (2, "")
    assert f"{name}: give a file to write that ends in .npy or .npz" in ended.err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["e.foo", "e", "e.lac"])
def test_export_writes_no_onnx_into_a_file_of_another_suffix(laconic, files, tmp_path, name):
    ended = laconic("export", files / "weights.lac", "--onnx", tmp_path / name)
    assert (ended.code, ended.out) == (2, "")
    assert f"{name}: give a file to write that ends in .onnx" in ended.err
    assert not (tmp_path / name).exists()


def damaged_npz(path: Path) -> None:
    np.savez_compressed(path, input=np.arange(1000.0))
    data = bytearray(path.read_bytes())
    data[200:210] = bytes(10)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("suffix", "make", "message"),
    [
        pytest.param(".npy", lambda p: p.write_bytes(b""), "No data left in file", id="nothing"),
        pytest.param(
            ".npy", lambda p: p.write_bytes(b"hello"), "the bytes are no array", id="text"
        ),
        pytest.param(
            ".npy", lambda p: p.write_bytes(b"\x93NUMPY\x01\x00\x76\x00{"), "is no .npy", id="half"
        ),
        pytest.param(
            ".npy",
            lambda p: np.save(p, np.array([{}], object), allow_pickle=True),
            "the bytes are no array",
            id="Python objects",
        ),
        pytest.param(
            ".npz",
            lambda p: np.savez(p, input=np.array([{}], object)),
            "the bytes are no array",
            id="Python objects in an npz",
        ),
        pytest.param(
            ".npz", lambda p: p.write_bytes(b"PK\x03\x04oh"), "not a zip", id="half a zip"
        ),
        pytest.param(".npz", damaged_npz, "is no .npy or .npz file", id="a damaged zip"),
    ],
)
def test_run_refuses_inputs_that_are_no_arrays(laconic, files, tmp_path, suffix, make, message):
    path = tmp_path / f"i{suffix}"
    make(path)
    ended = laconic("run", files / "tiny.lac", path, tmp_path / "o.npy")
    assert (ended.code, ended.out) == (1, "")
    assert f"{path} is no .npy or .npz file of numbers: " in ended.err
    assert message in ended.err
    assert "allow_pickle" not in ended.err
    assert not (tmp_path / "o.npy").exists()


def flipped(data: bytes) -> bytes:
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


DAMAGES = {
    "cut short": lambda data: data[:-1],
    "with a flipped bit": flipped,
    "empty": lambda data: b"",
    "a zip": lambda data: b"PK\x03\x04" + data,
    "a pickle": lambda data: b"\x80\x04\x95" + data,
    "of a later version": lambda data: data[:7] + b"\x03" + data[8:],
    "of version 1, which nobody released": lambda data: data[:7] + b"\x01" + data[8:],
    "with something behind it": lambda data: data + b"\x00",
}
COMMANDS = {
    "inspect": [],
    "verify": [],
    "run": ["rows.npy", "o.npy"],
    "unpack": ["o.safetensors"],
    "export": ["--onnx", "o.onnx"],
    "measure": ["--task", "TINY:task"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_refused_with_the_offset(laconic, files, tiny, tmp_path, command, damage):
    path = tmp_path / "x.lac"
    path.write_bytes(damage((files / "tiny.lac").read_bytes()))
    (tmp_path / "rows.npy").write_bytes((files / "rows.npy").read_bytes())
    before = sorted(tmp_path.iterdir())
    ended = laconic(command, path, *words_for(command, tiny, tmp_path))
    assert (ended.code, ended.out) == (1, "")
    assert "failed: offset " in ended.err
    assert sorted(tmp_path.iterdir()) == before


def words_for(command, tiny, folder):
    """The command's arguments behind the file, with files in `folder`."""
    words = [word.replace("TINY", str(tiny)) for word in COMMANDS[command]]
    return [str(folder / word) if "." in word and ":" not in word else word for word in words]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_unpacks_to_more_than_is_allowed_is_refused(
    laconic, files, tiny, tmp_path, command
):
    (tmp_path / "rows.npy").write_bytes((files / "rows.npy").read_bytes())
    words = [files / "tiny.lac", *words_for(command, tiny, tmp_path)]
    with LacFile(files / "tiny.lac") as file:
        size = sum(entry.size_bytes for entry in file.entries.values())
    refused = laconic(command, *words, "--max-bytes", size - 1)
    assert (refused.code, refused.out) == (1, "")
    assert f"{size - 1:,} are allowed (max_bytes, --max-bytes)" in refused.err
    assert laconic(command, *words, "--max-bytes", size).code == 0


def test_a_preset_is_asked_for_by_its_name(laconic, tmp_path):
    wave = np.rint(20 * np.sin(np.arange(40_000) / 300)).astype(np.float32)
    np.savez(tmp_path / "x.npz", wave=wave)
    sizes = {}
    for preset in PRESETS:
        words = [tmp_path / "x.npz", tmp_path / f"{preset}.lac", "--coding", preset, "--json"]
        sizes[preset] = laconic("pack", *words).json["after"]
        assert laconic("verify", tmp_path / f"{preset}.lac").code == 0
    assert sizes["smallest"] < sizes["fastest"]
    wrong = laconic("pack", tmp_path / "x.npz", tmp_path / "y.lac", "--coding", "tiny")
    assert wrong.code == 2
    assert "no coding is called 'tiny'; there are: smallest, balanced, fastest" in wrong.err
    assert not (tmp_path / "y.lac").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_a_packed_file_comes_back_byte_for_byte(laconic, tmp_path, suffix):
    source = tmp_path / f"x{suffix}"
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(1000, np.int8)}
    if suffix == ".npz":
        np.savez(source, **arrays)
    else:
        from safetensors.numpy import save_file

        save_file(arrays, source)
    packed = laconic("pack", source, tmp_path / "x.lac", "--json").json
    assert packed == {
        "source": str(source),
        "target": str(tmp_path / "x.lac"),
        "before": source.stat().st_size,
        "after": (tmp_path / "x.lac").stat().st_size,
    }
    ended = laconic("unpack", tmp_path / "x.lac", tmp_path / f"y{suffix}")
    assert ended.code == 0
    size = (tmp_path / f"y{suffix}").stat().st_size
    ratio = f"({packed['after'] / size:.2f}×)"
    assert ended.out.startswith(f"{tmp_path / 'x.lac'}: {packed['after']:,} bytes → ")
    assert ended.out.endswith(f"y{suffix}: {size:,} bytes {ratio}\n")
    again = laconic("unpack", tmp_path / "x.lac", tmp_path / f"y{suffix}", "--json").json
    assert (again["before"], again["after"]) == (packed["after"], size)
    if suffix == ".npz":
        found = arrays_of(tmp_path / "y.npz")
        assert {name: array.tobytes() for name, array in found.items()} == {
            name: array.tobytes() for name, array in arrays.items()
        }
    else:
        assert (tmp_path / f"y{suffix}").read_bytes() == source.read_bytes()


def test_pack_refuses_another_kind_of_file(laconic, tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    ended = laconic("pack", tmp_path / "x.txt", tmp_path / "x.lac")
    assert (ended.code, ended.out) == (2, "")
    assert ".safetensors" in ended.err
    assert not (tmp_path / "x.lac").exists()


def test_pack_refuses_a_damaged_file_with_the_offset(laconic, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 20)
    ended = laconic("pack", tmp_path / "x.safetensors", tmp_path / "x.lac")
    assert (ended.code, ended.out) == (1, "")
    assert "failed: offset " in ended.err
    assert not (tmp_path / "x.lac").exists()


def test_unpack_refuses_another_suffix(laconic, tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(3))
    assert laconic("pack", tmp_path / "x.npz", tmp_path / "x.lac").code == 0
    ended = laconic("unpack", tmp_path / "x.lac", tmp_path / "x.onnx")
    assert (ended.code, ended.out) == (2, "")
    assert ".npz" in ended.err
    assert not (tmp_path / "x.onnx").exists()


def test_export_needs_a_program(laconic, files, tmp_path):
    ended = laconic("export", files / "weights.lac", "--onnx", tmp_path / "x.onnx")
    assert (ended.code, ended.out) == (1, "")
    assert "no program" in ended.err
    assert not (tmp_path / "x.onnx").exists()


def test_export_writes_onnx_that_computes_the_same(laconic, files, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    ended = laconic("export", files / "tiny.lac", "--onnx", tmp_path / "x.onnx", "--json")
    assert ended.json["after"] == (tmp_path / "x.onnx").stat().st_size
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx", providers=["CPUExecutionProvider"])
    rows = np.load(files / "rows.npy")
    expected = runtime.load(files / "tiny.lac").run(rows)[0]
    np.testing.assert_allclose(session.run(None, {"input": rows})[0], expected, rtol=1e-5)


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {
            "torch", "onnx", "onnxscript", "onnx_ir", "onnxruntime", "safetensors", "sklearn",
            "scipy", "lightning_fabric", "threadpoolctl", "jinja2", "pooch", "ml_dtypes",
        }:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from laconic.cli import commands
for words in WORDS:
    sys.argv = ["laconic", *words]
    try:
        commands.main()
    except SystemExit as ended:
        assert not ended.code, (words, ended.code)
    print("done", words[0])
"""


def test_a_file_is_inspected_verified_run_and_unpacked_with_numpy_typer_and_rich_alone(
    files, tmp_path
):
    lac = str(files / "tiny.lac")
    words = [
        ["inspect", lac],
        ["verify", lac],
        ["run", lac, str(files / "rows.npy"), str(tmp_path / "o.npy")],
        ["unpack", lac, str(tmp_path / "o.safetensors")],
        ["unpack", lac, str(tmp_path / "o.npz")],
    ]
    code = WITHOUT.replace("WORDS", json.dumps(words))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ended = [line for line in done.stdout.splitlines() if line.startswith("done ")]
    assert ended == [f"done {one[0]}" for one in words]
    assert sorted(arrays_of(tmp_path / "o.npz")) == ["0.bias", "0.weight", "2.bias", "2.weight"]


def test_a_command_that_needs_torch_says_so_where_there_is_none(files):
    words = [["measure", str(files / "tiny.lac"), "--task", "digits"]]
    code = WITHOUT.replace("WORDS", json.dumps(words))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'failed: this command needs torch: pip install "laconic[all]"' in done.stderr
    assert "AssertionError: (['measure'" in done.stderr
