"""Numbers that the writer and the reader of a `.lac` file share (spec/format.md)."""

from __future__ import annotations

MAGIC = b"LAC"
VERSION = 2
SAME = 255
"""Where a grid number stands: this tensor is the same as an earlier one (tied weights)."""
MANY_DIMENSIONS = 7
"""What the three bits for the number of dimensions hold when a varint follows."""
MAX_NAME_BYTES = 2**12
# A header is read into memory: these keep it below 30 MB, whatever a file promises.
MAX_HEADER_BYTES = 2**21
MAX_NAMES_BYTES = 2**22
"""Of all names together, each with what it shares with the one before; see `name_cost`."""
MAX_TENSORS = 2**16
SECTIONS = {"program": 1, "probe": 2, "about": 3, "foreign": 4}
SECTION_NAMES = {number: name for name, number in SECTIONS.items()}
MAX_SECTION_BYTES = {"program": 2**24, "probe": 2**17, "about": 2**20}
"""As they stand in the file; `foreign` is bounded by what a caller lets a file unpack to."""


def name_cost(name: bytes) -> int:
    """What a name counts: its bytes, four times beyond ASCII, because Python then takes as many.

    Examples:
        >>> name_cost(b"fc"), name_cost("größe".encode())
        (2, 28)
    """
    return len(name) * (1 if name.isascii() else 4)
