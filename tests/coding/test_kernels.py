"""The inner loops by themselves: both forms refuse the same, and the choice between them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laconic import _native
from laconic.coding import reference

FORMS = [_native, reference]
both = pytest.mark.parametrize("form", FORMS, ids=["native", "reference"])


def octets(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)


def room(size: int) -> np.ndarray:
    return np.zeros(size, np.uint8)


def rans_call(
    precision: int, lanes: int, frequencies: tuple[int, ...] = (16, 16)
) -> tuple[Any, ...]:
    """Arguments that encode nothing with symbols 0, 1, …"""
    model = np.array(frequencies, np.uint16)
    return octets(), np.arange(model.size, dtype=np.uint8), model, precision, lanes, room(4 * lanes)


MISTAKES: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "a packed output too short": ("pack_bits", (octets(1, 2), 4, room(0)), "size of the packed"),
    "a width above 64": ("pack_bits", (octets(1), 65, room(9)), "from 0 to 64 bits"),
    "a width above the items": ("unpack_bits", (room(2), 9, room(1)), "items are too narrow"),
    "unequal sizes": ("histogram", (octets(1), room(2), np.zeros(1, np.int64)), "differ in size"),
    "no symbols": ("huffman_decode", (room(1), room(0), room(0), room(1)), "from 1 to 65536"),
    "a length of 21": (
        "huffman_decode",
        (room(1), octets(1, 2), octets(1, 21), room(1)),
        "longer than 20 bits",
    ),
    "a length of 0": (
        "huffman_decode",
        (room(1), octets(1, 2), octets(0, 1), room(1)),
        "only a symbol that is alone",
    ),
    "too many short codes": (
        "huffman_decode",
        (room(1), octets(1, 2, 3), octets(1, 1, 1), room(1)),
        "over-subscribed",
    ),
    "too few codes": (
        "huffman_decode",
        (room(1), octets(1, 2), octets(1, 2), room(1)),
        "incomplete",
    ),
    "a value without a code": (
        "huffman_encode",
        (octets(9), octets(1, 2), octets(1, 1), room(1)),
        "a value has no code",
    ),
    "a lone symbol and another value": (
        "huffman_encode",
        (octets(9), octets(1), octets(0), room(0)),
        "a value has no code",
    ),
    "codes and a short output": (
        "huffman_encode",
        (octets(1, 2), octets(1, 2), octets(1, 1), room(0)),
        "number of bytes",
    ),
    "too little room for entries": (
        "gap_split",
        (octets(1, 0, 1), 1, np.zeros(1, np.uint16), room(1)),
        "more entries than room",
    ),
    "too much room for entries": (
        "gap_split",
        (octets(1, 0, 1), 1, np.zeros(3, np.uint16), room(3)),
        "more room than entries",
    ),
    "gaps of 17 bits": (
        "gap_split",
        (octets(1), 17, np.zeros(1, np.uint16), room(1)),
        "from 1 to 16 bits",
    ),
    "too little room for non-zeros": (
        "bitmap_split",
        (octets(1, 1), room(1), room(1)),
        "more non-zeros than room",
    ),
    "a bitmap too short": ("bitmap_join", (room(0), room(0), room(1)), "one bit for each item"),
    "a byte that no item has": ("plane_split", (octets(1), 1, 0, room(1)), "no such byte"),
    "a turn by a byte": ("plane_split", (octets(1), 0, 8, room(1)), "turned by 0 to 7 bits"),
    "a precision of 4": ("rans_encode", rans_call(4, 1), "from 5 to 12 bits"),
    "three lanes": ("rans_encode", rans_call(5, 3), "1, 2, 4, 8, 16 or 32"),
    "a lone symbol in a model": (
        "rans_encode",
        rans_call(5, 1, (32,)),
        "from 2 to 2.precision symbols",
    ),
    "a frequency of 0": ("rans_encode", rans_call(5, 1, (32, 0)), "a frequency is 0"),
    "frequencies that do not add up": ("rans_encode", rans_call(5, 1, (16, 15)), "add up to"),
    "a value without a frequency": (
        "rans_encode",
        (octets(9), octets(0, 1), np.array([16, 16], np.uint16), 5, 1, room(6)),
        "a value has no frequency",
    ),
    "a rANS output too short": (
        "rans_encode",
        (octets(1), octets(0, 1), np.array([16, 16], np.uint16), 5, 1, room(5)),
        "four bytes a lane and two an item",
    ),
}


@both
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_callers_mistake_is_a_value_error(form: Any, mistake: str) -> None:
    name, arguments, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        getattr(form, name)(*arguments)


@both
@pytest.mark.parametrize(
    ("name", "arguments", "status"),
    [
        ("unpack_bits", (octets(7), 4, room(2)), -1),
        ("unpack_bits", (octets(7), 4, room(3)), 1),
        ("unpack_bits", (octets(7, 0, 0), 4, room(3)), 2),
        ("unpack_bits", (octets(7, 16), 4, room(3)), 1),
        ("huffman_decode", (octets(0xA0), octets(5, 9), octets(1, 1), room(3)), -1),
        ("huffman_decode", (octets(0xA1), octets(5, 9), octets(1, 1), room(3)), 0),
        ("huffman_decode", (octets(0xA0), octets(5, 9), octets(1, 1), room(9)), 1),
        ("huffman_decode", (octets(0xA0, 0, 0), octets(5, 9), octets(1, 1), room(9)), 2),
        ("huffman_decode", (octets(), octets(5, 9), octets(1, 1), room(1)), 0),
        ("huffman_decode", (octets(0), octets(5), octets(0), room(1)), 0),
        ("gap_join", (np.array([1, 1], np.uint16), octets(1, 2), room(4)), -1),
        ("gap_join", (np.array([1, 2], np.uint16), octets(1, 2), room(4)), 1),
        ("gap_join", (np.array([65535, 0], np.uint16), octets(1, 2), room(4)), 0),
        ("bitmap_join", (octets(0, 0b101), octets(1, 2), room(11)), -1),
        ("bitmap_join", (octets(0, 0b101), octets(1), room(11)), 1),
        ("bitmap_join", (octets(0, 0b101), octets(1, 2, 3), room(11)), 2),
        ("bitmap_join", (octets(0, 0b101), octets(1, 2), room(10)), 1),
    ],
)
def test_bytes_from_outside_give_the_place_that_is_wrong(
    form: Any, name: str, arguments: tuple[Any, ...], status: int
) -> None:
    assert getattr(form, name)(*arguments) == status


@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=40),
    st.integers(0, 64),
    st.sampled_from([np.uint8, np.uint16, np.uint32, np.uint64]),
)
def test_packed_numbers_come_back(numbers: list[int], width: int, dtype: type) -> None:
    width = min(width, 8 * np.dtype(dtype).itemsize)
    values = np.array([number % (1 << width) for number in numbers], dtype)
    written = []
    for form in FORMS:
        out, again = room((values.size * width + 7) // 8), np.ones_like(values)
        form.pack_bits(values, width, out)
        assert form.unpack_bits(out, width, again) == -1
        assert np.array_equal(again, values)
        written.append(out.tobytes())
    assert written[0] == written[1]


@both
def test_packing_keeps_the_low_bits_of_a_value_only(form: Any) -> None:
    out = room(1)
    form.pack_bits(octets(0xF3, 0xF1), 3, out)
    assert out.tolist() == [0b001_011]


@both
def test_more_symbols_than_room_give_minus_one(form: Any) -> None:
    values = np.array([3, 1, 3, 2], np.uint32)
    assert form.histogram(values, np.zeros(2, np.uint32), np.zeros(2, np.int64)) == -1
    symbols, counts = np.zeros(3, np.uint32), np.zeros(3, np.int64)
    assert form.histogram(values, symbols, counts) == 3
    assert (symbols.tolist(), counts.tolist()) == ([1, 2, 3], [1, 1, 2])


def test_the_native_form_takes_no_other_array_than_it_says() -> None:
    with pytest.raises(TypeError):
        _native.pack_bits(np.zeros(4, np.float32), 3, room(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _native.pack_bits(room(8)[::2], 3, room(2))
    read_only = room(2)
    read_only.flags.writeable = False
    with pytest.raises(TypeError):
        _native.pack_bits(room(4), 3, read_only)


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("wish", "form"), [("0", "reference"), ("1", "native"), ("", "native")])
def test_the_environment_chooses_the_form(wish: str, form: str) -> None:
    done = run("from laconic.coding import kernels; print(kernels.FORM)", LACONIC_NATIVE=wish)
    assert done.stdout == f"{form}\n", done.stderr


def test_a_wish_that_means_nothing_is_refused() -> None:
    done = run("import laconic.coding", LACONIC_NATIVE="yes")
    assert "LACONIC_NATIVE is 'yes'; it may be 0 (NumPy), 1 (native) or unset" in done.stderr


def test_coding_needs_numpy_alone() -> None:
    done = run(
        "import sys; before = set(sys.modules); import laconic.coding; "
        "print(sorted({'torch', 'onnx', 'scipy'} & set(sys.modules)))"
    )
    assert done.stdout == "[]\n", done.stderr
