"""A second decoder, written from spec/coders.md alone: slow, plain Python, no code of laconic's."""

from __future__ import annotations

import sys
import zlib
from math import prod
from pathlib import Path

import numpy as np
import pytest

from laconic.coding import CODERS, encode

sys.path.insert(0, str(Path(__file__).parents[1] / "contracts"))
sys.path.insert(0, str(Path(__file__).parent))
from check_coder import cases, noise, small_cases
from stranger_context import ContextDecoder

CASES = {**small_cases(), **cases()}
SHORT = [name for name, codes in CASES.items() if codes.size <= 3000]
KERNELS = {
    "3 by 3": (7, 6, 3, 3),
    "1 by 5": (5, 6, 1, 5),
    "5 by 1": (6, 5, 5, 1),
    "7 by 7": (3, 2, 7, 7),
    "1 by 1": (9, 8, 1, 1),
    "of 50 items": (2, 3, 5, 10),
    "of 49 items": (3, 2, 49),
    "with three axes": (4, 5, 4),
    "with five axes": (4, 3, 2, 2, 3),
    "one row": (1, 12, 3, 3),
    "one column": (20, 1, 2, 3),
}


def kernels(shape: tuple[int, ...], largest: int) -> np.ndarray:
    """Whatever is alike within rows, channels and kernels, and from item to item."""
    count = int(np.prod(shape))
    items = noise(count, 9) - 4 + np.resize(noise(shape[-1], 7) * 3, count)
    items[noise(count, 5) == 0] = 0
    return (items * (largest // 22)).reshape(shape)


class Stranger:
    """Decodes a coded array; `size` is the bytes of an item, and items come out unsigned."""

    def __init__(self, data: bytes) -> None:
        self.data = list(data)

    def u8(self) -> int:
        return self.data.pop(0)

    def leb(self) -> int:
        byte = self.u8()
        return byte if byte < 128 else byte - 128 + 128 * self.leb()

    def wide(self) -> int:
        zigzag = self.leb()
        return zigzag // 2 if zigzag % 2 == 0 else -(zigzag + 1) // 2

    def take(self, count: int) -> list[int]:
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def packed(self, count: int, width: int) -> list[int]:
        number = int.from_bytes(bytes(self.take((count * width + 7) // 8)), "little")
        return [number >> (i * width) & ((1 << width) - 1) for i in range(count)]

    def array(self, shape: tuple[int, ...], size: int) -> list[int]:
        self.shape, count = shape, prod(shape)
        decoders = {
            0: self.raw,
            1: self.fixed,
            2: self.huffman,
            3: self.gap,
            4: self.bitmap,
            5: self.planes,
            6: self.context,
            7: self.rans,
            8: self.blocks,
        }
        decode = decoders[self.u8()]
        items = decode(count, size) if count else []
        assert not self.data
        return [item % (1 << 8 * size) for item in items]

    def raw(self, count: int, size: int) -> list[int]:
        return [int.from_bytes(bytes(self.take(size)), "little") for _ in range(count)]

    def fixed(self, count: int, size: int) -> list[int]:
        width, lowest = self.u8(), self.wide()
        return [lowest + offset for offset in self.packed(count, width)]

    def symbols(self) -> list[int]:
        number, first = self.leb(), self.wide()
        symbols = [first]
        if number > 1:
            width = self.u8()
            if width < 65:
                for step in self.packed(number - 1, width):
                    symbols.append(symbols[-1] + step + 1)
            else:
                marks = self.packed(self.leb(), 1)
                symbols += [first + 1 + i for i, mark in enumerate(marks) if mark]
        assert len(symbols) == number
        return symbols

    def huffman(self, count: int, size: int) -> list[int]:
        symbols = self.symbols()
        number = len(symbols)
        if number == 1:
            return symbols * count
        head = self.u8()
        lengths = [head % 32 + longer for longer in self.packed(number, head // 32)]
        code, last, codes = -1, 0, {}
        for length, symbol in sorted(zip(lengths, symbols, strict=True)):
            code = (code + 1) << (length - last)
            codes[f"{code:0{length}b}"] = symbol
            last = length
        bits = "".join(f"{byte:08b}" for byte in self.take(len(self.data)))
        items, word = [], ""
        for bit in bits:
            word += bit
            if word in codes and len(items) < count:
                items.append(codes[word])
                word = ""
        assert len(items) == count
        assert set(word) <= {"0"}
        return items

    def gap(self, count: int, size: int) -> list[int]:
        items = [0] * count
        entries = self.leb()
        if entries:
            self.u8()
            gaps = Stranger(bytes(self.take(self.leb()))).array((entries,), 2)
            place = 0
            for skip, value in zip(gaps, self.array((entries,), size), strict=True):
                items[place + skip] = value
                place += skip + 1
        return items

    def bitmap(self, count: int, size: int) -> list[int]:
        bits = self.packed(count, 1)
        values = iter(self.array((sum(bits),), size))
        return [next(values) if bit else 0 for bit in bits]

    def planes(self, count: int, size: int) -> list[int]:
        head, items = self.leb(), [0] * count
        for index in range(size):
            if head >> (1 + index) & 1:
                plane = Stranger(bytes(self.take(self.leb()))).array(self.shape, 1)
            else:
                plane = self.take(count)
            items = [item + (byte << 8 * index) for item, byte in zip(items, plane, strict=True)]
        if head & 1:
            items = [item // 2 + (item % 2 << 8 * size - 1) for item in items]
        return items

    def context(self, count: int, size: int) -> list[int]:
        origin, bits = self.wide(), self.u8()
        if bits == 0:
            return [origin] * count
        code = self.take(len(self.data))
        return [origin + v for v in ContextDecoder(code, self.shape, bits).items()]

    def rans(self, count: int, size: int) -> list[int]:
        symbols = self.symbols()
        if len(symbols) == 1:
            return symbols * count
        head = self.u8()
        precision, lanes = 5 + head % 8, 2 ** (head // 8)
        frequencies = self.frequencies(len(symbols), 2**precision)
        slots = [
            (symbol, frequency, within)
            for symbol, frequency in zip(symbols, frequencies, strict=True)
            for within in range(frequency)
        ]
        states = [int.from_bytes(bytes(self.take(4)), "little") for _ in range(lanes)]
        items = []
        for i in range(count):
            symbol, frequency, within = slots[states[i % lanes] % 2**precision]
            items.append(symbol)
            state = frequency * (states[i % lanes] // 2**precision) + within
            if state < 2**16:
                state = state * 2**16 + int.from_bytes(bytes(self.take(2)), "little")
            states[i % lanes] = state
        assert states == [2**16] * lanes
        return items

    def frequencies(self, number: int, total: int) -> list[int]:
        bits, length = int.from_bytes(bytes(self.data), "little"), 0
        frequencies, before, parameter = [], 0, 3
        for _ in range(number - 1):
            zeros = 0
            while bits % 2 == 0:
                bits, zeros = bits // 2, zeros + 1
            width = parameter + zeros
            zigzag = bits // 2 % 2**width + 2**width - 2**parameter
            bits //= 2 ** (1 + width)
            length += zeros + 1 + width
            before += zigzag // 2 if zigzag % 2 == 0 else -(zigzag + 1) // 2
            frequencies.append(before)
            parameter = len(f"{zigzag:b}") - 1
        self.take((length + 7) // 8)
        return [*frequencies, total - sum(frequencies)]

    def blocks(self, count: int, size: int) -> list[int]:
        block, lead = 2 ** self.u8(), 1
        while prod(self.shape[lead:]) > block:
            lead += 1
        rest = self.shape[lead:]
        step, indices = block // prod(rest), prod(self.shape[:lead])
        counts = [min(step, indices - start) for start in range(0, indices, step)]
        table = [
            (int.from_bytes(bytes(self.take(4)), "little"), bytes(self.take(4))) for _ in counts
        ]
        items = []
        for number, (length, checksum) in zip(counts, table, strict=True):
            data = bytes(self.take(length))
            assert zlib.crc32(data).to_bytes(4, "little") == checksum
            items += Stranger(data).array((number, *rest), size)
        return items


@pytest.mark.parametrize("name", CODERS)
@pytest.mark.parametrize("case", SHORT)
def test_a_stranger_decodes_from_the_specification(name: str, case: str) -> None:
    codes = CASES[case]
    size = codes.dtype.itemsize
    items = Stranger(encode(codes, name)).array(codes.shape, size)
    assert items == [int(item) % (1 << 8 * size) for item in codes.reshape(-1)]


@pytest.mark.parametrize("shape", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("largest", [22, 2**18, 2**63 - 1])
def test_a_stranger_decodes_kernels(shape: tuple[int, ...], largest: int) -> None:
    codes = kernels(shape, largest)
    items = Stranger(encode(codes, "context")).array(shape, 8)
    assert items == [int(item) % (1 << 64) for item in codes.reshape(-1)]


@pytest.mark.parametrize("times", [4, 20])
def test_a_stranger_decodes_leaps(times: int) -> None:
    """From row to row and after small items: the pulls reach their bounds."""
    first = np.where(noise(800, 10) == 0, 2, 0)
    second = np.where(noise(800, 60) == 0, 2000, times * first)
    codes = np.stack([first, second]).reshape(2, 400, 2)
    items = Stranger(encode(codes, "context")).array(codes.shape, 8)
    assert items == codes.reshape(-1).tolist()


@pytest.mark.parametrize(
    ("name", "codes", "written"),
    [
        ("fixed", np.array([5, 6, 8]), "020a34"),
        ("huffman", np.array([7, 7, 8, 9, 7], np.uint8), "030e0021062c"),
        ("gap", np.array([0, 3, 4, 0, 0], np.uint8), "020104010100010101 0602"),
        ("bitmap", np.array([0, 5, 0, 5], np.uint8), "0a01000a"),
        ("planes", np.ones(16, np.float16).view(np.uint16), "06 03020100 03020178"),
        ("context", np.array([0, 0, 3, -1], np.int8), "0002af58"),
        ("rans", np.array([7, 7, 8, 7, 7, 7, 9, 7], np.uint8), "030e0000c41e b0956701"),
    ],
)
def test_the_examples_of_the_specification_hold(name: str, codes: np.ndarray, written: str) -> None:
    assert CODERS[name].encode(codes) == bytes.fromhex(written)
