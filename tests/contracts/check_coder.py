"""What every coder keeps, whoever wrote it: call `check_coder` and `check_damage` on yours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from laconic import _native
from laconic.coding import Blocks, Coder, IntArray, Reader, Speed, kernels, reference
from laconic.coding.kernels import Kernels
from laconic.errors import FormatError

FORMS: dict[str, Kernels] = {"native": _native, "portable": _native, "reference": reference}
"""`portable` is the native form without the instructions that only some processors have."""


@contextmanager
def running(form: str) -> Iterator[None]:
    """Run the inner loops in one of their forms."""
    before = kernels.active
    kernels.active = FORMS[form]
    _native.use_portable(form == "portable")
    try:
        yield
    finally:
        kernels.active = before
        _native.use_portable(False)


ARITHMETIC = {"context", "gap", "bitmap", "blocks", "planes"}
"""Coders, and those whose parts they code, that cannot tell a cut from other items."""
LONG = 2000
"""More items are too many for the reference of the context coder, which takes them one by one."""


def check_coder(coder: Coder, codes: IntArray) -> bytes:
    """decode(encode(x)) is x with its dtype and shape; all forms write and read the same bytes.

    Long arrays go through the reference without the slowest coders. Returns the native bytes.
    """
    before = codes.copy()
    data = _check_forms(coder, codes, ("native", "portable"))
    if codes.size <= LONG:
        assert _check_forms(coder, codes, ("reference",)) == data, "the forms wrote other bytes"
    else:
        quick = coder.with_parts(Speed.MEDIUM)
        if quick.decode_speed >= Speed.MEDIUM and not isinstance(quick, Blocks):
            _check_forms(quick, codes, ("native", "reference"))
    assert np.array_equal(codes, before), "encode changed its argument"
    return data


def _check_forms(coder: Coder, codes: IntArray, forms: tuple[str, ...]) -> bytes:
    written = {}
    for form in forms:
        with running(form):
            written[form] = coder.encode(codes)
    data = written[forms[0]]
    assert set(written.values()) == {data}, "the forms wrote other bytes"
    for form in forms:
        with running(form):
            decoded = coder.decode(Reader(data), codes.shape, codes.dtype)
        assert decoded.dtype == codes.dtype.newbyteorder("="), form
        assert decoded.shape == codes.shape, form
        assert decoded.flags.c_contiguous, form
        assert decoded.flags.writeable, form
        assert np.array_equal(decoded, codes), form
    return data


def check_damage(coder: Coder, codes: IntArray) -> None:
    """A longer encoding is refused; a cut one is refused or decodes to something else.

    An arithmetic code that is cut can be the code of other items; a file's checksums see that. A
    flipped bit is refused or decodes to something. All forms say the same, and errors name an
    offset inside the bytes.
    """
    data = coder.encode(codes)
    for size in range(len(data)):
        cut = outcome(coder, data[:size], codes)
        assert isinstance(cut, str) or coder.name in ARITHMETIC, f"cut to {size} bytes"
        assert not np.array_equal(cut, codes), f"cut to {size} bytes"
    assert isinstance(outcome(coder, data + b"\0", codes), str), "a byte too many"
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        outcome(coder, bytes(flipped), codes)


def outcome(coder: Coder, data: bytes, like: IntArray) -> str | IntArray:
    """The array that `data` decodes to, or the message of its FormatError."""
    start = 1000
    results: list[str | IntArray] = []
    for form in FORMS:
        with running(form):
            try:
                decoded = coder.decode(Reader(data, start), like.shape, like.dtype)
            except FormatError as error:
                results.append(str(error))
                place = error.offset
            else:
                results.append(decoded)
                place = start
                assert (decoded.shape, decoded.dtype) == (like.shape, like.dtype), form
        assert start <= place <= start + len(data), f"{form}: {results[-1]}"
    first = results[0]
    for other in results[1:]:
        if isinstance(first, str) or isinstance(other, str):
            assert first == other
        else:
            assert np.array_equal(first, other)
    return first


def fibonacci(count: int) -> list[int]:
    """Counts that make Huffman's code as deep as it can be."""
    numbers = [1, 1]
    while len(numbers) < count:
        numbers.append(numbers[-1] + numbers[-2])
    return numbers[:count]


