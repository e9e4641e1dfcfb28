"""Where the tensors stand in a `.safetensors` file (github.com/huggingface/safetensors)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

from laconic.container.dtypes import DTYPES
from laconic.errors import FormatError
from laconic.pack.stream import Place, Stream, mapped, raw_place

HEADER_START = 8
MAX_HEADER_BYTES = 100_000_000
"""What the library itself refuses to exceed."""


def read_safetensors(file: BinaryIO, folder: Path) -> Stream:
    """Eight bytes of header length, a JSON header, then the tensors' bytes.

    A dtype that `.lac` files do not know (those of less than a byte) becomes unsigned bytes.

    Args:
        file: the open file.
        folder: where space for unpacking is; a `.safetensors` file needs none.

    Raises:
        FormatError: the header is no such header, or promises bytes that are not there.
    """
    data = mapped(file)
    if len(data) < HEADER_START:
        raise FormatError(f"{len(data)} bytes are too few for a .safetensors file", 0)
    length = int.from_bytes(data[:HEADER_START], "little")
    start = HEADER_START + length
    if length > MAX_HEADER_BYTES or start > len(data):
        limit = min(MAX_HEADER_BYTES, len(data) - HEADER_START)
        raise FormatError(f"a header of {length} bytes is promised; at most {limit} can be", 0)
    try:
        header = json.loads(
            bytes(data[HEADER_START:start]).decode(), object_pairs_hook=_without_repeats
        )
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the header is no JSON: {error}", HEADER_START) from error
    if not isinstance(header, dict):
        raise FormatError("the header is no JSON object", HEADER_START)
    places = [
        _place(name, described, start, len(data))
        for name, described in header.items()
        if name != "__metadata__"
    ]
    return Stream(data, places)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _place(name: str, described: Any, origin: int, size: int) -> Place:
    """One tensor of the header; offsets count from the end of the header."""
    fields: dict[str, Any] = described if isinstance(described, dict) else {}
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not (isinstance(dtype, str) and _are_sizes(shape) and _are_sizes(offsets, 2)):
        raise FormatError(f"{name!r} is not described by dtype, shape, data_offsets", HEADER_START)
    start, end = origin + offsets[0], origin + offsets[1]
    if not start <= end <= size:
        raise FormatError(
            f"{name!r} lies from byte {start} to {end}; the file ends at {size}", HEADER_START
        )
    if dtype not in DTYPES:
        return raw_place(name, start, end)
    place = Place(name, dtype, tuple(shape), start, end)
    if not place.fits:
        raise FormatError(
            f"{name!r} has {end - start} bytes, which are not {dtype} {shape}", HEADER_START
        )
    return place.storable


def _are_sizes(value: Any, count: int | None = None) -> TypeGuard[list[int]]:
    """Whether this is a list of numbers ≥ 0, of that length."""
    if not isinstance(value, list) or (count is not None and len(value) != count):
        return False
    return all(type(item) is int and item >= 0 for item in value)
