"""The probe, the section about and the section foreign: round trips and refusals."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laconic.coding.reader import varint
from laconic.container import LacFile, Value, pack_bytes, plain
from laconic.container import about as about_section
from laconic.container import foreign as foreign_section
from laconic.container import probe as probe_section
from laconic.container.deflate import deflate
from laconic.container.foreign import Cut, Foreign, bits_in, cut_pieces, unpack_file
from laconic.container.probe import Probe, make_input
from laconic.container.tensor_files import is_member_name
from laconic.errors import FormatError, MismatchError, UsageError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)

any_key = st.text(max_size=5).filter(lambda key: key not in ("steps", "labels"))


@given(st.dictionaries(any_key, json_values, max_size=4))
def test_about_comes_back(about):
    assert about_section.decode(about_section.encode(about)) == about


def test_the_same_about_gives_the_same_bytes_in_any_order():
    assert about_section.encode({"a": 1, "b": 2}) == about_section.encode({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, np.float32(1)])
def test_about_holds_json_alone(value):
    with pytest.raises(UsageError, match="texts, numbers, lists and dicts"):
        about_section.encode({"x": value})


ABOUT_ATTACKS = {
    "no bytes": (b"", "promised"),
    "no JSON": (deflate(b"{]"), "no JSON"),
    "no object": (deflate(b"[]"), "no JSON object"),
    "a NaN": (deflate(b'{"a":NaN}'), "NaN is no number"),
    "no UTF-8": (deflate(b'{"\xff":1}'), "no JSON"),
    "lists beyond measure": (deflate(b"[" * 1_000_000), "no JSON"),
    "an endless number": (deflate(b'{"a":' + b"9" * 100_000 + b"}"), "no JSON"),
    "more than a MiB": (varint(2**20 + 1) + deflate(b"{}")[1:], "at most 1048576"),
    "more than so few bytes can be": (
        varint(2**19) + deflate(b"{}")[1:],
        "of 524288 bytes takes 4",
    ),
    "more bytes than it inflates to": (
        varint(5) + deflate(b"\0" * 10_000_000)[4:],
        "no deflate stream of 5 bytes takes",
    ),
    "another length than promised": (varint(7) + deflate(b"{}")[1:], "does not inflate to its 7"),
    "bytes behind the stream": (deflate(b"{}") + b"!", "does not inflate to its 2"),
    "a stream cut short": (deflate(json.dumps({"a": "b" * 50}).encode())[:-2], "inflate"),
}


@pytest.mark.parametrize("attack", ABOUT_ATTACKS)
def test_about_is_refused_for(attack):
    data, message = ABOUT_ATTACKS[attack]
    with pytest.raises(FormatError, match=message) as caught:
        about_section.decode(data, 70)
    assert caught.value.offset >= 70


@pytest.mark.parametrize(
    "about", [{"steps": 5}, {"steps": {"w": "Prune"}}, {"labels": "cat"}, {"labels": [1, 2]}]
)
def test_keys_with_a_meaning_hold_what_they_mean(about):
    with pytest.raises(UsageError, match="must be a"):
        about_section.encode(about)
    with pytest.raises(FormatError, match=r"the section about: .* must be a"):
        about_section.decode(deflate(json.dumps(about).encode()))


def test_a_bomb_is_inflated_no_further_than_promised():
    bomb = varint(5) + deflate(b"\0" * 40_000)[3:]
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="does not inflate to its 5 bytes"):
            about_section.decode(bomb)
        assert tracemalloc.get_traced_memory()[1] < 60_000
    finally:
        tracemalloc.stop()


IMAGE = Value("image", "F32", ("batch", 3))


def test_a_probe_comes_back():
    probe = Probe(((1, 3), ()), (np.float32([1, 2]), np.zeros(0, np.float32)))
    again = probe_section.decode(probe_section.encode(probe))
    assert again.sizes == probe.sizes
    assert [o.tolist() for o in again.outputs] == [[1, 2], []]


def test_the_probes_input_is_the_one_of_the_specification():
    # SplitMix64 with seed 0 gives 0xe220a8397b1dcdaf first; its top 24 bits are 0xe220a8.
    first = make_input(IMAGE, (1, 3), 0)
    assert first.dtype == np.float32
    assert first[0, 0] == np.float32(0xE220A8 / 2**23 - 1)
    assert -1 <= first.min() < first.max() < 1
    assert not np.array_equal(first, make_input(IMAGE, (1, 3), 1))
    flags = make_input(Value("x", "I64", (100,)), (100,), 0)
    assert set(flags.tolist()) == {0, 1}


def probe_of(*values):
    return Probe(((1,),), (np.float32(values),))


def test_a_probe_tells_how_far_an_output_is():
    assert probe_of(1, 2).check([np.float32([1, 2])]) == 0
    assert probe_of(1, 2).check([np.float32([1, 2.0001])]) == pytest.approx(5e-5, rel=1e-2)
    with pytest.raises(MismatchError, match=r"output 0 deviates by 5.00e-02 .* at most 1e-04"):
        probe_of(1, 2).check([np.float32([1, 2.1])])


def test_half_precision_may_deviate_more():
    assert probe_of(1, 2).check([np.float16([1, 2.01])]) < 1e-2


def test_nan_and_infinity_must_stand_where_they_stood():
    nan, inf = float("nan"), float("inf")
    assert probe_of(nan, inf, 1).check([np.float32([nan, inf, 1])]) == 0
    for wrong in ([1, inf, 1], [nan, -inf, 1], [nan, 1, 1], [nan, inf, nan]):
        with pytest.raises(MismatchError, match="deviates by inf"):
            probe_of(nan, inf, 1).check([np.float32(wrong)])


def test_a_probe_counts_outputs_and_values():
    with pytest.raises(MismatchError, match="1 outputs, not 2"):
        probe_of(1).check([np.float32([1]), np.float32([1])])
    with pytest.raises(MismatchError, match="2 values, 1 were expected"):
        probe_of(1).check([np.float32([1, 2])])


def test_only_the_first_64_values_are_kept():
    assert len(probe_section.sample(np.zeros((10, 10)))) == 64


def test_a_probe_of_a_huge_input_is_not_written():
    with pytest.raises(UsageError, match="smaller example_input, or probe=False"):
        probe_section.encode(Probe(((2**13, 2**12),), ()))


PROBE_ATTACKS = {
    "a count beyond the bytes": (varint(2**40), "at most 6"),
    "too many dimensions": (varint(1) + varint(33), "at most 32"),
    "a huge input": (varint(1) + varint(2) + varint(2**40) + varint(2**40), "too large"),
    "a huge input of nothing": (varint(1) + varint(2) + varint(2**62) + varint(0), "too large"),
    "inputs that are huge together": (
        varint(3) + (varint(1) + varint(2**23)) * 3,
        "too large",
    ),
    "too many values": (varint(0) + varint(1) + varint(65), "at most 64"),
    "values beyond the bytes": (varint(0) + varint(1) + varint(64) + b"x", "promised"),
    "bytes left over": (varint(0) + varint(0) + b"!", "left over"),
}


@pytest.mark.parametrize("attack", PROBE_ATTACKS)
def test_a_probe_is_refused_for(attack):
    data, message = PROBE_ATTACKS[attack]
    with pytest.raises(FormatError, match=message):
        probe_section.decode(data)


@given(
    st.lists(st.integers(0, 9), max_size=4),
    st.binary(max_size=20),
    st.dictionaries(st.text(max_size=4).filter(is_member_name), st.integers(0, 99), max_size=3),
    st.sampled_from([".safetensors", ".npz", ".onnx"]),
)
def test_foreign_comes_back(gaps, tail, members, suffix):
    cuts = tuple(Cut(gap, gap % 4) for gap in gaps)
    skeleton = bytes(range(sum(gaps))) + tail
    foreign = Foreign(suffix, cuts, tuple(members.items()) if suffix == ".npz" else (), skeleton)
    assert foreign_section.decode(foreign_section.encode(foreign), tensors=len(cuts)) == foreign


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_a_cut_out_has_the_bytes_that_stood_there(flags):
    data = bytes(range(24))
    bits = bits_in(data, np.dtype("<u4"), (2, 3), flags)
    assert bits.flags.c_contiguous
    assert bits.dtype == np.dtype("<u4")
    assert b"".join(cut_pieces(bits, Cut(0, flags))) == data


def packed(tensors, section):
    return pack_bytes(tensors, {"foreign": section})


BYTES = plain("a", np.arange(4, dtype="u1"), "U8")
FOREIGN_ATTACKS = {
    "an unknown kind": (b"\7" + deflate(varint(1) + b"\0\0"), "no kind of foreign file"),
    "no cut for the tensor": (b"\3" + deflate(varint(0)), "0 cuts for 1 tensors"),
    "a cut too many": (b"\3" + deflate(varint(2) + b"\0\0\0\0"), "2 cuts for 1 tensors"),
    "cuts beyond the bytes": (b"\3" + deflate(varint(2**30)), "cuts for 1 tensors"),
    "a cut beyond the skeleton": (b"\3" + deflate(varint(1) + b"\5\0abcd"), "beyond the skeleton"),
    "unknown flags": (b"\3" + deflate(varint(1) + b"\0\4"), "a cut has the flags 4"),
    "members that do not add up": (
        b"\2" + deflate(varint(1) + b"\0\0" + varint(1) + b"\1x" + varint(9)),
        "do not add up to 4 bytes",
    ),
    "two members of one name": (
        b"\2" + deflate(varint(1) + b"\0\0" + varint(2) + (b"\1x" + varint(2)) * 2),
        "the member 'x' of the zip stands there twice",
    ),
    "a member that leads out of a folder": (
        b"\2" + deflate(varint(1) + b"\0\0" + varint(1) + b"\4../x" + varint(4)),
        "the member '../x' of the zip leads out of a folder",
    ),
    "a member name that is no UTF-8": (
        b"\2" + deflate(varint(1) + b"\0\0" + varint(1) + b"\1\xff" + varint(4)),
        "not UTF-8",
    ),
    "no deflate stream": (b"\3\5hello", "does not inflate"),
}


@pytest.mark.parametrize("attack", FOREIGN_ATTACKS)
def test_unpacking_is_refused_for(attack, tmp_path):
    section, message = FOREIGN_ATTACKS[attack]
    (tmp_path / "x.lac").write_bytes(packed([BYTES], section))
    suffix = ".npz" if section[0] == 2 else ".onnx"
    with pytest.raises(FormatError, match=message):
        unpack_file(tmp_path / "x.lac", tmp_path / f"x{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["x.lac"]


def test_verify_reads_every_section():
    for name in ("program", "probe", "about", "foreign"):
        data = pack_bytes([BYTES], {name: b"\xff\xff"})
        with LacFile(data) as file, pytest.raises(FormatError):
            file.verify()


def test_unpacking_can_be_limited(tmp_path):
    section = foreign_section.encode(Foreign(".onnx", (Cut(0),), (), b""))
    (tmp_path / "x.lac").write_bytes(packed([BYTES], section))
    with pytest.raises(FormatError, match="4 bytes; 3 are allowed"):
        unpack_file(tmp_path / "x.lac", tmp_path / "x.onnx", max_bytes=3)


def test_what_stands_beside_the_tensors_counts_in_the_limit(tmp_path):
    section = foreign_section.encode(Foreign(".onnx", (Cut(0),), (), bytes(1000)))
    (tmp_path / "x.lac").write_bytes(packed([BYTES], section))
    with pytest.raises(FormatError, match="at most 996 is possible"):
        unpack_file(tmp_path / "x.lac", tmp_path / "x.onnx", max_bytes=1000)
    unpack_file(tmp_path / "x.lac", tmp_path / "x.onnx", max_bytes=1100)
    assert (tmp_path / "x.onnx").stat().st_size == 1004
