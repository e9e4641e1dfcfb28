"""The tensors of a `.lac` file by name as a `.safetensors` or `.npz` file, in NumPy alone."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

import numpy as np

from laconic.container.dtypes import DTYPES, Bits
from laconic.container.file import LacFile
from laconic.errors import UnsupportedError, UsageError

MEMBER_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest a zip knows: the same arrays give the same bytes."""
ALIGNMENT = 8


def write_safetensors(out: BinaryIO, file: LacFile) -> None:
    """A `.safetensors` file: header length, JSON header, data in the order of the library.

    Raises:
        UsageError: a tensor is called ``__metadata__``, which the format keeps for itself.
    """
    tensors = {name: (entry.dtype, entry.shape) for name, entry in file.entries.items()}
    header, order = _safetensors_header(tensors)
    out.write(header)
    for name in order:
        for _, bits in file.payload(name).pieces():
            out.write(_little(bits))


def write_npz(out: BinaryIO, file: LacFile) -> None:
    """An `.npz` file, uncompressed as `numpy.savez` writes it.

    Raises:
        UnsupportedError: a dtype that NumPy lacks; bfloat16 is not widened in silence. A name
            that leads out of a folder.
    """
    with zipfile.ZipFile(out, "w") as archive:
        for name, entry in file.entries.items():
            if not is_member_name(name):
                raise UnsupportedError(
                    f"{name!r} would lead whoever unpacks the .npz out of his folder; unpack to a "
                    ".safetensors file instead"
                )
            head = _npy_header(name, entry.dtype, entry.shape)
            info = zipfile.ZipInfo(f"{name}.npy", MEMBER_DATE)
            info.file_size = len(head) + entry.size_bytes
            with archive.open(info, "w") as member:
                member.write(head)
                for _, bits in file.payload(name).pieces():
                    member.write(_little(bits))


def is_member_name(name: str) -> bool:
    """Whether whoever unpacks a zip finds this member inside the folder that he unpacks it to.

    Examples:
        >>> is_member_name("layer/weight.npy"), is_member_name("../weight.npy"), is_member_name("")
        (True, False, False)
    """
    steps = name.replace("\\", "/").split("/")
    return ".." not in steps and steps[0] != "" and ":" not in steps[0] and "\0" not in name


TENSOR_FILES: Mapping[str, Callable[[BinaryIO, LacFile], None]] = {
    ".safetensors": write_safetensors,
    ".npz": write_npz,
}
"""Suffix → what writes such a file."""


def safetensors_bytes(tensors: Mapping[str, tuple[str, Bits]]) -> bytes:
    """A `.safetensors` file of dtypes and bits in memory.

    Raises:
        UsageError: a tensor is called ``__metadata__``.
    """
    header, order = _safetensors_header(
        {name: (dtype, bits.shape) for name, (dtype, bits) in tensors.items()}
    )
    return b"".join([header, *(_little(tensors[name][1]) for name in order)])


def _safetensors_header(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]],
) -> tuple[bytes, Iterable[str]]:
    """What stands before the data, and the order of the data."""
    if "__metadata__" in tensors:
        raise UsageError("a .safetensors file cannot hold a tensor that is called __metadata__")
    order = sorted(tensors, key=lambda name: (-DTYPES[tensors[name][0]].size_bytes, name))
    header, position = {}, 0
    for name in order:
        dtype, shape = tensors[name]
        end = position + int(np.prod(shape, dtype=object)) * DTYPES[dtype].size_bytes
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, order


def _npy_header(name: str, dtype: str, shape: tuple[int, ...]) -> bytes:
    """What stands before the items in an `.npy` file."""
    numpy = DTYPES[dtype].numpy
    if numpy is None:
        raise UnsupportedError(
            f"{name}: NumPy has no {dtype}; unpack to a .safetensors file instead"
        )
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": numpy, "fortran_order": False, "shape": shape}
    )
    return head.getvalue()


def _little(bits: Bits) -> bytes:
    return bits.astype(bits.dtype.newbyteorder("<"), copy=False).tobytes()
