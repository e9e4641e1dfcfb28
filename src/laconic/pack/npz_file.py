"""Where the arrays stand in an `.npz` file: a zip of `.npy` files."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib

import numpy as np

from laconic.container.dtypes import BY_NUMPY
from laconic.container.file import MAX_BYTES
from laconic.container.foreign import BIG_ENDIAN, FORTRAN
from laconic.errors import FormatError, UnsupportedError
from laconic.pack.stream import Place, Stream

BROKEN = (
    zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError,
    zlib.error, SyntaxError, tokenize.TokenError,
)  # fmt: skip
"""What `zipfile` raises when an archive is damaged, encrypted or of an unknown kind, and NumPy when
the header of an `.npy` is no Python literal."""


def read_npz(data: bytes) -> Stream:
    """The members one after the other; of each `.npy` the array's bytes are a place.

    Strings, dates and records stay what they are, bytes of the skeleton.

    Raises:
        FormatError: no zip, a damaged member, or two members of one name.
        UnsupportedError: an array of Python objects (pickle), or more than 4 GiB.
    """
    parts: list[bytes] = []
    places: list[Place] = []
    members: list[tuple[str, int]] = []
    position = 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            total = sum(info.file_size for info in archive.infolist())
            if total > MAX_BYTES:
                raise UnsupportedError(f"the members have {total:,} bytes; 4 GiB are possible")
            for info in archive.infolist():
                parts.append(archive.read(info))
                members.append((info.filename, len(parts[-1])))
                if info.filename.endswith(".npy"):
                    places += _array_in(info.filename, parts[-1], position)
                position += len(parts[-1])
    except BROKEN as error:
        raise FormatError(f"this is no readable .npz file: {error}", 0) from error
    if len({name for name, _ in members}) != len(members):
        raise FormatError("two members of the .npz file have one name", 0)
    return Stream(b"".join(parts), places, tuple(members))


def _array_in(member: str, data: bytes, origin: int) -> list[Place]:
    """The array of a `.npy` file that stands at `origin`, or nothing for other dtypes."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        return []  # version 3 has names beyond Latin-1, so it holds records
    if dtype.hasobject:
        raise UnsupportedError(
            f"{member} holds Python objects, which only pickle can write; save plain arrays"
        )
    little = dtype.newbyteorder("<")
    swapped = dtype.str.startswith(">")
    if little not in BY_NUMPY or (swapped and dtype.kind == "c"):
        return []
    flags = (FORTRAN if fortran else 0) | (BIG_ENDIAN if swapped else 0)
    name = member.removesuffix(".npy")
    start, end = origin + file.tell(), origin + len(data)
    place = Place(name, BY_NUMPY[little].name, shape, start, end, flags)
    if not place.fits:
        raise FormatError(f"{member} has {end - start} bytes, not those of {dtype} {shape}", start)
    return [place.storable]
