"""laconic study coding: its networks, its measurements, and its rows against the goals."""

import json
import os
import sys

import numpy as np
import pytest

from laconic import studies
from laconic.coding import PRESETS, smallest
from laconic.errors import CodingError, DataError, MismatchError, UsageError
from laconic.measure.processor import one_cpu
from laconic.recipe import Watcher
from laconic.studies import coding, coding_inputs, coding_measure
from laconic.studies.coding_inputs import Network, own_networks, pruned, uniform_codes
from laconic.studies.coding_measure import (
    FileBytes,
    NetworkBytes,
    kept,
    measure_file,
    measure_network,
)
from laconic.studies.coding_sides import DEEPCABAC, OURS, XZ, ZSTD, Side

CODES = np.tile(np.int8([[0, 3, 0, -2], [0, 0, 1, 0]]), (20, 10))
SIDES = ("huffman", OURS, DEEPCABAC, XZ, ZSTD)


def network(name="tiny", group="d"):
    return Network(name, group, lambda: {"one": CODES, "two": CODES[:3]})


def bytes_of(name, group, ours, deepcabac, entropy=100):
    """A measurement with these sizes."""
    sizes = {"huffman": 2 * ours, **dict.fromkeys(PRESETS, ours), DEEPCABAC: deepcabac}
    rates = dict.fromkeys(sizes, 2.0)
    return NetworkBytes(name, group, group != "b", 1000, 0.5, entropy, sizes, rates, rates)


def file_of(name, lac, rival, payloads=10):
    """A measurement with these sizes; the tensors alone take 20 bytes by zstd and xz."""
    return FileBytes(name, 500, lac, rival, rival, payloads, 20, 20, 0.1)


def test_the_codes_of_a_row_reach_the_top_code_by_its_largest_weight():
    weights = np.float32([[0.1, -0.5, 0.25], [0, 0, 0], [8, 1, -2]])
    for bits in coding_inputs.BITS:
        top = 2 ** (bits - 1) - 1
        codes = uniform_codes(weights, bits)
        assert [abs(row).max() for row in codes] == [top, 0, top]
        assert codes.dtype == np.int8
    assert uniform_codes(weights, 3).tolist() == [[1, -3, 2], [0, 0, 0], [3, 0, -1]]


def test_pruning_zeroes_the_smallest_of_a_layer_and_leaves_the_given_weights_alone():
    weights = np.arange(-5, 5, dtype=np.float32).reshape(2, 5)
    before = weights.copy()
    assert pruned(weights, 0.8).tolist() == [[-5, 0, 0, 0, 0], [0, 0, 0, 0, 4]]
    assert np.array_equal(weights, before)


def test_places_in_a_codebook_without_zero_leave_code_0_free():
    assert coding_inputs.by_value(np.float32([3, -1, -2, 5])).tolist() == [1, -1, -2, 2]


def test_the_networks_are_those_of_the_comparison():
    names = [one.name for one in coding_inputs.networks(short=False)]
    assert len(names) == 1 + 4 * 5 + 4 * 2 + 2
    assert {"SqueezeNet", "resnet56 3 bits", "resnet44 80 % pruned", "lenet5"} <= set(names)
    assert [one.name for one in coding_inputs.networks(short=True)] == list(coding_inputs.SHORT)


@pytest.mark.parametrize(
    ("name", "count"), [pytest.param("lenet-300-100", 266_200, id="300-100"), ("lenet5", 430_500)]
)
def test_the_codes_of_a_lenet_are_kept_in_the_clone(name, count):
    layers = coding_inputs.lenet(name)
    assert sum(layer.size for layer in layers.values()) == count
    assert sum(np.count_nonzero(layer) for layer in layers.values()) < 0.1 * count


def test_codes_of_a_lenet_that_are_missing_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(coding_inputs, "results_folder", lambda: tmp_path / "results")
    with pytest.raises(DataError, match=r"inputs/lenet5\.npz cannot be read"):
        coding_inputs.lenet("lenet5")


def test_of_an_own_file_integers_are_taken_as_they_are_and_floats_quantized(tmp_path):
    weights = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    file = tmp_path / "own.npz"
    np.savez(
        file,
        conv=weights,
        codes=CODES.astype(np.uint8),
        bias=weights[0],
        ids=np.zeros((2, 2), np.int64),
        mask=np.ones((2, 2), bool),
        infinite=np.full((2, 2), np.inf, np.float32),
        wide=np.full((2, 2), -(2**31), np.int32),
    )
    integers, *quantized = own_networks(file, tmp_path)
    assert [one.name for one in (integers, *quantized)] == [
        f"{file} {what}" for what in ("integers", "8 bits", "5 bits")
    ]
    assert list(integers.layers()) == ["codes"]
    assert np.array_equal(integers.layers()["codes"], CODES.astype(np.uint8))
    for one, bits in zip(quantized, (8, 5), strict=True):
        assert list(one.layers()) == ["conv"]
        assert np.array_equal(one.layers()["conv"], uniform_codes(weights, bits))


