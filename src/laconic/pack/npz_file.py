"""Where the arrays stand in an `.npz` file: a zip of `.npy` files."""

from __future__ import annotations

import io
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from laconic.container.dtypes import BY_NUMPY
from laconic.container.file import MAX_BYTES
from laconic.container.foreign import (
    BIG_ENDIAN,
    FORTRAN,
    MAX_MEMBER_NAME_BYTES,
    MAX_MEMBERS,
)
from laconic.container.tensor_files import is_member_name
from laconic.errors import FormatError, UnsupportedError
from laconic.pack.stream import Place, Stream, mapped

BROKEN = (
    zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError,
    zlib.error, SyntaxError, tokenize.TokenError,
)  # fmt: skip
"""What `zipfile` raises when an archive is damaged, encrypted or of an unknown kind, and NumPy when
the header of an `.npy` is no Python literal."""

MAX_HEADER_BYTES = 2**16
"""Of an `.npy`; NumPy reads headers of at most 10,000 bytes."""
COPIED = 2**20
"""Bytes of a member in memory at a time."""


def read_npz(file: BinaryIO, folder: Path) -> Stream:
    """The members one after the other; of each `.npy` the array's bytes are a place.

    Strings, dates and records stay what they are, bytes of the skeleton.

    Args:
        file: the open file.
        folder: members are unpacked to a file without a name here, not to memory.

    Raises:
        FormatError: no zip, a damaged member, or two members of one name.
        UnsupportedError: an array of Python objects (pickle), or more than 4 GiB.
    """
    places: list[Place] = []
    members: list[tuple[str, int]] = []
    try:
        with zipfile.ZipFile(file) as archive, tempfile.TemporaryFile(dir=folder) as unpacked:
            total = sum(info.file_size for info in archive.infolist())
            if total > MAX_BYTES:
                raise UnsupportedError(f"the members have {total:,} bytes; 4 GiB are possible")
            for info in archive.infolist():
                start = unpacked.tell()
                with archive.open(info) as member:
                    shutil.copyfileobj(member, unpacked, COPIED)
                members.append((info.filename, unpacked.tell() - start))
            data = mapped(unpacked)
        position = 0
        for name, length in members:
            if name.endswith(".npy"):
                places += _array_in(name, data[position : position + length], position)
            position += length
    except BROKEN as error:
        raise FormatError(f"this is no readable .npz file: {error}", 0) from error
    _check_names([name for name, _ in members])
    return Stream(data, places, tuple(members))


def _check_names(names: list[str]) -> None:
    """FormatError for members that no `.lac` file holds."""
    if len(set(names)) != len(names):
        raise FormatError("two members of the .npz file have one name", 0)
    if len(names) > MAX_MEMBERS:
        raise FormatError(f"{len(names):,} members; at most {MAX_MEMBERS:,} can be packed", 0)
    for name in names:
        if not is_member_name(name) or len(name.encode(errors="replace")) > MAX_MEMBER_NAME_BYTES:
            raise FormatError(f"the member {name[:80]!r} leads out of a folder, or is too long", 0)


def _array_in(member: str, data: memoryview, origin: int) -> list[Place]:
    """The array of a `.npy` file that stands at `origin`, or nothing for other dtypes."""
    file = io.BytesIO(data[:MAX_HEADER_BYTES])
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
