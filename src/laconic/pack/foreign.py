"""`.safetensors`, `.npz` and `.onnx` files → `.lac`, lossless: NumPy is all it needs, but for
what an `.onnx` file computes.
"""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import replace
from pathlib import Path

from laconic import runtime
from laconic.coding import presets
from laconic.container import LacFile
from laconic.container import foreign as foreign_section
from laconic.container import program as program_section
from laconic.container.atomic import replacing
from laconic.container.dtypes import DTYPES, Bits
from laconic.container.foreign import KINDS, Cut, Foreign, bits_in
from laconic.container.writing import Writer, spool
from laconic.errors import DataError, FormatError, MismatchError, UsageError
from laconic.pack.npz_file import read_npz
from laconic.pack.onnx_file import read_onnx
from laconic.pack.safetensors_file import read_safetensors
from laconic.pack.stream import Place, Stream
from laconic.pack.structure import structured

LONGEST_NAME = 4000
"""In bytes: leaves room for a number behind it."""
NO_LIMIT = 2**62
READERS = {".safetensors": read_safetensors, ".npz": read_npz, ".onnx": read_onnx}


def pack_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    coding: str = "smallest",
    program: bool = False,
    runtime_check: bool = False,
) -> int:
    """Pack a file of tensors losslessly; returns the bytes written.

    `laconic.container.foreign.unpack_file` gives a `.safetensors` or `.onnx` file back byte for
    byte, and an `.npz` with the same members byte for byte; that is tried before the target
    appears. Every dtype that safetensors knows is kept. The source is mapped, and one tensor at a
    time is in memory.

    Args:
        source: ends in ``.safetensors``, ``.npz`` or ``.onnx``.
        target: ends in ``.lac``; appears whole or not at all.
        coding: ``"smallest"``, or a preset that decodes faster (`laconic.coding.chosen`).
        program: store what an `.onnx` file computes as well, so that the file runs (needs onnx).
        runtime_check: load the program in `laconic.runtime` before the target appears.

    Raises:
        UsageError: a suffix that is none of these, no such preset, or a program of a file that is
            no network.
        DataError: the source does not exist.
        FormatError: the source is not what its suffix says, with the offset in it.
        UnsupportedError: an `.npz` with Python objects, an `.onnx` with external data or with a
            program that no file holds; by `runtime_check`, operators that the runtime lacks.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/x.npz", mask=np.zeros((100, 100)))
        ...     pack_file(f"{folder}/x.npz", f"{folder}/x.lac") < 300
        True
    """
    suffix = Path(source).suffix.lower()
    if suffix not in READERS:
        raise UsageError(
            f"{source}: laconic packs {', '.join(KINDS)} files (a torch model: laconic compress)"
        )
    if Path(target).suffix.lower() != ".lac":
        raise UsageError(f"{target}: a packed file ends in .lac")
    if program and suffix != ".onnx":
        raise UsageError(f"{source}: only an .onnx file says what a network computes")
    if runtime_check and not program:
        raise UsageError(f"{source}: without its program there is nothing to check in the runtime")
    presets.slowest(coding)
    try:
        file = Path(source).open("rb")  # noqa: SIM115 closed below
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror}") from error
    with file, replacing(target) as out, spool(target) as payloads:
        stream = READERS[suffix](file, Path(target).parent)
        named = _named(stream)
        sections = {"program": _program(source, stream, named)} if program else {}
        writer = Writer(payloads)
        foreign = _add_all(writer, stream, named, suffix, coding)
        sections["foreign"] = foreign_section.encode(foreign)
        size = writer.finish(out, sections)
        out.flush()
        _check(Path(out.name), stream, foreign)
        if runtime_check:
            runtime.load(out.name, max_bytes=NO_LIMIT)
    return size


def _named(stream: Stream) -> list[Place]:
    """The places as they stand in the stream, under the names that they have in the file."""
    found: dict[str, Place] = {}
    for place in stream.ordered:
        name = _free_name(place.name, found)
        found[name] = replace(place, name=name)
    return list(found.values())


def _program(source: str | os.PathLike[str], stream: Stream, named: list[Place]) -> bytes:
    """The section ``program`` of an `.onnx` file."""
    from laconic.pack.onnx_program import onnx_program  # imports onnx

    held: dict[str, Place] = {}
    for place, tensor in zip(stream.ordered, named, strict=True):
        # Where names repeat, the first is the graph's own: constants of its branches come later.
        held.setdefault(place.name, tensor)
    return program_section.encode(onnx_program(source, held), [tensor.name for tensor in named])


def _add_all(
    writer: Writer, stream: Stream, named: list[Place], suffix: str, coding: str
) -> Foreign:
    """Every tensor into the file, one at a time; returns what else the stream holds."""
    cuts: list[Cut] = []
    skeleton: list[memoryview] = []
    position = 0
    for place in named:
        if place.start < position:
            raise FormatError(f"{place.name} overlaps the tensor before it", place.start)
        skeleton.append(stream.data[position : place.start])
        cuts.append(Cut(place.start - position, place.flags))
        writer.add(structured(place.name, _bits(stream, place), place.dtype, coding))
        position = place.end
    skeleton.append(stream.data[position:])
    return Foreign(suffix, tuple(cuts), stream.members, b"".join(skeleton))


def _check(packed: Path, stream: Stream, foreign: Foreign) -> None:
    """MismatchError unless the file gives back the stream, tensor by tensor, block by block."""
    with LacFile(packed, max_bytes=NO_LIMIT) as file:
        section, count = file.section_view("foreign"), len(file.names)
        again = foreign_section.decode(section, tensors=count, max_bytes=NO_LIMIT)
        parts = foreign_section.spliced(file, again)
        position = 0
        for part in parts:
            # As bytes: views are compared item by item, thirty times slower.
            if bytes(part) != bytes(stream.data[position : position + len(part)]):
                break
            position += len(part)
        if again != foreign or position != len(stream.data):
            raise MismatchError(
                "the packed file does not give back its source; nothing was written. Please "
                "report this: it is a fault in laconic"
            )


def _bits(stream: Stream, place: Place) -> Bits:
    """The tensor's bits: a view of the mapping where its bytes stand as NumPy wants them."""
    data = stream.data[place.start : place.end]
    return bits_in(data, DTYPES[place.dtype].bits, place.shape, place.flags)


def _free_name(given: str, names: Container[str]) -> str:
    """The tensor's name, with a number behind it where another one has it."""
    # The source's own spelling stays in the skeleton: a name here may be shorter than it.
    known = given.encode(errors="replace")[:LONGEST_NAME].decode(errors="ignore")
    name, number = known, 1
    while name in names:
        number += 1
        name = f"{known}#{number}"
    return name
