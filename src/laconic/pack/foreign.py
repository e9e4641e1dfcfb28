"""`.safetensors`, `.npz` and `.onnx` files → `.lac`, lossless: NumPy is all it needs."""

from __future__ import annotations

import os
from pathlib import Path

from laconic.container import LacFile, StoredTensor, pack_bytes
from laconic.container import foreign as foreign_section
from laconic.container.atomic import write_bytes
from laconic.container.dtypes import DTYPES
from laconic.container.foreign import KINDS, Cut, Foreign, bits_in
from laconic.errors import DataError, FormatError, MismatchError, UsageError
from laconic.pack.npz_file import read_npz
from laconic.pack.onnx_file import read_onnx
from laconic.pack.safetensors_file import read_safetensors
from laconic.pack.stream import Place, Stream
from laconic.pack.structure import structured

LONGEST_NAME = 4000
"""In bytes: leaves room for a number behind it."""
READERS = {".safetensors": read_safetensors, ".npz": read_npz, ".onnx": read_onnx}


def pack_file(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> int:
    """Pack a file of tensors losslessly; returns the bytes written.

    `laconic.container.foreign.unpack_file` gives a `.safetensors` or `.onnx` file back byte for
    byte, and an `.npz` with the same members byte for byte; that is tried before anything is
    written. Every dtype that safetensors knows is kept.

    Args:
        source: ends in ``.safetensors``, ``.npz`` or ``.onnx``.
        target: ends in ``.lac``; appears whole or not at all.

    Raises:
        UsageError: a suffix that is none of these.
        DataError: the source does not exist.
        FormatError: the source is not what its suffix says, with the offset in it.
        UnsupportedError: an `.npz` with Python objects, an `.onnx` with external data.

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
    try:
        data = Path(source).read_bytes()
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror}") from error
    packed = _packed(READERS[suffix](data), suffix)
    write_bytes(target, packed)
    return len(packed)


def _packed(stream: Stream, suffix: str) -> bytes:
    """The bytes of the `.lac` file, once they give back the stream."""
    cuts: list[Cut] = []
    skeleton: list[memoryview] = []
    tensors: list[StoredTensor] = []
    names: set[str] = set()
    position = 0
    data = memoryview(stream.data)
    for place in sorted(stream.places, key=lambda place: (place.start, place.end)):
        if place.start < position:
            raise FormatError(f"{place.name} overlaps the tensor before it", place.start)
        skeleton.append(data[position : place.start])
        cuts.append(Cut(place.start - position, place.flags))
        tensors.append(_stored(place, data, names))
        position = place.end
    skeleton.append(data[position:])
    foreign = Foreign(suffix, tuple(cuts), stream.members, b"".join(skeleton))
    packed = pack_bytes(tensors, {"foreign": foreign_section.encode(foreign)})
    with LacFile(packed, max_bytes=2**62) as file:
        section = file.section("foreign") or b""
        again = foreign_section.decode(section, max_bytes=2**62)
        if again != foreign or foreign_section.spliced(file, again) != stream.data:
            raise MismatchError(
                "the packed file does not give back its source; nothing was written. Please "
                "report this: it is a fault in laconic"
            )
    return packed


def _stored(place: Place, data: memoryview, names: set[str]) -> StoredTensor:
    """The tensor in its smallest form, under a name of its own."""
    # The source's own spelling stays in the skeleton: a name here may be shorter than it.
    known = place.name.encode(errors="replace")[:LONGEST_NAME].decode(errors="ignore")
    name, number = known, 1
    while name in names:
        number += 1
        name = f"{known}#{number}"
    names.add(name)
    part = data[place.start : place.end]
    bits = bits_in(part, DTYPES[place.dtype].bits, place.shape, place.flags)
    return structured(name, bits, place.dtype)
