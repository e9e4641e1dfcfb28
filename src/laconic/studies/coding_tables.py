"""The figures of `laconic study coding`, network by network, as tables of text."""

from __future__ import annotations

from collections.abc import Sequence

from laconic.studies.coding_measure import RUNS, FileBytes, NetworkBytes
from laconic.studies.coding_sides import DEEPCABAC
from laconic.studies.study import Table

RATE = f"million codes a second on one processor, median of {RUNS} runs"
NONE = "–"
"""Stands where a coder cannot hold the codes of a network."""
FILE_HEADER = [
    "file", "bytes", ".lac", "zstd -19", "xz -9", "payloads", "tensors by zstd -19",
    "tensors by xz -9", "seconds to pack",
]  # fmt: skip


def network_tables(found: Sequence[NetworkBytes]) -> list[Table]:
    """Bytes and rates: a line a network, a column a side."""
    sides = list(dict.fromkeys(side for one in found for side in one.size_bytes))
    lines = [
        [one.name, f"{one.codes:,}", f"{one.zeros:.0%}", f"{one.entropy_bytes:,}"]
        + [f"{one.size_bytes[side]:,}" if side in one.size_bytes else NONE for side in sides]
        for one in found
    ]
    return [
        Table("Bytes of the codes", ["network", "codes", "zeros", "entropy", *sides], lines),
        _rates(f"Encoding, {RATE}", sides, [(one.name, one.encode_rate) for one in found]),
        _rates(f"Decoding, {RATE}", sides, [(one.name, one.decode_rate) for one in found]),
    ]


def _rates(title: str, sides: list[str], rates: list[tuple[str, dict[str, float]]]) -> Table:
    lines = [
        [name, *(f"{rate[side]:.1f}" if side in rate else NONE for side in sides)]
        for name, rate in rates
    ]
    return Table(title, ["network", *sides], lines)


def side_table(one: NetworkBytes) -> Table:
    """Bytes and rates of one network: a line a side."""
    title = (
        f"{one.name}: {one.codes:,} codes, {one.zeros:.0%} zeros, entropy "
        f"{one.entropy_bytes:,} bytes; {RATE}"
    )
    lines = [
        [
            side,
            f"{size:,}",
            f"{size / one.size_bytes[DEEPCABAC]:.4f}×",
            f"{one.encode_rate[side]:.1f}",
            f"{one.decode_rate[side]:.1f}",
        ]
        for side, size in one.size_bytes.items()
    ]
    return Table(title, ["coder", "bytes", "DeepCABAC", "encode", "decode"], lines)


def file_tables(packed: Sequence[FileBytes]) -> list[Table]:
    """Files as they are, if there are any; and their tensors without names and header."""
    lines = []
    for one in packed:
        sizes = (
            one.size_bytes, one.lac_bytes, one.zstd_bytes, one.xz_bytes,
            one.payload_bytes, one.tensors_zstd_bytes, one.tensors_xz_bytes,
        )  # fmt: skip
        lines.append([one.name, *(f"{size:,}" for size in sizes), f"{one.pack_seconds:.2f}"])
    return [Table("Files untouched", FILE_HEADER, lines)] if lines else []
