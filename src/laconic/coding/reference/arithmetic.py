"""The binary arithmetic coder of `context`, and the two functions that run its model."""

from __future__ import annotations

from laconic.coding.forms import LARGEST_KERNEL, Bits, Bytes
from laconic.coding.reference.common import GOOD, require
from laconic.coding.reference.context import Model

TOP = 0xFFFFFFFF


class Interval:
    """The interval of 32 bits that holds everything coded so far; both ends belong to it."""

    def __init__(self) -> None:
        self.low, self.high = 0, TOP

    def split(self, chance: int) -> int:
        """The last number of the part that stands for a 1."""
        span = self.high - self.low
        return self.low + (span >> 16) * chance + ((span & 0xFFFF) * chance >> 16)

    def keep(self, bit: int, middle: int) -> None:
        """Go on within the part of `bit`."""
        if bit:
            self.high = middle
        else:
            self.low = middle + 1

    def settled(self) -> bool:
        """Whether the highest byte is known."""
        return (self.low ^ self.high) >> 24 == 0

    def shift(self) -> None:
        """Drop the highest byte."""
        self.low = self.low << 8 & TOP
        self.high = self.high << 8 & TOP | 0xFF

    def last(self) -> tuple[int, int]:
        """The fewest bytes that name a number of the interval, zeros behind them; the number."""
        for count in range(5):
            spare = TOP >> 8 * count
            number = (self.low + spare) & ~spare & TOP
            if self.low <= number <= self.high:
                return count, number
        raise AssertionError("an interval holds its own lower end")


class Writer(Interval):
    """Decisions to bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.out = bytearray()

    def code(self, chance: int, bit: int) -> int:
        """Write one decision."""
        self.keep(bit, self.split(chance))
        while self.settled():
            self.out.append(self.high >> 24)
            self.shift()
        return bit

    def finish(self) -> bytes:
        """Everything that was written."""
        count, number = self.last()
        return bytes(self.out) + number.to_bytes(4, "big")[:count]


class Scanner(Interval):
    """Bytes to decisions; zeros follow the end, and `used` counts them too."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data, self.used, self.number = data, 4, int.from_bytes((data + bytes(4))[:4], "big")

    def code(self, chance: int, bit: int) -> int:
        """Read one decision."""
        middle = self.split(chance)
        bit = int(self.number <= middle)
        self.keep(bit, middle)
        while self.settled():
            byte = self.data[self.used] if self.used < len(self.data) else 0
            self.number = self.number << 8 & TOP | byte
            self.used += 1
            self.shift()
        return bit

    def finish(self) -> int:
        """The status: whether the bytes end here, as a writer ends them."""
        count, expected = self.last()
        size, needed = len(self.data), self.used - 4 + count
        if needed != size:
            return min(needed, size)
        return GOOD if self.number == expected else size - 1


def context_encode(
    values: Bits, columns: int, kernel: int, width: int, origin: int, most_exponent: int, out: Bytes
) -> int:
    """Write `values`, less `origin` each, and return the bytes taken; -1 when `out` is too small.

    Value - origin, as a signed number of the values' width, has a magnitude below
    2^(`most_exponent` + 1). `columns` items are a row, `kernel` of them a kernel, and `width` of
    those a kernel's row.
    """
    _check(values, columns, kernel, width, most_exponent)
    writer = Writer()
    model = Model(columns, kernel, width, values.size, most_exponent)
    bits = 8 * values.dtype.itemsize
    for value in values.tolist():
        away = (value - origin) % (1 << bits)
        negative = away >> (bits - 1)
        model.next(writer.code, (1 << bits) - away if negative else away, negative)
    data = writer.finish()
    if len(data) > out.size:
        return -1
    out[: len(data)] = list(data)
    return len(data)


def context_decode(
    data: Bytes, columns: int, kernel: int, width: int, origin: int, most_exponent: int, out: Bits
) -> int:
    """Read what `context_encode` writes; magnitudes count modulo the width of the values."""
    _check(out, columns, kernel, width, most_exponent)
    scanner = Scanner(data.tobytes())
    model = Model(columns, kernel, width, out.size, most_exponent)
    mask = (1 << 8 * out.dtype.itemsize) - 1
    for place in range(out.size):
        out[place] = origin + model.next(scanner.code, 0, 0) & mask
        if scanner.used > data.size + 4:
            return int(data.size)
    return scanner.finish()


def _check(values: Bits, columns: int, kernel: int, width: int, most_exponent: int) -> None:
    require(1 <= kernel <= LARGEST_KERNEL, "a kernel has from 1 to 49 items")
    require(width >= 1 and kernel % width == 0, "the width does not divide the kernel")
    require(columns >= 1 and columns % kernel == 0, "the kernel does not divide a row")
    require(values.size % columns == 0, "the rows do not fill the array")
    bits = 8 * values.dtype.itemsize
    require(0 <= most_exponent < bits, "an exponent is too large")
