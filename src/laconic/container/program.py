"""The program of a network: operators with ONNX semantics, without weights, in few bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader, signed, varint
from laconic.container.deflate import deflate, inflate
from laconic.container.dtypes import BY_NUMBER, DTYPES, dtype_of
from laconic.container.vocabulary import ATTRIBUTES, OPERATORS
from laconic.errors import UsageError

Attribute: TypeAlias = (
    "int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]"
    " | NDArray[Any] | Program"
)
MAX_PROGRAM_BYTES = 2**26
MAX_DEPTH = 16
EDGES = {2**62 - 1: 2**63 - 1, -(2**62): -(2**63)}
"""Stored integer → meaning: ONNX writes "to the end" as the largest or smallest int64."""
GENERATED = "%"
"""Names of values inside a program that was read: %7 is the seventh value."""


@dataclass(frozen=True)
class Value:
    """An input or output: its name, dtype and shape; a text stands for a size that may vary."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Node:
    """One operator of the ONNX standard domain; an absent input is ``""``."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """Nodes in an order that runs. Names that no node makes are inputs, constants or tensors.

    `tensors` are the names of the file's tensors that the nodes read; `constants` are small
    arrays that belong to the program itself, such as the target of a Reshape.
    """

    opset: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def free_names(self) -> list[str]:
        """Names that are read and that neither inputs, constants nor nodes provide, in order."""
        made = {value.name for value in self.inputs} | set(self.constants) | {""}
        free: dict[str, None] = {}
        for node in self.nodes:
            inner = [p for p in node.attributes.values() if isinstance(p, Program)]
            reads = list(node.inputs) + [name for p in inner for name in p.free_names()]
            free.update(dict.fromkeys(name for name in reads if name not in made))
            made.update(node.outputs)
        free.update(dict.fromkeys(v.name for v in self.outputs if v.name not in made))
        return list(free)


def _text(value: str) -> bytes:
    data = value.encode()
    return varint(len(data)) + data


def _word(value: str, table: tuple[str, ...]) -> bytes:
    """The word's number in the format's vocabulary, or 0 and the word."""
    return varint(table.index(value) + 1) if value in table else b"\0" + _text(value)


def _floats(values: tuple[float, ...]) -> bytes:
    return varint(len(values)) + struct.pack(f"<{len(values)}f", *values)


def _integer(value: int) -> bytes:
    """A signed varint of 63 bits; its two ends stand for the ends of int64 (`EDGES`)."""
    for edge, end in EDGES.items():
        if value == end:
            return signed(edge)
    if not -(2**62) < value < 2**62 - 1:
        raise UsageError(f"the program holds the integer {value}; only 62 bits and a sign fit")
    return signed(value)


def _array(array: NDArray[Any]) -> bytes:
    """dtype, dimensions, then signed varints for int64 and the plain bytes for other dtypes."""
    dtype = dtype_of(array)
    head = bytes([dtype.number]) + varint(array.ndim) + b"".join(varint(n) for n in array.shape)
    if dtype.name == "I64":
        return head + b"".join(_integer(int(value)) for value in array.ravel())
    return head + np.ascontiguousarray(array, dtype.numpy).tobytes()


class _Writer:
    """Numbers every name in order of appearance and writes the program."""

    def __init__(self, program: Program, outer: dict[str, int]) -> None:
        self.program = program
        self.numbers = dict(outer)

    def define(self, name: str) -> None:
        if name in self.numbers:
            raise UsageError(f"the program defines {name!r} twice")
        self.numbers[name] = len(self.numbers) + 1

    def number(self, name: str) -> bytes:
        return varint(0 if name == "" else self.numbers[name])

    def write(self) -> bytes:
        program = self.program
        out = bytearray(varint(program.opset) + varint(len(program.constants)))
        for name, array in program.constants.items():
            self.define(name)
            out += _array(array)
        out += varint(len(program.inputs))
        for value in program.inputs:
            self.define(value.name)
            out += self.value(value)
        out += varint(len(program.nodes))
        for node in program.nodes:
            out += self.node(node)
        out += varint(len(program.outputs))
        for value in program.outputs:
            out += self.value(value) + self.number(value.name)
        return bytes(out)

    def value(self, value: Value) -> bytes:
        out = _text(value.name) + bytes([DTYPES[value.dtype].number]) + varint(len(value.shape))
        for size in value.shape:
            out += varint(size + 1) if isinstance(size, int) else b"\0" + _text(size)
        return out

    def node(self, node: Node) -> bytes:
        out = _word(node.operator, OPERATORS) + varint(len(node.inputs))
        out += b"".join(self.number(name) for name in node.inputs)
        out += varint(len(node.attributes))
        for key in sorted(node.attributes):
            out += _word(key, ATTRIBUTES) + self.attribute(node.attributes[key])
        out += varint(len(node.outputs))
        for name in node.outputs:
            # An output that nobody names still takes a number, so that the reader can count.
            self.define(name or f"\0{len(self.numbers)}")
        return out

    def attribute(self, value: Attribute) -> bytes:
        if isinstance(value, Program):
            return b"\7" + _Writer(value, self.numbers).write()
        if isinstance(value, np.ndarray):
            return b"\6" + _array(value)
        if isinstance(value, str):
            return b"\2" + _text(value)
        if isinstance(value, int):
            return b"\0" + _integer(value)
        if isinstance(value, float):
            return b"\1" + struct.pack("<f", value)
        if all(isinstance(item, int) for item in value):
            items = b"".join(_integer(int(item)) for item in value)
            return b"\3" + varint(len(value)) + items
        if all(isinstance(item, str) for item in value):
            return b"\5" + varint(len(value)) + b"".join(_text(str(item)) for item in value)
        return b"\4" + _floats(tuple(float(item) for item in value))


def encode(program: Program, tensors: list[str]) -> bytes:
    """The section ``program``: 0 and the plain bytes, or 1, their length, and them deflated.

    Args:
        program: what to write.
        tensors: the names of the file's tensors, in the file's order.

    Raises:
        UsageError: the program reads a name that neither it nor the file provides.
    """
    given = [*tensors, *(value.name for value in program.inputs + program.outputs)]
    if reserved := [name for name in given if name.startswith(GENERATED)]:
        raise UsageError(f"{reserved}: names that start with {GENERATED!r} are the reader's own")
    missing = [name for name in program.free_names() if name not in tensors]
    if missing:
        raise UsageError(f"the program reads {missing}, which the file does not hold")
    numbers = {name: index + 1 for index, name in enumerate(tensors)}
    plain = _Writer(program, numbers).write()
    deflated = deflate(plain)
    return b"\1" + deflated if len(deflated) < len(plain) else b"\0" + plain


class _ProgramReader:
    """Reads one program; every count is bounded by the bytes that are left."""

    def __init__(self, reader: Reader, outer: list[str], depth: int) -> None:
        self.reader = reader
        self.names = list(outer)
        self.outer_count = len(outer)
        self.depth = depth
        self.constants: dict[str, NDArray[Any]] = {}
        if depth > MAX_DEPTH:
            raise reader.error(f"programs are nested deeper than {MAX_DEPTH}")

    def count(self) -> int:
        return self.reader.varint(self.reader.remaining)

    def text(self) -> str:
        data = bytes(self.reader.take(self.reader.varint()))
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise self.reader.error(f"the text {data!r} is not UTF-8") from error

    def word(self, table: tuple[str, ...]) -> str:
        number = self.reader.varint(len(table))
        return table[number - 1] if number else self.text()

    def define(self) -> str:
        # A deeper program has a longer sign: its names must not meet those of its surroundings.
        self.names.append(f"{GENERATED * (self.depth + 1)}{len(self.names) + 1}")
        return self.names[-1]

    def given(self) -> str:
        name = self.text()
        if name.startswith(GENERATED):
            raise self.reader.error(f"{name!r}: names with {GENERATED!r} are the reader's own")
        return name

    def name(self) -> str:
        number = self.reader.varint(len(self.names))
        return self.names[number - 1] if number else ""

    def dtype(self) -> str:
        number = self.reader.u8()
        if number not in BY_NUMBER:
            raise self.reader.error(f"no dtype has number {number}")
        return BY_NUMBER[number].name

    def integer(self) -> int:
        number = self.reader.signed()
        return EDGES.get(number, number)

    def value(self) -> Value:
        name, dtype = self.given(), self.dtype()
        shape: list[int | str] = []
        for _ in range(self.count()):
            size = self.reader.varint()
            shape.append(size - 1 if size else self.text())
        return Value(name, dtype, tuple(shape))

    def array(self) -> NDArray[Any]:
        dtype = DTYPES[self.dtype()]
        shape = tuple(self.reader.varint(2**32) for _ in range(self.count()))
        count = int(np.prod(shape, dtype=object))
        if dtype.numpy is None:
            raise self.reader.error(f"a program cannot hold {dtype.name} constants")
        if dtype.name == "I64":
            if count > self.reader.remaining:
                raise self.reader.error(f"{count} integers were promised in too few bytes")
            items = [self.integer() for _ in range(count)]
            return np.array(items, np.int64).reshape(shape)
        data = self.reader.take(count * dtype.size_bytes)
        return np.frombuffer(data, dtype.numpy).reshape(shape)

    def read(self) -> Program:
        reader = self.reader
        opset = reader.varint(10_000)
        for _ in range(self.count()):
            array = self.array()
            self.constants[self.define()] = array
        inputs = []
        for _ in range(self.count()):
            value = self.value()
            if value.name in self.names:
                raise reader.error(f"the input {value.name!r} has the name of another value")
            self.names.append(value.name)
            inputs.append(value)
        nodes = [self.node() for _ in range(self.count())]
        outputs = [(self.value(), self.name()) for _ in range(self.count())]
        renamed = self.renamed(outputs)
        return Program(
            opset,
            tuple(inputs),
            tuple(value for value, _ in outputs),
            tuple(_rename(node, renamed) for node in nodes),
            {renamed.get(name, name): array for name, array in self.constants.items()},
        )

    def renamed(self, outputs: list[tuple[Value, str]]) -> dict[str, str]:
        """Generated name → the output's own; every output is made here, under a name of its own."""
        made = set(self.names[self.outer_count :])
        names: dict[str, str] = {}
        for value, name in outputs:
            if name not in made or name in names or value.name in names.values():
                raise self.reader.error(
                    f"the output {value.name!r} is not made by its program, or stands there twice"
                )
            if value.name != name and (not name.startswith(GENERATED) or value.name in self.names):
                raise self.reader.error(f"the output {value.name!r} has the name of another value")
            names[name] = value.name
        return names

    def node(self) -> Node:
        operator = self.word(OPERATORS)
        inputs = tuple(self.name() for _ in range(self.count()))
        attributes: dict[str, Attribute] = {}
        for _ in range(self.count()):
            key = self.word(ATTRIBUTES)
            if key in attributes:
                raise self.reader.error(f"{operator} has the attribute {key!r} twice")
            attributes[key] = self.attribute()
        outputs = tuple(self.define() for _ in range(self.count()))
        return Node(operator, inputs, outputs, attributes)

    def attribute(self) -> Attribute:
        reader = self.reader
        kind = reader.u8()
        if kind == 0:
            return self.integer()
        if kind == 1:
            return float(struct.unpack("<f", reader.take(4))[0])
        if kind == 2:
            return self.text()
        if kind == 3:
            return tuple(self.integer() for _ in range(self.count()))
        if kind == 4:
            count = self.count()
            return tuple(struct.unpack(f"<{count}f", reader.take(4 * count)))
        if kind == 5:
            return tuple(self.text() for _ in range(self.count()))
        if kind == 6:
            return self.array()
        if kind == 7:
            return _ProgramReader(reader, self.names, self.depth + 1).read()
        raise reader.error(f"no attribute has type {kind}")


