"""Files taken apart, changed in a few places, and put together with checksums that are right.

Decoders so see the damage themselves. Everything follows from the seed of the generator.
"""

from __future__ import annotations

import random
import sys
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from liar import BLOCKS, FOREIGN, PROGRAM, crc, deflated, lac, record
from numpy.typing import NDArray

from laconic.coding import CODERS, Blocks, encode
from laconic.coding.blocks import read_table
from laconic.coding.reader import Reader, varint
from laconic.container import (
    LacFile,
    codebook,
    codebooks,
    pack_bytes,
    plain,
    rows,
    to_bits,
    uniform,
)
from laconic.container import foreign as foreign_section
from laconic.container.dtypes import DTYPES
from laconic.container.foreign import Cut, Foreign
from laconic.container.layout import SECTIONS
from laconic.errors import CodingError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contracts"))
from check_coder import cases, small_cases
from small_lac import small_file

NUMBERS = (
    0,
    1,
    2,
    7,
    31,
    32,
    127,
    128,
    255,
    256,
    4096,
    65535,
    2**20,
    2**22,
    2**32,
    2**62,
    2**63 - 1,
)


@dataclass(frozen=True)
class Parts:
    """A file: tensors as name, shape, dtype number and payload; sections by number, inflated."""

    tensors: list[tuple[bytes, tuple[int, ...], int, bytes]]
    sections: dict[int, bytes] = field(default_factory=dict)

    def joined(self) -> bytes:
        """The bytes of the file."""
        records, payloads, before = [], b"", b""
        for name, shape, dtype, payload in self.tensors:
            pairs = zip(name, before, strict=False)
            shared = next(
                (i for i, (a, b) in enumerate(pairs) if a != b), min(len(name), len(before))
            )
            records.append(record(name[shared:], shape, payload, shared=shared, dtype=dtype))
            payloads += payload
            before = name
        stored = {number: _deflated(number, data) for number, data in self.sections.items()}
        lines = [bytes([n]) + varint(len(data)) + crc(data) for n, data in stored.items()]
        sections = varint(len(lines)) + b"".join(lines)
        return lac(records, payloads + b"".join(stored.values()), sections)


def _deflated(number: int, data: bytes) -> bytes:
    """A section as a file holds it; a program has a byte and a probe all of it before."""
    if number == SECTIONS["about"]:
        return deflated(data)
    if number == FOREIGN:
        return data[:1] + deflated(data[1:])
    return data


def apart(data: bytes) -> Parts:
    """A good file's parts."""
    with LacFile(data) as file:
        tensors = [
            (
                entry.name.encode(),
                entry.shape,
                DTYPES[entry.dtype].number,
                data[entry.offset : entry.offset + entry.length],
            )
            for entry in file.entries.values()
        ]
        sections = {}
        for name in file.sections:
            section, number = bytes(file.section_view(name)), SECTIONS[name]
            if number == FOREIGN:
                section = section[:1] + _inflated(section[1:])
            elif name == "about":
                section = _inflated(section)
            elif number == PROGRAM and section[0] == 1:
                section = b"\0" + _inflated(section[1:])
            sections[number] = section
        return Parts(tensors, sections)


def _inflated(data: bytes) -> bytes:
    reader = Reader(data)
    reader.varint()
    return zlib.decompress(bytes(reader.rest()), -15)


def seeds() -> list[Parts]:
    """Good files: the golden one, every coder on every small array, every grid, foreign files."""
    found = [apart(small_file())]
    for name, coder in CODERS.items():
        for codes in [*small_cases().values(), *list(cases().values())[:16]]:
            if codes.size > 3000:
                continue
            try:
                data = Blocks(_fixed, coder, 12).encode(codes) if name == "blocks" else None  # type: ignore[arg-type]
                coded = encode(codes, name) if data is None else BLOCKS + data
            except CodingError:
                continue
            dtype = DTYPES[{"i": "I", "u": "U"}[codes.dtype.kind] + str(8 * codes.itemsize)]
            found.append(Parts([(b"w", codes.shape, dtype.number, b"\0" + coded)]))
    values = np.float32([[0.5, 0, -1, 0.5], [2, 2, 0, -1], [0.5, 0, -1, 0.5]])
    bits: NDArray[np.unsignedinteger] = to_bits(values)
    codes = np.array([[1, 0, -2, 1]] * 3)
    tensors = [
        codebook("a", bits, "F32"),
        codebooks("b", bits, "F32", (1, 4)),
        uniform("c", codes, np.float32([0.5, 1, 2]), 0),
        uniform("d", codes, np.float32([0.5, 1] * 3), tile=(1, 2), rounding="BF16"),
        rows(plain("e", bits[:2], "F32"), np.array([0, 1, 0])),
        rows(codebook("f", bits[:2], "F32"), np.array([0, 1, 0])),
        plain("g", np.arange(6000, dtype="u8").reshape(2, 3000), "U64"),
    ]
    found += [apart(pack_bytes([tensor], {})) for tensor in tensors]
    for suffix, members in ((".onnx", ()), (".npz", (("x.npy", 20), ("y", 33)))):
        foreign = Foreign(suffix, (Cut(2, 0), Cut(1, 3)), members, b"hello")
        section = foreign_section.encode(foreign)
        found.append(
            apart(pack_bytes([tensors[0], plain("z", bits[0, :0], "F32")], {"foreign": section}))
        )
    return found


