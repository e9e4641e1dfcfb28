"""The program of a network: operators with ONNX semantics, without weights, in few bytes."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader, signed, varint
from laconic.container.deflate import deflate, inflate, inside_inflated
from laconic.container.dtypes import DTYPES, dtype_of
from laconic.container.operators import (
    EDGES,
    GENERATED,
    UNKNOWN_SIZE,
    Attribute,
    Node,
    Program,
    Value,
)
from laconic.container.program_reader import read_program
from laconic.container.vocabulary import ATTRIBUTES, OPERATORS
from laconic.errors import FormatError, UsageError

__all__ = [
    "GENERATED",
    "UNKNOWN_SIZE",
    "Attribute",
    "Node",
    "Program",
    "Value",
    "decode",
    "encode",
]

MAX_PROGRAM_BYTES = 2**24


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
        UsageError: the program reads a name that neither it nor the file provides, or it is larger
            than readers take.
    """
    given = [*tensors, *(value.name for value in program.inputs + program.outputs)]
    if reserved := [name for name in given if name.startswith(GENERATED)]:
        raise UsageError(f"{reserved}: names that start with {GENERATED!r} are the reader's own")
    missing = [name for name in program.free_names() if name not in tensors]
    if missing:
        raise UsageError(f"the program reads {missing}, which the file does not hold")
    numbers = {name: index + 1 for index, name in enumerate(tensors)}
    plain = _Writer(program, numbers).write()
    try:
        if len(plain) > MAX_PROGRAM_BYTES:
            raise FormatError(f"it takes {len(plain):,} bytes, {MAX_PROGRAM_BYTES:,} fit", 0)
        read_program(Reader(plain), tensors)
    except FormatError as error:
        raise UsageError(f"no file holds this program: {error}") from error
    deflated = deflate(plain)
    return b"\1" + deflated if len(deflated) < len(plain) else b"\0" + plain


def decode(data: bytes | memoryview, tensors: list[str], offset: int = 0) -> Program:
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
        return read_program(outer, tensors)
    if form == 1:
        plain = inflate(outer, MAX_PROGRAM_BYTES, "the program")
        with inside_inflated("the program", offset):
            return read_program(Reader(plain), tensors)
    raise outer.error(f"no program form {form}")
