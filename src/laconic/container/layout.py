"""Numbers that the writer and the reader of a `.lac` file share (spec/format.md)."""

from __future__ import annotations

MAGIC = b"LAC"
VERSION = 1
SAME = 255
"""Where a grid number stands: this tensor is the same as an earlier one (tied weights)."""
MANY_DIMENSIONS = 7
"""What the three bits for the number of dimensions hold when a varint follows."""
MAX_NAME_BYTES = 2**12
SECTIONS = {"program": 1, "probe": 2, "about": 3, "foreign": 4}
SECTION_NAMES = {number: name for name, number in SECTIONS.items()}
