"""Programs come back from their bytes, in few of them, and hostile ones are refused."""

import contextlib
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laconic.coding.reader import varint
from laconic.container import program as program_section
from laconic.container.program import Node, Program, Value
from laconic.container.vocabulary import ATTRIBUTES, OPERATORS
from laconic.errors import FormatError, UsageError

TENSORS = ["weight", "bias"]


def program_of(*nodes, constants=None, inputs=("x",), outputs=("y",)):
    """A program of float32 values."""
    return Program(
        20,
        tuple(Value(name, "F32", ("batch", 3)) for name in inputs),
        tuple(Value(name, "F32", ("batch", 3)) for name in outputs),
        nodes,
        constants or {},
    )


def same(first, second):
    """Equality of attributes, arrays and sub-programs included."""
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=True)
    if isinstance(first, Program):
        return len(first.nodes) == len(second.nodes) and all(
            a.operator == b.operator and same(a.attributes, b.attributes)
            for a, b in zip(first.nodes, second.nodes, strict=True)
        )
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    return first == second and type(first) is type(second)


integers = st.integers(-(2**62) + 1, 2**62 - 2) | st.sampled_from([2**63 - 1, -(2**63)])
floats = st.floats(width=32, allow_nan=False)
arrays = st.sampled_from(
    [
        np.array([2**63 - 1, -(2**63), 0, -1]),
        np.array(2.5, np.float32),
        np.zeros((0, 3), np.float64),
        np.array([[True, False]]),
        np.array([1, 2], np.int8),
    ]
)
words = st.text(string.ascii_letters, min_size=1, max_size=5)
branch = Program(20, (), (Value("z", "F32", (3,)),), (Node("Add", ("x", "bias"), ("z",)),))
attributes = st.dictionaries(
    st.sampled_from(ATTRIBUTES) | words,
    st.one_of(
        integers,
        floats,
        words,
        st.lists(integers, max_size=3).map(tuple),
        st.lists(floats, min_size=1, max_size=3).map(tuple),
        st.lists(words, min_size=1, max_size=3).map(tuple),
        arrays,
        st.just(branch),
    ),
    max_size=3,
)


@st.composite
def programs(draw):
    """A chain of operators with random attributes, extra outputs and absent inputs."""
    nodes, last = [], "x"
    for number in range(draw(st.integers(1, 4))):
        operator = draw(st.sampled_from(OPERATORS) | words)
        inputs = tuple(draw(st.permutations([last, "weight", "", "c"]))[: draw(st.integers(1, 4))])
        outputs = (f"h{number}", *[f"extra{number}", ""][: draw(st.integers(0, 2))])
        nodes.append(Node(operator, inputs, outputs, draw(attributes)))
        last = outputs[0]
    constants = {"c": draw(arrays)}
    return program_of(*nodes, constants=constants, outputs=(last,))


@given(programs())
def test_a_program_comes_back(program):
    data = program_section.encode(program, TENSORS)
    again = program_section.decode(data, TENSORS)
    assert (again.opset, again.inputs, again.outputs) == (20, program.inputs, program.outputs)
    assert same(next(iter(again.constants.values())), program.constants["c"])
    for first, second in zip(program.nodes, again.nodes, strict=True):
        assert first.operator == second.operator
        assert len(first.inputs) == len(second.inputs)
        assert [name == "" for name in first.inputs] == [name == "" for name in second.inputs]
        assert len(first.outputs) == len(second.outputs)
        assert same(first.attributes, second.attributes)
    assert again.free_names() == program.free_names()
    assert program_section.encode(again, TENSORS) == data


@given(programs(), st.data())
def test_a_damaged_program_is_refused_or_is_another_one(program, data):
    raw = bytearray(program_section.encode(program, TENSORS))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    # No other error may leave the reader, whatever the bytes.
    with contextlib.suppress(FormatError):
        program_section.decode(bytes(raw), TENSORS, 1000)


def test_the_outputs_keep_their_names():
    program = program_of(
        Node("Relu", ("x",), ("y",)), Node("Abs", ("y",), ("z",)), outputs=("y", "z")
    )
    again = program_section.decode(program_section.encode(program, []), [])
    assert [node.outputs for node in again.nodes] == [("y",), ("z",)]
    assert again.nodes[1].inputs == ("y",)


def test_names_inside_a_branch_never_meet_those_outside():
    inner = Program(
        20,
        (),
        (Value("b", "F32", (3,)),),
        (Node("Abs", ("x",), ("a",)), Node("Neg", ("a",), ("b",))),
    )
    program = program_of(
        Node("If", ("x",), ("h",), {"then_branch": inner, "else_branch": inner}),
        Node("Relu", ("h",), ("y",)),
    )
    again = program_section.decode(program_section.encode(program, []), [])
    made = {name for node in again.nodes for name in node.outputs} | {"x"}
    for body in again.nodes[0].attributes.values():
        assert not {name for node in body.nodes for name in node.outputs} & made
        assert body.nodes[1].outputs == ("b",)


def test_a_known_operator_takes_one_byte():
    known = program_section.encode(program_of(Node("Relu", ("x",), ("y",))), [])
    spelt = program_section.encode(program_of(Node("Relu7", ("x",), ("y",))), [])
    assert len(spelt) - len(known) == 6


