"""Weights that other packages quantized: exact, on the grid that they have, as small as it is."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from laconic.coding import entropy_bits
from laconic.container import LacFile
from laconic.container.foreign import unpack_file
from laconic.container.tensor_files import safetensors_bytes
from laconic.pack import pack_file

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data"
TILES = {
    "onnxruntime-int8": None,
    "onnxruntime-int8-channels": "columns",
    "torchao-int8": "rows",
    "torchao-int8-bfloat16": "rows",
    "torchao-int8-float16": "rows",
    "torchao-int4-groups-of-32": 32,
    "torchao-int4-groups-of-64-bfloat16": 64,
    "torchao-int4-groups-of-128": 128,
    "nncf-int8-sym": "rows",
    "nncf-int8-asym": "rows",
    "nncf-int4-sym-groups-of-32": 32,
    "nncf-int4-asym-groups-of-64": 64,
}
"""Case → how many values along the last axis share a scale; columns are ONNX's output channels."""
PACKAGES = ("onnxruntime", "nncf", "openvino", "torchao", "onnx")


def tile_of(shape, tiles):
    rows, columns = shape
    if tiles is None:
        return [rows, columns]
    if tiles == "columns":
        return [rows, 1]
    return [1, columns if tiles == "rows" else min(tiles, columns)]


def check_packed(arrays, tiles, folder):
    """Exact bytes, the right grid, and a size near that of the integers."""
    dtype = str(arrays["dtype"])
    names = [name for name in arrays if f"{name}.codes" in arrays]
    source, target, again = (
        folder / f"x{end}" for end in (".safetensors", ".lac", "2.safetensors")
    )
    source.write_bytes(safetensors_bytes({name: (dtype, arrays[name]) for name in names}))
    size = pack_file(source, target)
    unpack_file(target, again)
    assert again.read_bytes() == source.read_bytes()
    bound = 0
    with LacFile(target) as file:
        for name in names:
            found, codes = file.stored(name), arrays[f"{name}.codes"]
            assert found.grid == "uniform"
            assert found.tables["tile"].tolist() == tile_of(found.shape, tiles)
            tables = 4 * found.tables["scale"].size
            expected = entropy_bits(codes) / 8 + tables
            assert file.entry(name).length < 1.03 * expected + 96
            bound += 1.03 * expected + 96
    assert size < bound + 250


@pytest.mark.parametrize("case", TILES)
def test_what_another_package_quantized_is_found(case, tmp_path):
    with np.load(DATA / f"{case}.npz") as file:
        check_packed(dict(file), TILES[case], tmp_path)


def test_the_integers_of_a_quantized_onnx_file_are_coded(tmp_path):
    source, target, again = (
        DATA / "onnxruntime-int8-channels.onnx",
        tmp_path / "x.lac",
        tmp_path / "x.onnx",
    )
    pack_file(source, target)
    unpack_file(target, again)
    assert again.read_bytes() == source.read_bytes()
    with LacFile(target) as file:
        integers = [
            entry for entry in file.entries.values() if entry.dtype == "I8" and entry.count > 99
        ]
        assert len(integers) == 2
        for entry in integers:
            bits = entropy_bits(file.bits(entry.name))
            assert entry.length < 1.03 * bits / 8 + 160


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of those packages
def test_what_the_packages_make_today_is_found(tmp_path, monkeypatch):
    absent = [name for name in PACKAGES if find_spec(name) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed: pip install 'laconic[quantizers]'")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import quantized_by_others

    cases = quantized_by_others.all_weights()
    assert set(cases) == set(TILES)
    for case, weights in cases.items():
        check_packed(quantized_by_others.as_arrays(weights), TILES[case], tmp_path)
    sys.modules.pop("quantized_by_others")
