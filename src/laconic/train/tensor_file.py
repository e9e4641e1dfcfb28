"""Tensors and a description of them in one safetensors file, with a checksum."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from laconic.container.atomic import write_bytes
from laconic.errors import DataError

Described = dict[str, Any]
"""JSON data."""


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], about: Described
) -> None:
    """Write tensors and JSON data, whole or not at all.

    A tensor that stands under several names (the same object: tied weights) is written once.

    Args:
        path: appears, or is replaced, when everything is written.
        tensors: any dtype that safetensors knows, on any device.
        about: JSON data kept beside them.
    """
    first: dict[int, str] = {}
    same, distinct = {}, {}
    for name, tensor in tensors.items():
        if id(tensor) in first:
            same[name] = first[id(tensor)]
        else:
            first[id(tensor)] = name
            # A copy of its own: safetensors refuses views that share memory.
            distinct[name] = tensor.detach().to("cpu", copy=True).contiguous()
    text = json.dumps({"about": about, "same": same})
    metadata = {"laconic": text, "crc32": _checksum(text, distinct)}
    write_bytes(path, safetensors.torch.save(distinct, metadata))


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], Described]:
    """What `write_tensors` wrote; names that were one tensor are one tensor again.

    Raises:
        DataError: the file is missing, truncated, damaged or was written by something else.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            mapped = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            found = _checksum(metadata["laconic"], mapped)
            # Of their own, so that an optimizer may change them in place.
            tensors = {name: tensor.clone() for name, tensor in mapped.items()}
        content = json.loads(metadata["laconic"])
        about, same = content["about"], content["same"]
        tensors |= {alias: tensors[name] for alias, name in same.items()}
    except (SafetensorError, OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{path} is no file of a laconic training, or it is damaged ({error}); delete it to "
            "start again"
        ) from error
    if found != metadata.get("crc32"):
        raise DataError(
            f"{path} is damaged: its checksum is {found}, it promises {metadata.get('crc32')}; "
            "delete it to start again"
        )
    return tensors, about


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    """CRC-32 of names, dtypes, shapes and bytes: safetensors itself checks lengths alone."""
    crc = zlib.crc32(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        crc = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), crc)
        if tensor.numel():
            crc = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, crc)
    return f"{crc:08x}"