def _fixed(codes: NDArray[np.integer]) -> bytes:
    return encode(codes, "fixed")


def mutated(parts: Parts, others: list[Parts], rng: random.Random) -> bytes:
    """The file with one to four changes; sometimes of the header's bytes, behind its checksum."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        parts = _changed(parts, others, rng)
    data = parts.joined()
    if rng.random() < 0.15:
        return _header_changed(data, rng)
    return data


def _changed(parts: Parts, others: list[Parts], rng: random.Random) -> Parts:
    tensors, sections = list(parts.tensors), dict(parts.sections)
    if sections and (not tensors or rng.random() < 0.5):
        number = rng.choice(list(sections))
        sections[number] = _bytes_changed(sections[number], others, rng)
        return replace(parts, sections=sections)
    if not tensors:
        return parts
    place = rng.randrange(len(tensors))
    name, shape, dtype, payload = tensors[place]
    kind = rng.random()
    if kind < 0.75:
        payload = _bytes_changed(payload, others, rng)
        if rng.random() < 0.9:
            payload = _blocks_repaired(payload, shape)
    elif kind < 0.85:
        shape = _shape_changed(shape, rng)
    elif kind < 0.9:
        dtype = rng.randrange(18)
    elif kind < 0.95:
        name = _bytes_changed(name, others, rng)[:5000]
    else:
        tensors.insert(place, rng.choice(rng.choice(others).tensors or tensors))
    tensors[place] = name, shape, dtype, payload
    return replace(parts, tensors=tensors)


def _shape_changed(shape: tuple[int, ...], rng: random.Random) -> tuple[int, ...]:
    sizes = list(shape)
    if sizes and rng.random() < 0.7:
        sizes[rng.randrange(len(sizes))] = rng.choice((0, 1, 2, 3, 5, 64, 4096, 2**20, 2**22 + 1))
    else:
        sizes.insert(rng.randrange(len(sizes) + 1), rng.choice((0, 1, 2, 3)))
    return tuple(sizes)


def _bytes_changed(data: bytes, others: list[Parts], rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    # Heads and tables stand at the front, and decide most.
    if rng.random() < 0.5:
        place = min(place, rng.randrange(16))
    size = rng.choice((1, 1, 2, 4, 9))
    match rng.randrange(7):
        case 0:
            bit = bytes([1 << rng.randrange(8) ^ (data[place] if place < len(data) else 0)])
            return data[:place] + bit + data[place + 1 :]
        case 1:
            return data[:place] + rng.randbytes(size) + data[place + size :]
        case 2:
            return data[:place] + rng.randbytes(size) + data[place:]
        case 3:
            return data[:place] + data[place + size :]
        case 4:
            return data[:place] + varint(rng.choice(NUMBERS)) + data[place + rng.randrange(3) :]
        case 5:
            return data[:place] + data[place : place + size] * rng.choice((2, 3, 50)) + data[place:]
        case _:
            other = rng.choice(rng.choice(others).tensors or [(b"", (), 0, data)])[3]
            start = rng.randrange(len(other) + 1)
            return data[:place] + other[start : start + rng.randrange(40)] + data[place:]


def _blocks_repaired(payload: bytes, shape: tuple[int, ...]) -> bytes:
    """The payload with the right checksums of its blocks, where it is plain ones in blocks."""
    if payload[:2] != b"\0" + BLOCKS:
        return payload
    reader = Reader(payload[2:])
    try:
        _, table = read_table(reader, shape)
    except Exception:  # whatever it is, there are no blocks to be repaired
        return payload
    body = bytes(reader.rest())
    out, position = b"", 0
    for length in table["length"].tolist():
        piece = body[position : position + length]
        out += length.to_bytes(4, "little") + crc(piece)
        position += length
    return payload[:3] + out + body


def _header_changed(data: bytes, rng: random.Random) -> bytes:
    """Bytes of the header changed behind a checksum that is right."""
    reader = Reader(data[8:])
    length = reader.varint()
    start = 8 + reader.position
    header = bytearray(data[start : start + length])
    for _ in range(rng.choice((1, 1, 2, 3))):
        header[rng.randrange(length)] = rng.choice((rng.randrange(256), 0, 255, 128))
    guarded = data[7:start] + bytes(header)
    return data[:3] + crc(guarded) + guarded + data[start + length :]
