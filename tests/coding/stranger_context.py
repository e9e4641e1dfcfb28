"""The coder `context`, written from spec/coders.md alone: slow, plain Python, no code of ours."""

from __future__ import annotations

from collections import defaultdict
from math import exp, log, prod

S = [round(256 * log((i + 0.5) / (4095.5 - i))) for i in range(4096)]
UNIT = 4096  # of a mean


def cut(x: int, most: int) -> int:
    return max(-most, min(most, x))


def level(x: int) -> int:
    x = min(x, 4095)
    if x < 2:
        return x
    top = x.bit_length() - 1
    return 2 * top + (x >> (top - 1) & 1)


def signed_level(x: int) -> int:
    step = min((level(abs(x)) + 1) // 3, 6)
    return 6 + step if x >= 0 else 6 - step


def sign(x: int) -> int:
    return (x > 0) - (x < 0) + 1


class ArithmeticCode:
    """Reads the bits of one binary arithmetic code."""

    def __init__(self, data: list[int]) -> None:
        self.data = data
        self.low, self.high, self.moved = 0, 2**32 - 1, 0
        self.code = int.from_bytes(bytes(self.byte(i) for i in range(4)), "big")

    def byte(self, place: int) -> int:
        return self.data[place] if place < len(self.data) else 0

    def bit(self, chance: int) -> int:
        z = self.high - self.low
        middle = self.low + (z >> 16) * chance + ((z % 65536) * chance >> 16)
        bit = int(self.code <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            self.low = self.low % 2**24 * 256
            self.high = self.high % 2**24 * 256 + 255
            self.code = self.code % 2**24 * 256 + self.byte(self.moved + 4)
            self.moved += 1
        return bit

    def ended_well(self) -> bool:
        for count in range(5):
            unit = 256 ** (4 - count)
            number = (self.low + unit - 1) // unit
            if number * unit <= self.high:
                return self.data[self.moved :] == list(number.to_bytes(count, "big"))
        raise AssertionError("four bytes make every number")


class Estimate:
    def __init__(self) -> None:
        self.s, self.q, self.n = 2**21, 2**15, 0

    def stretched(self) -> int:
        return S[((self.s >> 6) + self.q) >> 5]

    def update(self, bit: int) -> None:
        t = 8192 // (2 * self.n + 3)
        self.s += ((4194303 * bit - self.s) >> 3) * t >> 9
        self.q += (65535 * bit - self.q) * max(t, 96) >> 12
        self.n = min(self.n + 1, 1023)


class Family:
    """The nodes of one family and, for each of its contexts, the estimates."""

    def __init__(self, code: ArithmeticCode) -> None:
        self.code = code
        self.weights = defaultdict(lambda: [9362] * 8)
        self.count = defaultdict(int)
        self.estimates = defaultdict(Estimate)

    def bit(self, node: int, contexts: list[tuple[int, ...]]) -> int:
        estimates = [self.estimates[node, i, context] for i, context in enumerate(contexts)]
        inputs = [*(estimate.stretched() for estimate in estimates), 77]
        weights = self.weights[node]
        x = cut(sum(w * x >> 4 for w, x in zip(weights, inputs, strict=True)) >> 12, 2815)
        chance = round(65536 / (1 + exp(-x / 256)))
        bit = self.code.bit(chance)
        d = 65536 * bit - chance
        g = 15 if self.count[node] < 512 else 16
        self.count[node] = min(self.count[node] + 1, 512)
        self.weights[node] = [
            cut(w + ((x * d + 2 ** (g - 1)) >> g), 2**18)
            for w, x in zip(weights, inputs, strict=True)
        ]
        for estimate in estimates:
            estimate.update(bit)
        return bit


class ContextDecoder:
    """The items less their origin, from the arithmetic code of an array of this shape."""

    def __init__(self, data: list[int], shape: tuple[int, ...], bits: int) -> None:
        self.bits, self.count = bits, prod(shape)
        self.rows, self.k, self.w = 1, 1, 1
        if len(shape) > 1:
            if prod(shape[2:]) <= 49:
                self.rows, self.k = shape[0], prod(shape[2:])
                self.w = shape[-1] if len(shape) > 2 else 1
            else:
                self.rows = self.count // shape[-1]
        self.r = self.count // self.rows
        self.code = ArithmeticCode(data)
        self.magnitudes, self.signs = Family(self.code), Family(self.code)
        self.pulls = [[0] * 8 for _ in range(self.k)]
        self.all = self.row = UNIT
        self.channel: dict[int, int] = {}
        self.column: dict[int, int] = {}
        self.drift: dict[int, int] = defaultdict(int)
        self.near: list[int] = []

    def items(self) -> list[int]:
        items = [self.item(place) for place in range(self.count)]
        assert self.code.ended_well()
        return items

    def back(self, distance: int) -> int:
        return self.near[-distance] if distance <= len(self.near) else 0

    def item(self, place: int) -> int:
        k, w, r = self.k, self.w, self.r
        i = place % k
        channel, column = (place % r // k, place % r) if self.rows > 1 else (0, 0)
        if place % r == 0:
            self.row = self.all
        mean_k = self.channel.setdefault(channel, self.all)
        mean_c = self.column.setdefault(column, self.all) if k > 1 else mean_k
        l1, l2, c = self.back(1), self.back(2), self.back(k)
        a, a2 = (self.back(r), self.back(2 * r)) if self.rows > 1 else (0, 0)
        h = self.back(w) if i >= w else 0
        taps = [self.back(j) if j <= i else 0 for j in range(1, 7)] + [a, c]
        p = 0
        if k > 1:
            p = sum(u * y >> 4 for u, y in zip(self.pulls[i], taps, strict=True)) >> 8

        last, above = abs(l1) + abs(l2), abs(a) + abs(a2)
        around = last + above + abs(l1) + abs(a)
        total = level((self.row + mean_c + mean_k + 256 * around) >> 6)
        row, col, chan = (level(mean >> 5) for mean in (self.row, mean_c, mean_k))
        contexts = [(), (level(2 * around),), (row, col), (level(4 * last), level(4 * above))]
        if k > 1:
            contexts += [(level(8 * abs(c)), level(8 * abs(h))), (level(abs(p)), total), (i, chan)]
        else:
            contexts += [(level(8 * abs(l1)), row), (total,), (col,)]
        m = v = self.magnitude(contexts)
        if m:
            start = k > 1 and i % w == 0
            beside = 0 if start else l1
            across = 0 if start or i < w else self.back(w + 1)
            m = min(m, 1023)
            pull = abs(p) * m // (1 + (self.all**2 >> 24))
            pull = cut(pull if p >= 0 else -pull, 4095)
            contexts = [
                (min(m, 255),),
                (sign(a), sign(l1)),
                (sign(l1), sign(h), sign(c)),
                (signed_level(16 * across), signed_level(16 * beside)),
                (signed_level(pull),),
                (level(16 * m), signed_level(p)),
                (i, signed_level(self.drift[channel] >> 8)),
            ]
            v = -v if self.signs.bit(0, contexts) else v

        self.near.append(cut(v, 1023))
        if k > 1:
            z = 1 + (self.all**2 >> 24) + sum(y * y for y in taps)
            gain = cut((16 * self.back(1) - p) * 4096 >> z.bit_length(), 2**20)
            self.pulls[i] = [
                cut(u + (gain * y >> 5), 2**17) for u, y in zip(self.pulls[i], taps, strict=True)
            ]
        size = UNIT * abs(self.back(1))
        self.all += (size - self.all) >> 8
        self.row += (size - self.row) >> 5
        self.channel[channel] += (size - mean_k) >> 5
        if k > 1:
            self.column[column] += (size - mean_c) >> 4
        self.drift[channel] += (UNIT * self.near[-1] - self.drift[channel]) >> 5
        return v

    def magnitude(self, contexts: list[tuple[int, ...]]) -> int:
        def bit(node: int) -> int:
            return self.magnitudes.bit(node, contexts)

        if not bit(0):
            return 0
        e = 0
        while e < self.bits - 1 and bit(1 + min(e, 15)):
            e += 1
        first = 1 + min(self.bits - 1, 16)
        m = 1
        for place in range(e):
            known = place < 3 and e < 16
            m = 2 * m + (bit(first + 8 * e + m) if known else self.code.bit(32768))
        return m
