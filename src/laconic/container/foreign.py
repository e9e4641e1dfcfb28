"""A file that somebody else's tool wrote, kept byte for byte: its tensors apart from the rest.

The stream of the original bytes is cut where tensors stand. Each cut-out is a tensor of the `.lac`
file; what is left, the skeleton, is deflated into the section ``foreign`` with the places of the
cuts, and unpacking splices them again. An `.npz` is the stream of its members; its zip envelope is
made anew (stored, fixed date).
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from laconic.coding.reader import Reader, varint
from laconic.container.atomic import replacing
from laconic.container.deflate import deflate, inflate, inside_inflated
from laconic.container.dtypes import Bits
from laconic.container.file import MAX_BYTES, LacFile
from laconic.container.tensor_files import MEMBER_DATE, TENSOR_FILES, is_member_name
from laconic.errors import FormatError, UsageError

KINDS = {".safetensors": 1, ".npz": 2, ".onnx": 3}
"""Suffix → the byte that names this kind of file in the section."""
SUFFIXES = {number: suffix for suffix, number in KINDS.items()}
FORTRAN, BIG_ENDIAN = 1, 2
MAX_MEMBERS = 2**16
MAX_MEMBER_NAME_BYTES = 2**12
TURNED = 2**20
"""Items of a tensor in Fortran order that are put into C order at a time."""


@dataclass(frozen=True)
class Cut:
    """Where a tensor was cut out."""

    gap: int
    """Bytes of the skeleton between the cut before and this one."""
    flags: int = 0
    """`FORTRAN`: the first index runs fastest in the stream. `BIG_ENDIAN`: high bytes first."""


@dataclass(frozen=True)
class Foreign:
    """The section: what a `.lac` file keeps of another file beside its tensors.

    The tensors of the file are the cut-outs, all of them, in order.
    """

    suffix: str
    """A key of `KINDS`."""
    cuts: tuple[Cut, ...]
    members: tuple[tuple[str, int], ...]
    """Of an `.npz`: names and lengths of the files in it, one after the other in the stream."""
    skeleton: bytes | memoryview


def encode(foreign: Foreign) -> bytes:
    """The section ``foreign``: the kind, then everything else deflated."""
    out = bytearray(varint(len(foreign.cuts)))
    for cut in foreign.cuts:
        out += varint(cut.gap) + bytes([cut.flags])
    if foreign.suffix == ".npz":
        out += varint(len(foreign.members))
        for name, length in foreign.members:
            text = name.encode()
            out += varint(len(text)) + text + varint(length)
    return bytes([KINDS[foreign.suffix]]) + deflate(bytes(out) + foreign.skeleton)


def decode(
    data: bytes | memoryview, offset: int = 0, *, tensors: int, max_bytes: int = MAX_BYTES
) -> Foreign:
    """The section again.

    Args:
        data: what `encode` wrote.
        offset: where `data` starts in its file, for errors.
        tensors: how many the file has; each of them is a cut.
        max_bytes: refuse more bytes than this.

    Raises:
        FormatError: the bytes are damaged, a cut lies outside the skeleton, or there are not as
            many cuts as tensors.
    """
    outer = Reader(data, offset)
    kind = outer.u8()
    if kind not in SUFFIXES:
        raise FormatError(f"no kind of foreign file has number {kind}", offset)
    plain = inflate(outer, max_bytes, "the section foreign")
    with inside_inflated("the section foreign", offset):
        return _read_all(Reader(plain), SUFFIXES[kind], tensors)


def _read_all(reader: Reader, suffix: str, tensors: int) -> Foreign:
    count = reader.varint()
    if count != tensors:
        raise reader.error(f"the section foreign has {count} cuts for {tensors} tensors")
    cuts = []
    for _ in range(count):
        cuts.append(Cut(reader.varint(), reader.u8()))
        if cuts[-1].flags > FORTRAN | BIG_ENDIAN:
            raise reader.error(f"a cut has the flags {cuts[-1].flags}")
    members = _read_members(reader) if suffix == ".npz" else ()
    skeleton = reader.rest()
    if sum(cut.gap for cut in cuts) > len(skeleton):
        raise reader.error(f"the cuts reach beyond the skeleton of {len(skeleton)} bytes")
    return Foreign(suffix, tuple(cuts), members, skeleton)


def _read_members(reader: Reader) -> tuple[tuple[str, int], ...]:
    members: dict[str, int] = {}
    for _ in range(reader.varint(MAX_MEMBERS)):
        text = bytes(reader.take(reader.varint(MAX_MEMBER_NAME_BYTES)))
        try:
            name = text.decode()
        except UnicodeDecodeError as error:
            raise reader.error(f"the name {text[:20]!r} is not UTF-8") from error
        if name in members or not is_member_name(name):
            why = "stands there twice" if name in members else "leads out of a folder"
            raise reader.error(f"the member {name[:80]!r} of the zip {why}")
        members[name] = reader.varint()
    return tuple(members.items())


def cut_pieces(bits: Bits, cut: Cut) -> Iterator[bytes]:
    """A tensor's bytes as they stood in the stream, or those of a run of it in C order."""
    order = bits.dtype.newbyteorder(">" if cut.flags & BIG_ENDIAN else "<")
    if not cut.flags & FORTRAN:
        yield bits.astype(order, copy=False).tobytes()
        return
    turned = bits.T
    for start in range(0, turned.size, TURNED):
        yield turned.flat[start : start + TURNED].astype(order, copy=False).tobytes()