def test_floats_that_stand_on_a_grid_count_as_integers(tmp_path):
    generator = np.random.default_rng(0)
    table = generator.choice(np.float32([-0.5, 0, 0.3, np.pi]), (80, 40))
    steps = generator.permutation(np.arange(-800, 800)).reshape(80, 20)
    file = tmp_path / "own.npz"
    plain = generator.normal(size=(3, 4))
    np.savez(file, shared=table, steps=np.float32(steps) * np.float32(0.1), plain=plain)
    for source in (file, tmp_path / "own.npz.lac"):  # the second is what the first was packed into
        integers, *quantized = own_networks(source, tmp_path)
        assert np.array_equal(integers.layers()["shared"], coding_inputs.by_value(table))
        assert np.array_equal(integers.layers()["steps"], steps)
        assert [list(one.layers()) for one in quantized] == [["plain"], ["plain"]]


def test_an_own_file_without_a_matrix_is_refused(tmp_path):
    np.savez(tmp_path / "own.npz", bias=np.float32([1, 2]))
    with pytest.raises(UsageError, match=r"own\.npz holds no matrix of integers or floats"):
        list(own_networks(tmp_path / "own.npz", tmp_path))


def test_a_network_is_measured_by_every_side():
    found = measure_network(network())
    assert (found.codes, found.group, found.has_structure) == (CODES.size + 120, "d", True)
    assert found.zeros == pytest.approx(1 - np.count_nonzero([*CODES, *CODES[:3]]) / found.codes)
    assert set(SIDES) <= set(found.size_bytes)
    assert found.size_bytes[OURS] == len(smallest(CODES)) + len(smallest(CODES[:3]))
    assert set(found.encode_rate) == set(found.decode_rate) == set(found.size_bytes)
    assert all(rate > 0 for rate in found.decode_rate.values())


class Refusing(Side):
    def encode(self, layers):
        raise CodingError("not these")

    def decode(self, pieces):
        raise NotImplementedError


class Lying(Refusing):
    def encode(self, layers):
        return [b""]

    def decode(self, pieces):
        return [np.zeros(*known) for known in self.known]


def test_a_side_that_cannot_hold_the_codes_is_left_out(monkeypatch):
    monkeypatch.setattr(coding_measure, "sides", lambda: {"refusing": Refusing})
    assert measure_network(network()).size_bytes == {}


def test_a_side_that_loses_the_codes_stops_the_study(monkeypatch):
    monkeypatch.setattr(coding_measure, "sides", lambda: {"lying": Lying})
    with pytest.raises(MismatchError, match="tiny: lying did not give the integers back"):
        measure_network(network())


def test_the_process_is_pinned_and_let_go_again(monkeypatch):
    pinned = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {2, 5}, raising=False)
    monkeypatch.setattr(
        os, "sched_setaffinity", lambda process, cpus: pinned.append(cpus), raising=False
    )
    with one_cpu():
        assert pinned == [{5}]
    assert pinned == [{5}, {2, 5}]


def test_a_file_is_packed_and_compressed_as_it_is(tmp_path):
    source = tmp_path / "own.npz"
    np.savez(source, codes=CODES, weights=np.linspace(0, 1, 999, dtype=np.float32))
    found = measure_file(source, tmp_path)
    assert found.size_bytes == source.stat().st_size
    assert found.lac_bytes == (tmp_path / "own.npz.lac").stat().st_size
    assert 0 < found.payload_bytes < found.lac_bytes
    assert found.tensors_xz_bytes < found.xz_bytes < found.size_bytes


def test_a_measurement_is_made_once_in_a_run_folder(tmp_path):
    made = []

    def make():
        made.append(1)
        return bytes_of("resnet20 90 % pruned", "c", 97, 100)

    first = kept(tmp_path, "resnet20 90 % pruned", NetworkBytes, make)
    assert kept(tmp_path, "resnet20 90 % pruned", NetworkBytes, make) == first
    assert len(made) == 1
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps({"name": 3}))
    with pytest.raises(DataError, match="is no measurement"):
        kept(tmp_path, "resnet20 90 % pruned", NetworkBytes, make)


@pytest.fixture
def compared(monkeypatch, tmp_path):
    """The study with these measurements instead of real ones; what the watcher was told."""

    def compare(found, packed, lac_bytes=519_999):
        told = []
        by_name = {one.name: one for one in found}
        files = {one.name: one for one in packed}
        monkeypatch.setattr(coding, "networks", lambda short: [
            Network(one.name, one.group, dict) for one in found
        ])  # fmt: skip
        monkeypatch.setattr(coding, "FLOAT_FILES", tuple(files))
        monkeypatch.setattr(coding, "locate", lambda name: tmp_path / name)
        monkeypatch.setattr(coding, "measure_network", lambda network: by_name[network.name])
        monkeypatch.setattr(coding, "measure_file", lambda file, folder: files[file.name])
        monkeypatch.setattr(coding, "whole_squeezenet", lambda folder: lac_bytes)
        watcher = Watcher(on_input=lambda *words: told.append(words))
        return coding.compare(watcher, False, tmp_path), told

    return compare