def _rename(node: Node, names: dict[str, str]) -> Node:
    """The node with generated names replaced by the outputs' own."""
    return Node(
        node.operator,
        tuple(names.get(name, name) for name in node.inputs),
        tuple(names.get(name, name) for name in node.outputs),
        {key: _rename_inside(value, names) for key, value in node.attributes.items()},
    )


def _rename_inside(value: Attribute, names: dict[str, str]) -> Attribute:
    if not isinstance(value, Program):
        return value
    return replace(
        value,
        outputs=tuple(replace(v, name=names.get(v.name, v.name)) for v in value.outputs),
        nodes=tuple(_rename(node, names) for node in value.nodes),
    )


def decode(data: bytes, tensors: list[str], offset: int = 0) -> Program:
    """The program behind the bytes of a section.

    Args:
        data: what `encode` wrote.
        tensors: the names of the file's tensors, in the file's order.
        offset: where `data` starts in its file, for errors.

    Raises:
        FormatError: the bytes are damaged, or promise more than they hold.
    """
    outer = Reader(data, offset)
    form = outer.u8()
    if form == 0:
        reader = outer
    elif form == 1:
        reader = Reader(inflate(outer, MAX_PROGRAM_BYTES, "the program"), offset)
    else:
        raise outer.error(f"no program form {form}")
    program = _ProgramReader(reader, tensors, 0).read()
    reader.end()
    return program
