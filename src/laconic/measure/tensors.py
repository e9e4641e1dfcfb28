"""What each tensor of a file is made of: shape, steps, coder, bytes, zeros, values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.container import DTYPES, Entry, LacFile, Program, about, from_bits
from laconic.measure.receipts import SAME_AS, TensorRecord

BINS = 64
SMALLEST_RANGE = 1e-12
"""Of values up to 1: below it float64 has no room for the edges of the bins."""
FLOATS = frozenset(name for name in DTYPES if name.startswith(("F", "BF")))
STATISTICS = {"BatchNormalization": (3, 4)}
"""Operator → places of inputs that are running statistics, not parameters."""


def statistics_of(program: Program | None) -> set[str]:
    """Names of the tensors that a program uses as running statistics."""
    if program is None:
        return set()
    return {
        node.inputs[place] for node in program.nodes for place in STATISTICS.get(node.operator, ())
    }


def owned_entries(file: LacFile, program: Program | None) -> list[Entry]:
    """The file's float tensors, tied ones once.

    A file also stores once what is equal by chance (two biases of zeros, say). A program reads
    tied tensors by one of their names and others by their own, which tells the two apart; without
    a program equal tensors count as tied.
    """
    read = set(program.free_names()) if program else set()
    groups: dict[str, list[Entry]] = {}
    for entry in file.entries.values():
        if entry.dtype in FLOATS:
            groups.setdefault(file.same_as(entry.name) or entry.name, []).append(entry)
    return [
        entry
        for group in groups.values()
        for entry in [one for one in group if one.name in read] or group[:1]
    ]


def steps_of(file: LacFile) -> dict[str, list[str]]:
    """Tensor name → its chain as constructor calls; FormatError when the section is damaged."""
    section = file.section("about")
    if section is None:
        return {}
    offset = file.sections["about"][0]
    steps: dict[str, list[str]] = about.decode(section, offset).get("steps", {})
    return steps


def tensor_records(file: LacFile) -> list[TensorRecord]:
    """A record of every tensor in a file, in its order.

    Raises:
        FormatError: the file is damaged.
    """
    steps = steps_of(file)
    return [_record(file, entry, steps.get(name, [])) for name, entry in file.entries.items()]


def _record(file: LacFile, entry: Entry, steps: list[str]) -> TensorRecord:
    tied = file.same_as(entry.name)
    stored = file.stored(entry.name)
    distinct = len(np.unique(stored.bits))
    values = from_bits(stored.bits, entry.dtype) if DTYPES[entry.dtype].numpy else None
    bins, counts = _histogram(values) if values is not None else ([], [])
    return TensorRecord(
        name=entry.name,
        shape=list(entry.shape),
        dtype=entry.dtype,
        steps=[SAME_AS + tied] if tied else list(steps),
        coder=f"{stored.grid} {file.coder(entry.name)}",
        size_bytes=entry.length,
        parameters=entry.count,
        nonzeros=int(np.count_nonzero(stored.bits if values is None else values)),
        distinct=distinct,
        bins=bins,
        counts=counts,
    )


def _histogram(values: NDArray[Any]) -> tuple[list[float], list[int]]:
    """Edges and counts of the non-zero finite values; empty where there are none."""
    if values.dtype.kind != "f":
        return [], []
    # Before any arithmetic: NumPy warns of a signalling NaN when it is converted.
    flat = values[np.isfinite(values)].astype(np.float64)
    flat = flat[flat != 0]
    if not flat.size:
        return [], []
    # At most 1 in size: the range of the largest float64 values would overflow.
    exponent = int(np.frexp(np.abs(flat).max())[1])
    flat = np.ldexp(flat, -exponent)
    low, high = float(flat.min()), float(flat.max())
    if not high - low > SMALLEST_RANGE:
        low, high = low - 0.5 * abs(low), high + 0.5 * abs(high)
    counts, scaled = np.histogram(flat, BINS, (low, high))
    with np.errstate(over="ignore", under="ignore"):
        edges = np.nan_to_num(np.ldexp(scaled, exponent))  # infinity becomes the largest float
    return [float(f"{edge:.6g}") for edge in edges], counts.tolist()
