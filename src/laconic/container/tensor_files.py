"""Tensors by name as the bytes of a `.safetensors` or `.npz` file, in NumPy alone."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping

import numpy as np

from laconic.container.dtypes import DTYPES, Bits, from_bits
from laconic.errors import UnsupportedError, UsageError

Tensors = Mapping[str, tuple[str, Bits]]
"""Name → the file's dtype and the bits of the values."""
MEMBER_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest a zip knows: the same arrays give the same bytes."""
ALIGNMENT = 8


def safetensors_bytes(tensors: Tensors) -> bytes:
    """A `.safetensors` file: header length, JSON header, data in the order of the library.

    Raises:
        UsageError: a tensor is called ``__metadata__``, which the format keeps for itself.
    """
    if "__metadata__" in tensors:
        raise UsageError("a .safetensors file cannot hold a tensor that is called __metadata__")
    order = sorted(tensors, key=lambda name: (-DTYPES[tensors[name][0]].size_bytes, name))
    header, parts, position = {}, [], 0
    for name in order:
        dtype, bits = tensors[name]
        parts.append(bits.astype(bits.dtype.newbyteorder("<"), copy=False).tobytes())
        end = position + len(parts[-1])
        header[name] = {
            "dtype": dtype, "shape": list(bits.shape), "data_offsets": [position, end]
        }  # fmt: skip
        position = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def npz_bytes(tensors: Tensors) -> bytes:
    """An `.npz` file, uncompressed as `numpy.savez` writes it.

    Raises:
        UnsupportedError: a dtype that NumPy lacks; bfloat16 is not widened in silence.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, (dtype, bits) in tensors.items():
            if DTYPES[dtype].numpy is None:
                raise UnsupportedError(
                    f"{name}: NumPy has no {dtype}; unpack to a .safetensors file instead"
                )
            member = io.BytesIO()
            np.lib.format.write_array(member, from_bits(bits, dtype), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", MEMBER_DATE), member.getvalue())
    return buffer.getvalue()
