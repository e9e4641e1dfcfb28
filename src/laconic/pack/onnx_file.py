"""Where the tensors stand in an `.onnx` file: a walk over its protobuf fields (onnx.proto)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from laconic.coding.reader import Reader
from laconic.errors import FormatError, UnsupportedError
from laconic.pack.stream import Place, Stream, mapped, raw_place

# Field numbers of the messages, from onnx.proto.
MODEL_GRAPH, NODE_OUTPUT = 7, 2
DIMS, DATA_TYPE, FLOAT_DATA, NAME, RAW_DATA, DOUBLE_DATA = 1, 2, 4, 8, 9, 10
EXTERNAL_DATA, DATA_LOCATION = 13, 14
CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Message → field number → the message that stands there, on the ways that lead to tensors."""
DTYPES = {
    1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16",
    11: "F64", 12: "U32", 13: "U64", 14: "C64", 16: "BF16", 17: "F8_E4M3", 19: "F8_E5M2",
}  # fmt: skip
"""TensorProto.DataType → the file's dtype; others are kept as bytes."""
MAX_DEPTH = 100  # what protobuf's own parsers allow
SMALLEST = 64
"""A constant of fewer bytes in a node (a shape, say) is not worth a tensor of its own."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def read_onnx(file: BinaryIO, folder: Path) -> Stream:
    """The raw bytes of every initializer and constant are a place; all else is skeleton.

    Args:
        file: the open file.
        folder: where space for unpacking is; an `.onnx` file needs none.

    Raises:
        FormatError: the bytes are no protobuf message, or no ONNX model.
        UnsupportedError: weights that lie in another file beside this one.
    """
    data = mapped(file)
    places: list[Place] = []
    fields = _walk(data, 0, len(data), "model", "", places, 0)
    if MODEL_GRAPH not in fields:
        raise FormatError("this is no ONNX model: it has no graph", 0)
    return Stream(data, places)


def _fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, start and end of each field of a message; varints as (value, 0)."""
    reader = Reader(data[start:end], start)
    while reader.remaining:
        number, wire = divmod(_varint(reader), 8)
        if wire == VARINT:
            yield number, wire, _varint(reader), 0
            continue
        if wire not in (FIXED64, BYTES, FIXED32):
            raise reader.error(f"this is no ONNX model: a field has the wire type {wire}")
        length = _varint(reader) if wire == BYTES else 8 if wire == FIXED64 else 4
        begin = reader.offset
        reader.take(length)
        yield number, wire, begin, begin + length


def _varint(reader: Reader) -> int:
    """Protobuf's varint: up to ten bytes, not always the shortest form."""
    value = 0
    for index in range(10):
        byte = reader.u8()
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (2**64 - 1)
    raise reader.error("this is no ONNX model: a number is longer than ten bytes")


def _walk(
    data: memoryview, start: int, end: int, message: str, name: str, places: list[Place], depth: int
) -> set[int]:
    """Collect the tensors inside a message; returns the numbers of its fields."""
    if depth > MAX_DEPTH:
        raise FormatError(f"messages are nested deeper than {MAX_DEPTH}", start)
    fields = list(_fields(data, start, end))
    for number, wire, begin, stop in fields:
        child = CHILDREN[message].get(number)
        if child is None or wire != BYTES:
            continue
        if child == "tensor":
            found = _tensor(data, begin, stop, name or message)
            places += [p for p in found if message == "graph" or p.end - p.start >= SMALLEST]
        else:
            inner = _output_name(data, begin, stop) if child == "node" else name
            _walk(data, begin, stop, child, inner, places, depth + 1)
    return {number for number, *_ in fields}


def _output_name(data: memoryview, start: int, end: int) -> str:
    """A constant is called by the first output of its node."""
    for number, wire, begin, stop in _fields(data, start, end):
        if number == NODE_OUTPUT and wire == BYTES:
            return bytes(data[begin:stop]).decode("utf-8", "replace")
    return ""


def _tensor(data: memoryview, start: int, end: int, name: str) -> list[Place]:
    """The bytes of a TensorProto's values, if they stand in one piece."""
    dims: list[int] = []
    pieces: list[tuple[int, int, int]] = []
    dtype = 0
    for number, wire, begin, stop in _fields(data, start, end):
        if number == EXTERNAL_DATA or (number == DATA_LOCATION and begin):
            raise UnsupportedError(
                f"{name}: its values lie in another file (external data); put the model into one "
                "file first: onnx.save(onnx.load(path), path)"
            )
        if number == NAME and wire == BYTES:
            name = bytes(data[begin:stop]).decode("utf-8", "replace") or name
        elif number == DATA_TYPE and wire == VARINT:
            dtype = begin
        elif number == DIMS:
            dims += _numbers(data, begin, stop) if wire == BYTES else [begin]
        elif number in (FLOAT_DATA, RAW_DATA, DOUBLE_DATA):
            pieces.append((number, begin, stop))
    if len(pieces) != 1:
        return []
    number, begin, stop = pieces[0]
    if dtype not in DTYPES:
        return [raw_place(name, begin, stop)]
    place = Place(name, DTYPES[dtype], tuple(dims), begin, stop)
    typed = {FLOAT_DATA: "F32", DOUBLE_DATA: "F64"}.get(number, place.dtype)
    return [place.storable] if place.dtype == typed and place.fits else []


def _numbers(data: memoryview, start: int, end: int) -> list[int]:
    """A packed list of varints."""
    reader = Reader(data[start:end], start)
    found = []
    while reader.remaining:
        found.append(_varint(reader))
    return found
