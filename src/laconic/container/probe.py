"""The probe: an input that everybody can make again, and the output it must give."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.coding.reader import Reader, varint
from laconic.container.dtypes import DTYPES
from laconic.container.program import Program, Value
from laconic.container.shapes import MAX_DIMENSIONS, is_possible
from laconic.errors import MismatchError, UsageError

MAX_VALUES = 64
RELATIVE_TOLERANCE = 1e-4
HALF_TOLERANCE = 1e-2
ROUNDED_TOLERANCE = 2e-2
"""Where a program rounds what it computes: sums in another order may end on another integer."""
ROUNDING = ("QuantizeLinear", "DynamicQuantizeLinear", "Round", "Sign")
MAX_INPUT = 2**24
"""Elements of all inputs together: a probe must be cheap to run."""


@dataclass(frozen=True)
class Probe:
    """`sizes` are the inputs' shapes; `outputs` the first 64 values of each output, float32."""

    sizes: tuple[tuple[int, ...], ...]
    outputs: tuple[NDArray[np.float32], ...]

    def check(self, outputs: list[NDArray[Any]], program: Program | None = None) -> float:
        """The largest deviation, relative to the largest value of its output.

        Args:
            outputs: of the program, or of the model, on the probe's inputs.
            program: what computed them, or was captured from what did.

        Raises:
            MismatchError: an output deviates by more than 1e-4 of its largest value (1e-2 in
                half precision, 2e-2 where the program rounds on its way), or NaN and infinities
                stand elsewhere.
        """
        least = tolerance_of(program)
        if len(outputs) != len(self.outputs):
            raise MismatchError(f"the probe has {len(self.outputs)} outputs, not {len(outputs)}")
        worst = 0.0
        for index, (expected, output) in enumerate(zip(self.outputs, outputs, strict=True)):
            found = sample(output)
            if found.shape != expected.shape:
                raise MismatchError(
                    f"probe: output {index} has {found.size} values, {expected.size} were expected"
                )
            what = f"probe: output {index}"
            worst = max(worst, check_output(what, expected, found, output, least))
        return worst


def tolerance_of(program: Program | None) -> float:
    """How far outputs of this program may be from the probe's, relative to the largest.

    Examples:
        >>> tolerance_of(None)
        0.0001
    """
    nodes = () if program is None else program.nodes
    rounds = any(node.operator in ROUNDING for node in nodes)
    return ROUNDED_TOLERANCE if rounds else RELATIVE_TOLERANCE


def check_output(
    what: str,
    expected: NDArray[Any],
    found: NDArray[Any],
    output: NDArray[Any],
    least: float = RELATIVE_TOLERANCE,
) -> float:
    """The deviation of `found`, if it is small enough for an output of that dtype.

    Raises:
        MismatchError: it is larger than `least` times the largest value (1e-2 at the smallest for
            half precision).
    """
    deviation = relative_deviation(expected, found)
    half = np.asarray(output).dtype.itemsize < 4
    tolerance = max(least, HALF_TOLERANCE) if half else least
    if not deviation <= tolerance:
        raise MismatchError(
            f"{what} deviates by {deviation:.2e} of its largest value; at most {tolerance:.0e} "
            "is expected"
        )
    return deviation


def relative_deviation(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """The largest deviation, relative to the largest finite magnitude expected.

    Infinite when NaN and infinities do not stand at the same places.
    """
    expected, found = expected.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(expected)
    same = np.array_equal(expected[~finite], found[~finite], equal_nan=True)
    if not same or not np.isfinite(found[finite]).all():
        return float("inf")
    scale = float(np.abs(expected[finite]).max(initial=1e-30))
    return float(np.abs(found[finite] - expected[finite]).max(initial=0.0)) / scale


def sample(output: NDArray[Any]) -> NDArray[np.float32]:
    """What a probe keeps of an output: its first 64 values as float32."""
    return np.asarray(output).reshape(-1)[:MAX_VALUES].astype(np.float32)


def make_input(value: Value, size: tuple[int, ...], index: int) -> NDArray[Any]:
    """The probe's input: SplitMix64 of the element number, from [-1, 1) for floats, else 0 or 1.

    Args:
        value: the program's input; its dtype decides.
        size: the shape to make.
        index: which input this is; element i of it has the number ``index · 2^32 + i``.
    """
    count = prod(size)
    state = np.arange(count, dtype=np.uint64) + np.uint64((index << 32) + 1)
    state = state * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    if value.dtype in ("F32", "F64", "F16", "BF16"):
        floats = (state >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)
        return floats.astype(DTYPES[value.dtype].numpy or "<f4").reshape(size)
    return (state >> np.uint64(63)).astype(DTYPES[value.dtype].numpy or "<u1").reshape(size)


def encode(probe: Probe) -> bytes:
    """The section ``probe``.

    Raises:
        UsageError: the inputs have more than 2^24 elements.
    """
    total = sum(prod(size) for size in probe.sizes)
    if total > MAX_INPUT:
        raise UsageError(
            f"the probe's inputs have {total:,} elements; at most {MAX_INPUT:,} fit: give a "
            "smaller example_input, or probe=False"
        )
    out = varint(len(probe.sizes))
    for size in probe.sizes:
        out += varint(len(size)) + b"".join(varint(n) for n in size)
    out += varint(len(probe.outputs))
    for output in probe.outputs:
        out += varint(len(output)) + struct.pack(f"<{len(output)}f", *output)
    return out


def decode(data: bytes | memoryview, offset: int = 0) -> Probe:
    """The probe again.

    Raises:
        FormatError: the bytes are damaged, or the inputs would have more than 2^24 elements.
    """
    reader = Reader(data, offset)
    sizes = []
    total = 0
    for _ in range(reader.varint(reader.remaining)):
        size = tuple(reader.varint() for _ in range(reader.varint(MAX_DIMENSIONS)))
        total += prod(size)
        if not is_possible(size) or total > MAX_INPUT:
            raise reader.error(f"a probe input of shape {size} is too large")
        sizes.append(size)
    outputs = []
    for _ in range(reader.varint(reader.remaining)):
        count = reader.varint(MAX_VALUES)
        outputs.append(np.frombuffer(reader.take(4 * count), "<f4").copy())
    reader.end()
    return Probe(tuple(sizes), tuple(outputs))