def noise(count: int, modulus: int) -> np.ndarray:
    """Pseudo-random numbers from 0 to below `modulus` that no NumPy version changes."""
    state, numbers = 1, []
    for _ in range(count):
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        numbers.append((state >> 33) % modulus)
    return np.array(numbers)


def cases() -> dict[str, IntArray]:
    """Arrays that have broken coders before, by what they are."""
    int64, uint64 = np.iinfo(np.int64), np.iinfo(np.uint64)
    sparse = np.zeros((40, 25), np.int16)
    sparse.reshape(-1)[noise(60, 1000)] = noise(60, 30) - 15
    far_apart = np.zeros(70_000, np.uint8)
    far_apart[[0, 69_000]] = 3, 200
    geometric = np.minimum(np.log2((1 << 16) / (1 + noise(3000, 1 << 16))), 15)
    floats = (noise(5000, 1 << 20) / (1 << 20) - 0.5) ** 3
    return {
        "an empty vector": np.zeros(0, np.int8),
        "an empty matrix": np.zeros((3, 0, 2), np.uint32),
        "a scalar": np.array(-5, np.int64),
        "a scalar zero": np.array(0, np.uint8),
        "one item": np.array([[[200]]], np.uint8),
        "one symbol": np.full((7, 9), -3, np.int32),
        "all zero": np.zeros((10, 13), np.int16),
        "two symbols": noise(77, 2).astype(np.uint8),
        "negative codes": (noise(500, 9) - 8).astype(np.int8),
        "all bytes": np.arange(256).astype(np.uint8).view(np.int8),
        "the extremes of int64": np.array([int64.min, 0, int64.max, -1, int64.min]),
        "the extremes of uint64": np.array([uint64.max, 0, 1 << 63, 1 << 63], np.uint64),
        "the extremes of int8": np.array([-128, 127, 0, -128], np.int8),
        "symbols far apart": np.array([0, 7, 10**15, -(10**15)])[noise(300, 4)],
        "a likely symbol": geometric.astype(np.int32),
        "Fibonacci counts": np.repeat(np.arange(24), fibonacci(24)).astype(np.uint8),
        "many symbols": (noise(9000, 3000) * 7 - 9000).astype(np.int32),
        "few non-zeros": sparse,
        "non-zeros far apart": far_apart,
        "float32 bits": floats.astype(np.float32).view(np.uint32).reshape(50, 100),
        "float16 bits": floats.astype(np.float16).view(np.uint16),
        "float64 bits with zeros": np.where(noise(900, 3) > 0, 0, floats[:900]).view(np.uint64),
        "not contiguous": noise(600, 12).astype(np.int16).reshape(20, 30).T[::2],
        "big-endian items": noise(64, 900).astype(">i4"),
    }


def small_cases() -> dict[str, IntArray]:
    """Arrays whose encodings are short enough to damage at every bit."""
    few = np.zeros(48, np.int8)
    few[[1, 5, 30, 31, 44]] = 3, -1, 3, 2, 3
    return {
        "a scalar": np.array(-5, np.int16),
        "one symbol": np.full(9, 300, np.int16),
        "all zero": np.zeros(11, np.uint8),
        "few non-zeros": few,
        "a likely symbol": np.array([7, 7, 8, 9, 7, 7, 7, 12, 7, 8, 7, 7, 7], np.uint8),
        "symbols far apart": np.array([1, 1, 1, -(10**12), 10**18, 1, 1]),
        "sixteen symbols": (noise(24, 16) * 3).astype(np.uint32).reshape(4, 6),
        "float32 bits": np.array([0.5, 0.25, 0, -1, 0, 0, 1e-9], np.float32).view(np.uint32),
        "a constant plane": (noise(40, 256) + 0x3F00).astype(np.uint16),
    }