def spliced(file: LacFile, foreign: Foreign) -> Iterator[bytes | memoryview]:
    """The stream again, piece by piece: the skeleton with every tensor in its place.

    Raises:
        FormatError: tensors are damaged.
    """
    position = 0
    for name, cut in zip(file.entries, foreign.cuts, strict=True):
        yield foreign.skeleton[position : position + cut.gap]
        position += cut.gap
        if cut.flags & FORTRAN:
            yield from cut_pieces(file.bits(name), cut)
            continue
        for _, bits in file.payload(name).pieces():
            yield from cut_pieces(bits, cut)
    yield foreign.skeleton[position:]


def unpack_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    max_bytes: int = MAX_BYTES,
) -> None:
    """Write what `laconic.pack.pack_file` packed; NumPy is all it needs.

    A `.safetensors` or `.onnx` file comes back byte for byte, an `.npz` with the same members byte
    for byte. A `.lac` file of a torch model becomes a `.safetensors` or `.npz` of its tensors.

    Args:
        source: the `.lac` file.
        target: ends in the suffix of the file that was packed; appears whole or not at all.
        max_bytes: refuse a file that would unpack to more bytes than this.

    Raises:
        FormatError: the file is damaged.
        UsageError: the target's suffix is not what the source holds.
        UnsupportedError: a dtype that `.npz` lacks.
    """
    suffix = Path(target).suffix.lower()
    with LacFile(source, max_bytes=max_bytes) as file:
        file.check_parts()
        if "foreign" not in file.sections:
            if suffix not in TENSOR_FILES:
                raise UsageError(
                    "this .lac file holds a model's tensors; give a target that ends in "
                    f"{' or '.join(TENSOR_FILES)}, not {suffix or 'nothing'!r} (for ONNX: laconic "
                    "export)"
                )
            with replacing(target) as out:
                TENSOR_FILES[suffix](out, file)
            return
        offset = file.sections["foreign"][0]
        foreign = decode(
            file.section_view("foreign"),
            offset,
            tensors=len(file.names),
            max_bytes=file.spare_bytes,
        )
        if suffix != foreign.suffix:
            raise UsageError(
                f"{source} was packed from a {foreign.suffix} file; give a target that ends "
                f"in {foreign.suffix}, not {Path(target).name!r}"
            )
        with replacing(target) as out:
            if suffix == ".npz":
                _write_zip(out, file, foreign)
            else:
                out.writelines(spliced(file, foreign))


def _write_zip(out: BinaryIO, file: LacFile, foreign: Foreign) -> None:
    """The members, stored."""
    offset = file.sections["foreign"][0]
    total = len(foreign.skeleton) + sum(entry.size_bytes for entry in file.entries.values())
    if sum(length for _, length in foreign.members) != total:
        raise FormatError(f"the members do not add up to {total} bytes", offset)
    parts, part = spliced(file, foreign), memoryview(b"")
    with zipfile.ZipFile(out, "w") as archive:
        for name, length in foreign.members:
            info = zipfile.ZipInfo(name, MEMBER_DATE)
            info.file_size = length
            with archive.open(info, "w") as member:
                while length:
                    while not part:
                        part = memoryview(next(parts))
                    taken = part[:length]
                    member.write(taken)
                    length -= len(taken)
                    part = part[len(taken) :]


def bits_in(
    data: bytes | memoryview,
    dtype: np.dtype[np.unsignedinteger],
    shape: tuple[int, ...],
    flags: int,
) -> Bits:
    """A tensor's bits from its bytes in a stream; `cut_pieces` gives the bytes again."""
    stored = dtype.newbyteorder(">" if flags & BIG_ENDIAN else "<")
    flat = np.frombuffer(data, stored)
    ordered = flat.reshape(shape, order="F" if flags & FORTRAN else "C")
    return np.ascontiguousarray(ordered, dtype).reshape(shape)
