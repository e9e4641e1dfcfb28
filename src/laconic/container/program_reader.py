"""Reading a program from bytes that nobody vouches for (spec/format.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader
from laconic.container.dtypes import BY_NUMBER, DTYPES
from laconic.container.operators import EDGES, GENERATED, Attribute, Node, Program, Value
from laconic.container.shapes import MAX_DIMENSIONS, is_possible
from laconic.container.vocabulary import ATTRIBUTES, OPERATORS

MAX_DEPTH = 16
MAX_COST = 2**22
"""Of all parts of a program together, so that it takes little memory: about eight bytes each."""
PART, DETAIL, WORD, NUMBER = 64, 32, 8, 4


def read_program(reader: Reader, tensors: list[str]) -> Program:
    """The program that takes up all of `reader`; FormatError when it is damaged."""
    for name in tensors:
        if name.startswith(GENERATED):
            raise reader.error(f"{name!r}: names with {GENERATED!r} are the reader's own")
    program = _ProgramReader(reader, list(tensors), set(tensors), _Purse()).read()
    reader.end()
    return program


@dataclass
class _Purse:
    """What the parts read so far cost, and how deep programs are nested at present."""

    spent: int = 0
    depth: int = 0


class _ProgramReader:
    """Reads one program; every count is bounded by what its parts cost.

    `names` are all that can be read, in the order of their numbers; `given` those of them that the
    file spells out. Both end as they were: a program's names end with it.
    """

    def __init__(self, reader: Reader, names: list[str], given: set[str], purse: _Purse) -> None:
        self.reader = reader
        self.names = names
        self.known = given
        self.purse = purse
        self.outer_count = len(names)
        self.constants: dict[str, NDArray[Any]] = {}
        self.pay(PART)
        if purse.depth > MAX_DEPTH:
            raise reader.error(f"programs are nested deeper than {MAX_DEPTH}")

    def pay(self, cost: int) -> None:
        self.purse.spent += cost
        if self.purse.spent > MAX_COST:
            raise self.reader.error(f"a program of so many parts; they may cost {MAX_COST:,}")

    def count(self, cost: int) -> int:
        """How many parts of that cost follow."""
        number = self.reader.varint(self.reader.remaining)
        self.pay(cost * number)
        return number

    def text(self) -> str:
        length = self.reader.varint()
        self.pay(WORD + length)
        data = bytes(self.reader.take(length))
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise self.reader.error(f"the text {data[:20]!r} is not UTF-8") from error

    def word(self, table: tuple[str, ...]) -> str:
        number = self.reader.varint(len(table))
        return table[number - 1] if number else self.text()

    def define(self) -> str:
        # A deeper program has a longer sign: its names must not meet those of its surroundings.
        self.names.append(f"{GENERATED * (self.purse.depth + 1)}{len(self.names) + 1}")
        return self.names[-1]

    def spelt(self) -> str:
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
        name, dtype = self.spelt(), self.dtype()
        shape: list[int | str] = []
        for _ in range(self.count(WORD)):
            size = self.reader.varint()
            shape.append(size - 1 if size else self.text())
        return Value(name, dtype, tuple(shape))

    def array(self) -> NDArray[Any]:
        dtype = DTYPES[self.dtype()]
        shape = tuple(self.reader.varint() for _ in range(self.reader.varint(MAX_DIMENSIONS)))
        if not is_possible(shape):
            raise self.reader.error(f"a constant's shape of {shape} is beyond any memory")
        count = prod(shape)
        if dtype.numpy is None:
            raise self.reader.error(f"a program cannot hold {dtype.name} constants")
        if dtype.name == "I64":
            if count > self.reader.remaining:
                raise self.reader.error(f"{count} integers were promised in too few bytes")
            self.pay(NUMBER * count)
            items = np.fromiter((self.integer() for _ in range(count)), np.int64, count)
            return items.reshape(shape)
        data = self.reader.take(count * dtype.size_bytes)
        return np.frombuffer(data, dtype.numpy).reshape(shape)

    def read(self) -> Program:
        reader = self.reader
        opset = reader.varint(10_000)
        for _ in range(self.count(PART)):
            array = self.array()
            self.constants[self.define()] = array
        inputs = []
        for _ in range(self.count(PART)):
            value = self.value()
            if value.name in self.known:
                raise reader.error(f"the input {value.name!r} has the name of another value")
            self.names.append(value.name)
            self.known.add(value.name)
            inputs.append(value)
        nodes = [self.node() for _ in range(self.count(PART))]
        outputs = [(self.value(), self.name()) for _ in range(self.count(PART))]
        renamed = self.renamed(outputs)
        self.known.difference_update(value.name for value in inputs)
        del self.names[self.outer_count :]
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
        taken: set[str] = set()
        for value, name in outputs:
            if name not in made or name in names or value.name in taken:
                raise self.reader.error(
                    f"the output {value.name!r} is not made by its program, or stands there twice"
                )
            if value.name != name and (not name.startswith(GENERATED) or value.name in self.known):
                raise self.reader.error(f"the output {value.name!r} has the name of another value")
            names[name] = value.name
            taken.add(value.name)
        return names

    def node(self) -> Node:
        operator = self.word(OPERATORS)
        inputs = tuple(self.name() for _ in range(self.count(WORD)))
        attributes: dict[str, Attribute] = {}
        for _ in range(self.count(DETAIL)):
            key = self.word(ATTRIBUTES)
            if key in attributes:
                raise self.reader.error(f"{operator} has the attribute {key!r} twice")
            attributes[key] = self.attribute()
        outputs = tuple(self.define() for _ in range(self.count(DETAIL)))
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
            return tuple(self.integer() for _ in range(self.count(WORD)))
        if kind == 4:
            count = self.count(WORD)
            return tuple(struct.unpack(f"<{count}f", reader.take(4 * count)))
        if kind == 5:
            return tuple(self.text() for _ in range(self.count(0)))
        if kind == 6:
            return self.array()
        if kind == 7:
            self.purse.depth += 1
            program = _ProgramReader(reader, self.names, self.known, self.purse).read()
            self.purse.depth -= 1
            return program
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