WRONG = {
    "a tensor that the file does not hold": (
        program_of(Node("Add", ("x", "missing"), ("y",))),
        r"reads \['missing'\], which the file does not hold",
    ),
    "a name made twice": (
        program_of(Node("Abs", ("x",), ("y",)), Node("Abs", ("x",), ("y",))),
        "defines 'y' twice",
    ),
    "a name of the reader's own": (
        program_of(Node("Abs", ("%1",), ("y",)), inputs=("%1",)),
        "the reader's own",
    ),
    "an integer of 63 bits": (
        program_of(Node("Abs", ("x",), ("y",), {"axis": 2**62})),
        "only 62 bits and a sign fit",
    ),
    "an integer of 63 bits in a constant": (
        program_of(Node("Abs", ("x",), ("y",)), constants={"c": np.array([-(2**62) - 1])}),
        "only 62 bits and a sign fit",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_program_is_not_written_for(kind):
    program, message = WRONG[kind]
    with pytest.raises(UsageError, match=message):
        program_section.encode(program, TENSORS)


def raw(*parts):
    """A section in plain form, from bytes and numbers."""
    return b"\0" + b"".join(part if isinstance(part, bytes) else varint(part) for part in parts)


NAME_Y = b"\1y"
VALUE_Y = NAME_Y + b"\0" + b"\0"  # float32, no dimensions
RELU = OPERATORS.index("Relu") + 1
ATTACKS = {
    "01 an unknown form": (b"\2", "no program form 2"),
    "02 no bytes at all": (b"", "1 bytes were promised, 0 are left"),
    "03 a count beyond the bytes": (raw(20, 2**40), "at most 6 is possible"),
    "04 a constant of an unknown dtype": (raw(20, 1, 31), "no dtype has number 31"),
    "05 a constant of too many dimensions": (raw(20, 1, 0, 33), "at most 32"),
    "06 a constant beyond any memory": (raw(20, 1, 0, 2, 2**40, 2**40), "beyond any memory"),
    "07 a constant of nothing beyond any memory": (
        raw(20, 1, 0, 2, 2**62, 0),
        "beyond any memory",
    ),
    "08 a constant longer than the file": (raw(20, 1, 0, 1, 2**30), "bytes were promised"),
    "09 integers longer than the file": (raw(20, 1, 7, 1, 2**30), "promised in too few bytes"),
    "10 a float8 constant": (raw(20, 1, 13, 0, 0), "cannot hold F8_E4M3 constants"),
    "11 an operator that no vocabulary has": (raw(20, 0, 0, 1, 250), "at most"),
    "12 an input that nothing has made": (raw(20, 0, 0, 1, RELU, 1, 9), "at most 0"),
    "13 an attribute of an unknown type": (
        raw(20, 0, 0, 1, RELU, 0, 1, 1, 9, 0),
        "no attribute has type 9",
    ),
    "14 an attribute twice": (
        raw(20, 0, 0, 1, RELU, 0, 2, 1, 0, 0, 1, 0, 0, 0),
        "has the attribute 'kernel_shape' twice",
    ),
    "15 an output that nothing makes": (
        raw(20, 0, 0, 0, 1, VALUE_Y, 1),
        "at most 0",
    ),
    "16 an output that is absent": (raw(20, 0, 0, 0, 1, VALUE_Y, 0), "is not made by its program"),
    "17 one value under two names": (
        raw(20, 0, 0, 1, RELU, 0, 0, 1, 2, VALUE_Y, 1, VALUE_Y, 1),
        "stands there twice",
    ),
    "18 an output with a name of the reader's": (
        raw(20, 0, 0, 1, RELU, 0, 0, 1, 1, b"\1%\0\0", 1),
        "the reader's own",
    ),
    "19 a name that is no UTF-8": (raw(20, 0, 1, b"\1\xff"), "is not UTF-8"),
    "20 bytes after the end": (raw(20, 0, 0, 0, 0) + b"!", "1 bytes are left over"),
    "21 a number not in its shortest form": (b"\0\x94\0", "not in its shortest form"),
    "22 a number longer than nine bytes": (b"\0" + b"\xff" * 12, "longer than 9 bytes"),
    "23 programs nested beyond measure": (
        raw(*[20, 0, 0, 1, RELU, 0, 1, 1, 7] * 40),
        "nested deeper than 16",
    ),
    "24 a stream that does not inflate": (b"\1\5hello", "does not inflate"),
    "25 a stream that inflates to more": (
        b"\1\1" + program_section.deflate(b"aaaa")[1:],
        "does not inflate to its 1 bytes",
    ),
    "26 a promise of more than any program": (b"\1" + varint(2**40), "at most 16777216"),
    "27 two inputs of one name": (raw(20, 0, 2, VALUE_Y, VALUE_Y), "the name of another value"),
    "28 an input with a tensor's name": (
        raw(20, 0, 1, b"\6weight\0\0"),
        "the name of another value",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_program_is_refused(attack):
    data, message = ATTACKS[attack]
    tensors = ["weight"] if "tensor's name" in attack else []
    with pytest.raises(FormatError, match=message) as caught:
        program_section.decode(data, tensors, 500)
    assert caught.value.offset >= 500
