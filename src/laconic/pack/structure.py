"""Structure in values that anyone made: the form of a tensor that takes the fewest bytes."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from laconic import coding
from laconic.container import StoredTensor, codebook, codebooks, plain, rows
from laconic.container.dtypes import DTYPES, Bits
from laconic.container.grids import head
from laconic.container.grids.codebook_grid import MAX_CODEBOOKS
from laconic.container.grids.entries import MAX_ENTRIES
from laconic.container.grids.forms import distinct_values
from laconic.container.grids.numbers import MAX_NUMBERS
from laconic.container.grids.row_index import row_index
from laconic.container.grids.tiles import along
from laconic.pack.tilings import spread
from laconic.pack.uniform_search import find_uniform

SAMPLE = 4096
"""Values looked at before all of them are."""
SAMPLE_ROWS, SAMPLE_COLUMNS = 1024, 32
MOST_DISTINCT, MOST_DISTINCT_IF_LARGE = 2**16, 2**10
"""Values of a codebook; every bfloat16 tensor has only some thousand, and gains nothing."""
MOST_IN_A_CHANNEL = 2**8
REPEATED = 0.75
"""Values, or rows, that are different: at most so large a part of them is worth a table."""
LARGE = 2**17
"""Codes; the forms of larger tensors are compared by coding a part of their codes."""
PARTS, PART = 4, 2**14


def structured(name: str, bits: Bits, dtype: str, coding: str = "smallest") -> StoredTensor:
    """The smallest lossless form of a tensor.

    Plain, few distinct values (of the tensor, or of each channel), integers times scales (one, one
    a channel or a group), or repeated rows of one of these: by measured bytes, which for large
    tensors are those of a part.

    Args:
        name: the tensor's.
        bits: its values as unsigned integers, any shape; they may be mapped from a file.
        dtype: a key of `laconic.container.DTYPES`.
        coding: a key of `laconic.coding.PRESETS`.

    Examples:
        >>> weights = np.float32([-3, 0, 1, 2, 0, 0, 1, 3] * 64) * np.float32(0.1)
        >>> structured("w", weights.view(np.uint32), "F32").grid
        'uniform'
    """
    candidates = _forms(name, bits, dtype)
    repeated = _with_repeated_rows(name, bits, dtype)
    return smallest([replace(candidate, coding=coding) for candidate in [*candidates, *repeated]])


def smallest(candidates: list[StoredTensor]) -> StoredTensor:
    """The candidate with the fewest bytes in a file, the first of equals."""
    if len(candidates) == 1:
        return candidates[0]
    return min(candidates, key=_size_bytes)


def _size_bytes(stored: StoredTensor) -> float:
    """Measured; of a large tensor estimated from a part of its codes."""
    tables, codes = head(stored)
    if codes.size <= LARGE:
        return stored.payload_bytes
    flat = codes.reshape(-1)
    starts = np.linspace(0, flat.size - PART, PARTS).astype(np.int64)
    part = np.concatenate([flat[start : start + PART] for start in starts])
    coded = sum(map(len, coding.chosen(part, stored.coding)))
    return len(tables) + coded * (codes.size / part.size)


def _forms(name: str, bits: Bits, dtype: str) -> list[StoredTensor]:
    """The tensor in every form that its values allow but repeated rows."""
    candidates = [plain(name, bits, dtype)]
    if not bits.size:
        return candidates
    uniform = find_uniform(name, bits, dtype)
    if uniform is not None:
        candidates.append(uniform)
        if bits.size > LARGE and uniform.tables["scale"].size == 1:
            return candidates
    if _has_few_values(bits, dtype):
        candidates.append(codebook(name, bits, dtype))
    if uniform is None:
        axis = _axis_of_few_values(bits)
        if axis is not None:
            candidates.append(codebooks(name, bits, dtype, along(bits.shape, axis)))
    return candidates


def _has_few_values(bits: Bits, dtype: str) -> bool:
    """Whether a table of values can be smaller than the values."""
    if DTYPES[dtype].size_bytes == 1 and bits.size > LARGE:
        return False  # a byte is a code already
    sample = bits.reshape(-1)[spread(bits.size, SAMPLE)]
    if len(np.unique(sample)) > REPEATED * sample.size:
        return False
    most = MOST_DISTINCT if bits.size <= LARGE else MOST_DISTINCT_IF_LARGE
    # Values that all differ, zeros apart, only move into the table.
    repeated = 1 + int(REPEATED * np.count_nonzero(bits))
    return distinct_values(bits, min(most, repeated)) is not None


def _axis_of_few_values(bits: Bits) -> int | None:
    """An axis, each index of which has few distinct values; the first or the last."""
    for axis in sorted({0, bits.ndim - 1}) if bits.ndim > 1 else []:
        count = bits.shape[axis]
        size = prod(bits.shape) // count
        if count > MAX_CODEBOOKS or size < 32:
            continue
        channels, most = np.moveaxis(bits, axis, 0), min(MOST_IN_A_CHANNEL, MAX_ENTRIES // count)
        if all(_repeats(channels[i], most) for i in _first_and_all(count)):
            return axis
    return None


def _repeats(channel: Bits, most: int) -> bool:
    """Whether there are few values, and those but zero stand there four times on average."""
    most = min(most, 1 + int(np.count_nonzero(channel)) // 4)
    return distinct_values(channel, most) is not None


def _first_and_all(count: int) -> list[int]:
    """A few indices from all over, then every one: what fails fails early."""
    return [*spread(count, 4).tolist(), *range(count)]


def _with_repeated_rows(name: str, bits: Bits, dtype: str) -> list[StoredTensor]:
    """The tensor as its distinct rows, where many are repeated."""
    if bits.ndim < 2 or not 1 < bits.shape[0] <= MAX_NUMBERS or not bits.size:
        return []
    count, width = bits.shape[0], prod(bits.shape[1:])
    columns = np.unravel_index(spread(width, SAMPLE_COLUMNS), bits.shape[1:])
    some = spread(count, SAMPLE_ROWS)
    sample = bits[(some[:, None], *(column[None] for column in columns))]
    if len(np.unique(sample, axis=0)) > REPEATED * len(sample):
        return []
    index, first = row_index(bits)
    if first.size > REPEATED * count:
        return []
    return [rows(form, index) for form in _forms(name, bits[first], dtype)]
