"""Bytes and rates of every coder on one network, and of one file as it is."""

from __future__ import annotations

import json
import re
import statistics
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from laconic.coding import IntArray, entropy_bits
from laconic.container import LacFile
from laconic.container.atomic import write_bytes
from laconic.errors import CodingError, DataError, MismatchError
from laconic.measure.processor import one_cpu
from laconic.measure.records import checked
from laconic.pack import pack_file
from laconic.studies.coding_inputs import Network
from laconic.studies.coding_sides import Side, compress_xz, compress_zstd, sides

RUNS = 3
Answer = TypeVar("Answer")
Record = TypeVar("Record", "NetworkBytes", "FileBytes")


@dataclass(frozen=True)
class NetworkBytes:
    """What every side made of one network's codes."""

    name: str
    group: str
    has_structure: bool
    codes: int
    zeros: float
    """The share of zeros."""
    entropy_bytes: int
    """Order-0 entropy of each layer, added up; tables would come on top."""
    size_bytes: dict[str, int]
    encode_rate: dict[str, float]
    """Million codes a second."""
    decode_rate: dict[str, float]


@dataclass(frozen=True)
class FileBytes:
    """What became of one file of tensors as it is."""

    name: str
    size_bytes: int
    lac_bytes: int
    zstd_bytes: int
    xz_bytes: int
    payload_bytes: int
    """Of the tensors alone, without names and header."""
    tensors_zstd_bytes: int
    tensors_xz_bytes: int
    """Of the tensors' bytes, one after the other."""
    pack_seconds: float


def timed(action: Callable[[], Answer]) -> tuple[Answer, float]:
    """What an action gives, and the median of the seconds that it took."""
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        answer = action()
        seconds.append(time.perf_counter() - start)
    return answer, statistics.median(seconds)


def measure_network(network: Network) -> NetworkBytes:
    """Code a network's layers by every side; the integers must come back.

    Raises:
        DataError: a side is not installed, or the network's file is missing.
        MismatchError: a side did not give the integers back.
    """
    layers = list(network.layers().values())
    count = sum(layer.size for layer in layers)
    found = NetworkBytes(
        name=network.name,
        group=network.group,
        has_structure=network.has_structure,
        codes=count,
        zeros=1 - sum(int(np.count_nonzero(layer)) for layer in layers) / count,
        entropy_bytes=round(sum(map(entropy_bits, layers)) / 8),
        size_bytes={},
        encode_rate={},
        decode_rate={},
    )
    with one_cpu():
        for name, set_up in sides().items():
            try:
                side = set_up(layers)
                pieces, encode_seconds = timed(lambda: side.encode(layers))  # noqa: B023
            except CodingError:
                continue  # this coder cannot hold these codes: the table has a dash
            decode_seconds = _check(side, pieces, layers, f"{network.name}: {name}")
            found.size_bytes[name] = sum(map(len, pieces))
            found.encode_rate[name] = round(count / encode_seconds / 1e6, 2)
            found.decode_rate[name] = round(count / decode_seconds / 1e6, 2)
    return found


def _check(side: Side, pieces: list[bytes], layers: Sequence[IntArray], what: str) -> float:
    again, seconds = timed(lambda: side.decode(pieces))
    for layer, decoded in zip(layers, again, strict=True):
        if decoded.shape != layer.shape or not np.array_equal(decoded, layer):
            raise MismatchError(f"{what} did not give the integers back")
    return seconds


def measure_file(source: Path, folder: Path) -> FileBytes:
    """Pack a file as it is, and compress it and its tensors' bytes by zstd and xz.

    Raises:
        DataError: zstandard is not installed, or there is no such file.
    """
    packed = folder / f"{source.name}.lac"
    with one_cpu():
        start = time.perf_counter()
        lac_bytes = pack_file(source, packed)
        pack_seconds = time.perf_counter() - start
    whole = source.read_bytes()
    with LacFile(packed) as opened:
        payload_bytes = sum(opened.entry(name).length for name in opened.entries)
        tensors = b"".join(opened.bits(name).tobytes() for name in opened.entries)
    return FileBytes(
        name=source.name,
        size_bytes=len(whole),
        lac_bytes=lac_bytes,
        zstd_bytes=len(compress_zstd(whole)),
        xz_bytes=len(compress_xz(whole)),
        payload_bytes=payload_bytes,
        tensors_zstd_bytes=len(compress_zstd(tensors)),
        tensors_xz_bytes=len(compress_xz(tensors)),
        pack_seconds=round(pack_seconds, 2),
    )


def kept(folder: Path, name: str, kind: type[Record], make: Callable[[], Record]) -> Record:
    """A measurement of an earlier run in this folder, or a new one, which is kept there.

    Raises:
        DataError: what lies there is no such measurement.
    """
    path = (
        folder
        / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)[-80:]}-{zlib.crc32(name.encode()):08x}.json"
    )
    if not path.exists():
        found = make()
        write_bytes(path, (json.dumps(asdict(found), indent=1) + "\n").encode())
        return found
    try:
        return checked(kind(**json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} is no measurement: {error}; remove it") from error