def test_goals_are_met_by_what_is_smaller_everywhere(compared):
    found = [bytes_of("a", "a", 97, 100), bytes_of("b", "b", 98, 100, 90)]
    findings, told = compared(found, [file_of("f.npz", 99, 100)])
    assert [row.met for row in findings.rows if row.goal] == [True] * 6
    assert [row.ours for row in findings.rows[:2]] == ["519,999 bytes", "195, 0.9750×"]
    assert findings.rows[1].published == "DeepCABAC 200; entropy 190"
    assert told == [(1, 3, "a"), (2, 3, "b"), (3, 3, "f.npz")]
    titles = [table.title.split(",")[0] for table in findings.tables]
    assert titles == ["Bytes of the codes", "Encoding", "Decoding", "Files untouched"]
    assert findings.tables[0].lines[0] == ["a", "1,000", "50%", "100", "194", *["97"] * 3, "100"]


@pytest.mark.parametrize(
    ("found", "packed", "lac_bytes", "claims"),
    [
        pytest.param(
            [bytes_of("a", "a", 97, 100)], [file_of("f", 9, 10)], 520_000,
            ["the whole SqueezeNet"], id="a SqueezeNet of 520,000 bytes",
        ),
        pytest.param(
            [bytes_of("a", "a", 99, 100)], [file_of("f", 9, 10)], 1,
            ["all of these"], id="99 % of DeepCABAC",
        ),
        pytest.param(
            [bytes_of("a", "a", 50, 100), bytes_of("b", "b", 100, 100)], [file_of("f", 9, 10)], 1,
            ["against DeepCABAC's"], id="one network no smaller",
        ),
        pytest.param(
            [bytes_of("c", "c", 97, 100, 96)], [file_of("f", 9, 10)], 1,
            ["order-0 entropy"], id="more than the entropy",
        ),
        pytest.param(
            [bytes_of("a", "a", 97, 100)], [file_of("f", 9, 10), file_of("g", 10, 10)], 1,
            ["zstd -19", "xz -9"], id="a file no smaller",
        ),
        pytest.param(
            [bytes_of("a", "a", 97, 100)], [file_of("f", 9, 10, 20)], 1,
            ["zstd -19", "xz -9"], id="payloads no smaller",
        ),
    ],
)  # fmt: skip
def test_a_goal_that_is_missed_is_said(compared, found, packed, lac_bytes, claims):
    findings, _ = compared(found, packed, lac_bytes)
    missed = [row.claim for row in findings.rows if row.met is False]
    assert len(missed) == len(claims)
    assert all(claim in row for claim, row in zip(claims, missed, strict=True))


def test_own_files_are_compared_from_end_to_end(tmp_path):
    file = tmp_path / "own.npz"
    np.savez(file, codes=CODES)
    findings = coding.compare_own(Watcher(), [file], tmp_path)
    assert [row.claim.split(":")[0] for row in findings.rows] == [
        f"{file} integers",
        *(f"preset {preset}" for preset in PRESETS),
        *["own.npz, untouched"] * 2,
    ]
    assert [row.claim.split()[-2:] for row in findings.rows[-2:]] == [["zstd", "-19"], ["xz", "-9"]]
    sides, files = findings.tables
    assert {"huffman", OURS, "fastest"} <= {line[0] for line in sides.lines[:-4]}
    assert [line[0] for line in sides.lines[-4:]] == [
        DEEPCABAC, "Deep Compression", ZSTD, XZ,
    ]  # fmt: skip
    assert [line[0] for line in files.lines] == ["own.npz"]


def test_two_files_of_one_name_are_kept_apart(tmp_path):
    files = [tmp_path / folder / "own.npz" for folder in ("one", "two")]
    for number, file in enumerate(files, 1):
        file.parent.mkdir()
        np.savez(file, codes=CODES[:number])
    first, second, _ = coding.compare_own(Watcher(), files, tmp_path).tables
    assert first.title.startswith(f"{files[0]} integers: 40 codes")
    assert second.title.startswith(f"{files[1]} integers: 80 codes")


def test_what_is_not_installed_is_said_before_anything_is_measured(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setattr(coding, "networks", lambda short: pytest.fail("measured"))
    with pytest.raises(DataError, match="pip install zstandard"):
        coding.compare(Watcher(), False, tmp_path)


def test_the_study_is_registered():
    assert studies.STUDIES["coding"].compare_own is coding.compare_own
