"""Large arrays in blocks, each a coded array of its own: threads, partial reads, bounded memory."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from laconic.coding.coder import Coder, IntArray, Speed
from laconic.coding.integers import blank, patterns
from laconic.coding.reader import Reader

BLOCK_BITS = 20
"""A block has at most 2 to this many items."""
LEAST_BLOCK_BITS = 12
ENTRY = np.dtype([("length", "<u4"), ("checksum", "<u4")])
"""What the table says of each block."""
Table = NDArray[Any]


@dataclass(frozen=True)
class Run:
    """A run of an array's items that can be decoded without the others."""

    start: int
    """Place of its first item in the flat array."""
    shape: tuple[int, ...]
    decode: Callable[[], IntArray]
    """Its items, in `shape`; FormatError when its bytes are damaged."""

    @property
    def stop(self) -> int:
        """Place behind its last item."""
        return self.start + math.prod(self.shape)


@dataclass(frozen=True)
class Geometry:
    """How an array is cut: `rows` whole indices of its leading axes, flattened, are a block."""

    count: int
    """Of the indices."""
    rows: int
    inner: tuple[int, ...]
    """Shape of what one index holds."""

    @property
    def blocks(self) -> int:
        """Number of blocks; the last one may be shorter."""
        return -(-self.count // self.rows)

    def places(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Flat start and shape of each block."""
        width = math.prod(self.inner)
        for first in range(0, self.count, self.rows):
            yield first * width, (min(self.rows, self.count - first), *self.inner)


def geometry(shape: tuple[int, ...], bits: int) -> Geometry:
    """Blocks of at most 2^bits items: leading axes are flattened until one index fits a block.

    Examples:
        >>> geometry((512, 512, 3, 3), 20)
        Geometry(count=512, rows=227, inner=(512, 3, 3))
        >>> geometry((64, 3_000_000), 20)
        Geometry(count=192000000, rows=1048576, inner=())
    """
    shape = shape or (1,)
    axis = 1
    while math.prod(shape[axis:]) > 1 << bits:
        axis += 1
    inner = shape[axis:]
    return Geometry(math.prod(shape[:axis]), (1 << bits) // max(1, math.prod(inner)), inner)


class DecodeOne(Protocol):
    """Decodes a coded array that is not in blocks."""

    def __call__(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray: ...


class Blocks(Coder):
    """Runs of at most 2^bits items, each by the coder that suits it (spec/coders.md, `blocks`).

    Args:
        encode_one: makes the coded array of a block.
        decode_one: reads it.
        bits: from 12 to 20.
    """

    name: ClassVar[str] = "blocks"
    number: ClassVar[int] = 8
    decode_speed: ClassVar[Speed] = Speed.FAST  # as fast as the coders inside

    def __init__(
        self,
        encode_one: Callable[[IntArray], bytes],
        decode_one: DecodeOne,
        bits: int = BLOCK_BITS,
    ) -> None:
        self.encode_one = encode_one
        self.decode_one = decode_one
        self.bits = bits

    def encode(self, codes: IntArray) -> bytes:
        return b"".join(self.chunks(codes))

    def chunks(self, codes: IntArray) -> list[bytes]:
        """What `encode` gives, in pieces: the table, then the blocks."""
        if codes.dtype.kind not in "iu":
            patterns(codes)  # says what is wrong
        if codes.size == 0:
            return [b""]
        flat = codes.reshape(-1)
        blocks = []
        for start, shape in geometry(codes.shape, self.bits).places():
            block = flat[start : start + math.prod(shape)].reshape(shape)
            # A file's values may stand at any address; the kernels want whole items.
            blocks.append(self.encode_one(np.require(block, requirements="A")))
        table = np.array([(len(block), zlib.crc32(block)) for block in blocks], ENTRY)
        return [bytes([self.bits]) + table.tobytes(), *blocks]

    def decode(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> IntArray:
        runs = self.runs(reader, shape, dtype)
        return gathered(runs, blank(shape, dtype, reader))

    def runs(self, reader: Reader, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[Run]:
        """The blocks, none of them decoded yet; `reader` stands at its end.

        Raises:
            FormatError: at once, when the table does not fit the shape or the bytes. Nothing was
                allocated for items by then.
        """
        cut, table = read_table(reader, shape)
        body = Reader(reader.rest(), reader.offset - int(table["length"].sum(dtype=np.int64)))
        return self._runs(body, cut, table, dtype)

    def _runs(self, body: Reader, cut: Geometry, table: Table, dtype: DTypeLike) -> Iterator[Run]:
        for (start, shape), (length, checksum) in zip(cut.places(), table, strict=True):
            offset = body.offset
            block = Reader(body.take(int(length)), offset)
            yield Run(start, shape, partial(self._block, block, int(checksum), shape, dtype))

    def _block(
        self, reader: Reader, checksum: int, shape: tuple[int, ...], dtype: DTypeLike
    ) -> IntArray:
        """The items of one block, once its bytes are seen to be whole."""
        if zlib.crc32(reader.data) != checksum:
            raise reader.error("a block's checksum is wrong, its bytes are damaged")
        return self.decode_one(reader, shape, dtype)


def read_table(reader: Reader, shape: tuple[int, ...]) -> tuple[Geometry, Table]:
    """How the array is cut, and what is said of each block; `reader` then stands behind it.

    Raises:
        FormatError: the table does not fit the shape, or not the bytes behind it.
    """
    if math.prod(shape) == 0:
        reader.end()
        return Geometry(0, 1, ()), np.zeros(0, ENTRY)
    bits = reader.u8()
    if not LEAST_BLOCK_BITS <= bits <= BLOCK_BITS:
        raise reader.error(
            f"blocks of 2^{bits} items; from 2^{LEAST_BLOCK_BITS} to 2^{BLOCK_BITS} can be"
        )
    cut = geometry(shape, bits)
    table = np.frombuffer(reader.take(cut.blocks * ENTRY.itemsize), ENTRY)
    promised = int(table["length"].sum(dtype=np.int64))
    if promised != reader.remaining:
        raise reader.error(f"the blocks take {promised} bytes, {reader.remaining} are there")
    return cut, table


def gathered(runs: Iterable[Run], out: IntArray, threads: int = 1) -> IntArray:
    """`out`, filled with the items of all runs."""
    flat = out.reshape(-1)

    def fill(run: Run) -> None:
        flat[run.start : run.stop] = run.decode().reshape(-1)

    for_each(runs, fill, threads)
    return out


def for_each(runs: Iterable[Run], action: Callable[[Run], None], threads: int = 1) -> None:
    """Call `action` on every run, in several threads at once; the first error is raised.

    The native inner loops give the interpreter's lock back, so that threads decode side by side.
    """
    if threads == 1:
        for run in runs:
            action(run)
        return
    from concurrent.futures import ThreadPoolExecutor  # slow to import: one thread needs none

    lock, waiting = Lock(), iter(runs)

    def work() -> None:
        while True:
            with lock:
                run = next(waiting, None)
            if run is None:
                return
            action(run)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
