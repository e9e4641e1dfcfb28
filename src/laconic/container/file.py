"""The `.lac` file, read one tensor at a time, and parts of a tensor (spec/format.md)."""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from laconic.coding.reader import Reader
from laconic.container.dtypes import Bits, from_bits
from laconic.container.grids import StoredTensor
from laconic.container.header import Entry, read_header
from laconic.container.layout import SAME
from laconic.container.payload import Payload, open_payload, part
from laconic.errors import FormatError, MismatchError, UsageError

MAX_BYTES = 2**32
"""Refuse files that would unpack to more than this, unless the caller allows it."""
LONGEST_SAME = 16
"""In bytes: no reference to another tensor is longer."""


class LacFile:
    """An open `.lac` file; the header is read and checked, tensors are decoded on request.

    A tensor is read from its own bytes, a part of a large one from its blocks: nothing else of the
    file is touched. Whatever a file says, reading it in one thread takes at most 64 MB beside what
    its tensors unpack to (tests/attacks/test_memory.py).

    Args:
        source: a path (memory-mapped) or the bytes themselves.
        max_bytes: refuse a file whose tensors would unpack to more bytes than this.
        threads: how many blocks of a tensor are decoded at once; each takes up to 20 MB.

    Raises:
        FormatError: from the constructor and from every reading method, with the offset.

    Examples:
        >>> import numpy as np
        >>> from laconic.container import pack_bytes, plain, to_bits
        >>> table = np.float32([[1, 2], [3, 4], [5, 6]])
        >>> with LacFile(pack_bytes([plain("table", to_bits(table), "F32")], {})) as file:
        ...     file.array("table").sum(), file.rows("table", 1, 2)
        (np.float32(21.0), array([[3., 4.]], dtype=float32))
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes,
        *,
        max_bytes: int = MAX_BYTES,
        threads: int = 1,
    ) -> None:
        self.threads = threads
        self._map: mmap.mmap | None = None
        if isinstance(source, bytes):
            self.data = memoryview(source)
        else:
            self.data = self._mapped(Path(source))
        try:
            header = read_header(self.data)
            total = sum(entry.size_bytes for entry in header.entries.values())
            self.spare_bytes = max_bytes - total
            if self.spare_bytes < 0:
                raise FormatError(
                    f"the tensors unpack to {total:,} bytes; {max_bytes:,} are allowed "
                    "(max_bytes, --max-bytes)",
                    0,
                )
        except FormatError:
            self.close()
            raise
        self.entries, self.sections = header.entries, header.sections
        self.names = list(self.entries)

    def _mapped(self, path: Path) -> memoryview:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise FormatError("the file is empty", 0)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return memoryview(self._map)

    def close(self) -> None:
        """Release the mapping; arrays read before stay valid."""
        self.data.release()
        if self._map is not None:
            # A table or an error's traceback may still look into the map; it goes with them.
            with contextlib.suppress(BufferError):
                self._map.close()

    def __enter__(self) -> LacFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def check_parts(self) -> None:
        """Hold every part against its checksum, decoding none; FormatError at the first fault.

        Reading one tensor reads its own bytes alone; who answers for the whole file calls this.
        """
        for entry in self.entries.values():
            part(self.data, entry.offset, entry.length, entry.checksum, entry.name)
        for name, place in self.sections.items():
            part(self.data, *place, f"section {name}")

    def entry(self, name: str) -> Entry:
        """The header's line on a tensor.

        Raises:
            MismatchError: no tensor has this name; the message lists those that exist.
        """
        if name not in self.entries:
            listed = ", ".join(self.entries) or "none"
            raise MismatchError(f"the file has no tensor {name!r}; it has: {listed}")
        return self.entries[name]

    def section(self, name: str) -> bytes | None:
        """The bytes of a section (a key of `SECTIONS`), or None when the file has none."""
        return bytes(self.section_view(name)) if name in self.sections else None

    def section_view(self, name: str) -> memoryview:
        """The bytes of a section that the file has, where they stand: valid until it is closed."""
        return part(self.data, *self.sections[name], f"section {name}")

    def same_as(self, name: str) -> str | None:
        """The earlier tensor that this one is tied to, or None."""
        entry = self.entry(name)
        if not self._is_same(entry):
            return None
        whole = part(self.data, entry.offset, entry.length, entry.checksum, entry.name)
        reader = Reader(whole[1:], entry.offset + 1)
        first = reader.varint()
        reader.end()
        if first >= entry.place:
            raise reader.error(f"{name} claims to equal tensor {first}, which is not before it")
        origin = self.entries[self.names[first]]
        if (origin.dtype, origin.shape) != (entry.dtype, entry.shape):
            raise reader.error(f"{name} claims to equal {origin.name} of another shape or dtype")
        if self._is_same(origin):
            raise FormatError(
                f"{name} equals {origin.name}, which is itself a reference", origin.offset
            )
        return origin.name

    def _is_same(self, entry: Entry) -> bool:
        if entry.length > LONGEST_SAME:
            return False
        whole = part(self.data, entry.offset, entry.length, entry.checksum, entry.name)
        return whole[:1] == bytes([SAME])

    def payload(self, name: str) -> Payload:
        """The tensor's payload (that of an earlier one when tied), checked and not yet decoded."""
        origin = self.same_as(name)
        return open_payload(self.data, self.entries[name if origin is None else origin])

    def stored(self, name: str) -> StoredTensor:
        """The tensor's codes and tables, decoded from its own bytes alone."""
        return self.payload(name).stored(name, self.threads)

    def coder(self, name: str) -> str:
        """The name of the coder that holds the tensor's codes."""
        return self.payload(name).coder

    def bits(self, name: str) -> Bits:
        """The values' bits as unsigned integers."""
        return self.payload(name).bits(self.threads)

    def array(self, name: str) -> NDArray[Any]:
        """The values; bfloat16 widened exactly to float32."""
        return from_bits(self.bits(name), self.entry(name).dtype)

    def rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """The values of indices `start` to before `stop` of the first axis.

        Of a tensor in blocks only those are read that hold these rows.

        Raises:
            UsageError: the tensor has no such rows.
        """
        entry = self.entry(name)
        if not (entry.shape and 0 <= start <= stop <= entry.shape[0]):
            raise UsageError(f"{name} has the shape {list(entry.shape)}: no rows {start} to {stop}")
        width = entry.count // max(1, entry.shape[0])
        bits = self.payload(name).bits_from(start * width, stop * width)
        return from_bits(bits.reshape(stop - start, *entry.shape[1:]), entry.dtype)

    def verify(self) -> None:
        """Decode every tensor and every section; FormatError at the first fault."""
        # Not above: the sections' readers stand on this module.
        from laconic.container import about, foreign, probe, program

        self.check_parts()
        for name in self.names:
            for _ in self.payload(name).pieces():
                pass  # decoding is the test
        for name, (offset, _, _) in self.sections.items():
            data = self.section_view(name)
            match name:
                case "program":
                    program.decode(data, self.names, offset)
                case "probe":
                    probe.decode(data, offset)
                case "about":
                    about.decode(data, offset)
                case "foreign":
                    left = self.spare_bytes
                    foreign.decode(data, offset, tensors=len(self.names), max_bytes=left)
