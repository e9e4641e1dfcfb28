"""The context coder's model and arithmetic coder (spec/coders.md, `context`).

One item after the other in Python's integers: about ten thousand times slower than the native form,
which follows the same steps under the same names.
"""

from __future__ import annotations

import math
from collections.abc import Callable

CONTEXTS = 7
CONSTANT = 77  # 0.3 in units of 1/256
MOST_STRETCH = 2815  # probabilities lie within e^±11
MOST_SEEN = 1023  # decisions that the slow estimate averages over
FAST_RATE = 96  # of 4096: the fast estimate looks back about 43 decisions
MOST_WEIGHT = 1 << 18
EAGER = 512  # decisions in which a mixer learns faster
LEVELS = 24
EXACT_SIZES = 256  # magnitudes whose signs are counted apart
SIGN_LEVELS = 13
MODELLED_BITS = 3  # of a mantissa, from the top
NODES = 16  # exponents with decisions of their own
MOST_VALUE = 1023
TAPS = 8
MOST_PULL = 1 << 17

STRETCH = [round(256 * math.log((i + 0.5) / (4095.5 - i))) for i in range(4096)]
SQUASH = [round(65536 / (1 + math.exp(-i / 256))) for i in range(-MOST_STRETCH, MOST_STRETCH + 1)]
RATE = [8192 // (2 * seen + 3) for seen in range(MOST_SEEN + 1)]


def _level(size: int) -> int:
    if size < 2:
        return size
    top = size.bit_length() - 1
    return min(2 * top + (size >> (top - 1) & 1), LEVELS - 1)


LEVEL = [_level(size) for size in range(4096)]

Code = Callable[[int, int], int]
"""The chance of a 1 in 1/65536 and the bit (ignored when decoding) → the bit."""


def level(size: int) -> int:
    """0, 1, then two an octave: 2, 3, 4–5, 6–7, 8–11, …"""
    return LEVEL[min(size, 4095)]


def mean_level(mean: int) -> int:
    """The level of a running mean, in 1/128."""
    return level(mean >> 5)


def sign_level(value: int) -> int:
    """-6 to 6, moved to 0 to 12."""
    size = min((level(abs(value)) + 1) // 3, 6)
    return 6 - size if value < 0 else 6 + size


def sign_of(value: int) -> int:
    """0, 1 or 2 for a negative, zero or positive value."""
    return 1 + (value > 0) - (value < 0)


def clamp(value: int, most: int) -> int:
    """`value`, kept within -`most` and `most`."""
    return max(-most, min(most, value))


class Family:
    """Contexts, and the decisions (nodes) that are made in each of them."""

    def __init__(self, contexts: int, nodes: int) -> None:
        self.contexts = contexts
        # Two estimates of the chance of a 1, one that averages (22 bits) and one that follows (16
        # bits), and the decisions seen; made when first asked for.
        self.estimates: dict[int, list[int]] = {}
        self.weights = [[65536 // CONTEXTS] * (CONTEXTS + 1) for _ in range(nodes)]
        self.mixed = [0] * nodes

    def decide(self, code: Code, node: int, places: list[int], bit: int) -> int:
        """One decision in the contexts `places`: predict, code, learn."""
        estimates, origin, weights = self.estimates, node * self.contexts, self.weights[node]
        found = []
        for place in places:
            estimate = estimates.get(origin + place)
            if estimate is None:
                estimate = estimates[origin + place] = [1 << 21, 1 << 15, 0]
            found.append(estimate)
        inputs = [STRETCH[((slow >> 6) + fast) >> 5] for slow, fast, _ in found]
        inputs.append(CONSTANT)
        total = 0
        for weight, value in zip(weights, inputs, strict=True):
            total += weight * value >> 4
        chance = SQUASH[clamp(total >> 12, MOST_STRETCH) + MOST_STRETCH]
        bit = code(chance, bit)
        error = (bit << 16) - chance
        shift = 15 if self.mixed[node] < EAGER else 16
        self.mixed[node] = min(self.mixed[node] + 1, EAGER)
        half = 1 << (shift - 1)
        for i, value in enumerate(inputs):
            weights[i] = clamp(weights[i] + ((value * error + half) >> shift), MOST_WEIGHT)
        slow_goal, fast_goal = ((1 << 22) - 1, 65535) if bit else (0, 0)
        for estimate in found:
            slow, fast, seen = estimate
            rate = RATE[seen]
            estimate[0] = slow + ((slow_goal - slow >> 3) * rate >> 9)
            estimate[1] = fast + ((fast_goal - fast) * max(rate, FAST_RATE) >> 12)
            estimate[2] = min(seen + 1, MOST_SEEN)
        return bit


class Model:
    """Walks over the items of an array, in order; every mean has 12 fractional bits."""

    def __init__(self, columns: int, kernel: int, width: int, count: int, most: int) -> None:
        self.columns, self.kernel, self.width = columns, kernel, width
        self.rows = count > columns
        self.most_exponent = most
        self.first_mantissa = 1 + min(most, NODES)
        size_contexts = 1 + LEVELS + 4 * LEVELS**2 + kernel * LEVELS
        self.sizes = Family(size_contexts, 9 * self.first_mantissa)
        sign_contexts = EXACT_SIZES + 36 + SIGN_LEVELS * (SIGN_LEVELS + 1 + LEVELS + kernel)
        self.signs = Family(sign_contexts, 1)
        # Zeros stand for what is outside the array.
        self.place = 64 + (2 * columns if self.rows else 0)
        self.values = [0] * (self.place + count)
        self.column = self.in_kernel = self.channel = 0
        self.mean = self.row_mean = 1 << 12
        self.column_means = [-1] * (columns if self.rows else 1)
        self.channel_means = [-1] * (columns // kernel if self.rows else 1)
        self.drifts = [0] * len(self.channel_means)
        self.prediction = 0
        self.taps = [0] * TAPS
        self.pulls = [[0] * TAPS for _ in range(kernel)]

    def next(self, code: Code, magnitude: int, negative: int) -> int:
        """Code an item, which a decoder learns here; returns it."""
        places = self.look()
        magnitude = self.code_magnitude(code, places, magnitude)
        if magnitude == 0:
            self.learn(0, 0)
            return 0
        size = min(magnitude, MOST_VALUE)
        negative = self.signs.decide(code, 0, self.look_for_sign(size), negative)
        self.learn(size, -size if negative else size)
        return -magnitude if negative else magnitude

    def above(self, rows: int) -> int:
        """The item so many rows above."""
        return self.values[self.place - rows * self.columns] if self.rows else 0

    def look(self) -> list[int]:
        """The contexts of the next item's magnitude."""
        values, here = self.values, self.place
        if self.column == 0:
            self.row_mean = self.mean
        column, channel = self.column if self.rows else 0, self.channel
        if self.channel_means[channel] < 0:
            self.channel_means[channel] = self.mean
        if self.kernel == 1:
            self.column_means[column] = self.channel_means[channel]
        elif self.column_means[column] < 0:
            self.column_means[column] = self.mean
        row_mean, column_mean = self.row_mean, self.column_means[column]
        channel_mean = self.channel_means[channel]
        left, above = abs(values[here - 1]), abs(self.above(1))
        beside, over = left + abs(values[here - 2]), above + abs(self.above(2))
        near = beside + over + left + above
        together = level((row_mean + column_mean + channel_mean + (near << 8)) >> 6)
        if self.kernel > 1:
            before = abs(values[here - self.kernel])
            higher = abs(values[here - self.width]) if self.in_kernel >= self.width else 0
            self.predict()
            last = [
                LEVELS * level(8 * before) + level(8 * higher),
                LEVELS * level(abs(self.prediction)) + together,
                LEVELS * self.in_kernel + mean_level(channel_mean),
            ]
        else:
            last = [
                LEVELS * level(8 * left) + mean_level(row_mean),
                together,
                mean_level(column_mean),
            ]
        inner = [
            0,
            level(2 * near),
            LEVELS * mean_level(row_mean) + mean_level(column_mean),
            LEVELS * level(4 * beside) + level(4 * over),
            *last,
        ]
        square = LEVELS**2
        starts = [0, 1, 1 + LEVELS, *(1 + LEVELS + i * square for i in (1, 2, 3, 4))]
        return [start + place for start, place in zip(starts, inner, strict=True)]

    def predict(self) -> None:
        """The next item (in 1/16) from its kernel, the item above and the channel before."""
        values, here = self.values, self.place
        for i in range(TAPS - 2):
            self.taps[i] = values[here - 1 - i] if i < self.in_kernel else 0
        self.taps[TAPS - 2] = self.above(1)
        self.taps[TAPS - 1] = values[here - self.kernel]
        pulls = self.pulls[self.in_kernel]
        products = (pull * tap >> 4 for pull, tap in zip(pulls, self.taps, strict=True))
        self.prediction = sum(products) >> 8

    def look_for_sign(self, size: int) -> list[int]:
        """The contexts of the sign of an item of this magnitude."""
        values, here = self.values, self.place
        left, above, channel = values[here - 1], self.above(1), values[here - self.kernel]
        lower = self.in_kernel >= self.width
        starts = self.kernel > 1 and self.in_kernel % self.width == 0
        higher = values[here - self.width] if lower else 0
        beside = 0 if starts else left
        across = values[here - 1 - self.width] if lower and not starts else 0
        spread = 1 + (self.mean * self.mean >> 24)
        pull = abs(self.prediction) * size // spread
        drawn = clamp(-pull if self.prediction < 0 else pull, 4095)
        inner = [
            min(size, EXACT_SIZES - 1),
            3 * sign_of(above) + sign_of(left),
            9 * sign_of(left) + 3 * sign_of(higher) + sign_of(channel),
            SIGN_LEVELS * sign_level(16 * across) + sign_level(16 * beside),
            sign_level(drawn),
            SIGN_LEVELS * level(16 * size) + sign_level(self.prediction),
            SIGN_LEVELS * self.in_kernel + sign_level(self.drifts[self.channel] >> 8),
        ]
        square = SIGN_LEVELS**2
        kernel = EXACT_SIZES + 36
        after = kernel + square + SIGN_LEVELS
        begins = [
            0,
            EXACT_SIZES,
            EXACT_SIZES + 9,
            kernel,
            kernel + square,
            after,
            after + SIGN_LEVELS * LEVELS,
        ]
        return [begin + place for begin, place in zip(begins, inner, strict=True)]

    def code_magnitude(self, code: Code, places: list[int], magnitude: int) -> int:
        """Zero or not; the exponent in unary; the mantissa from its top bit."""
        if not self.sizes.decide(code, 0, places, int(magnitude != 0)):
            return 0
        exponent = 0
        while exponent < self.most_exponent:
            node = 1 + min(exponent, NODES - 1)
            if not self.sizes.decide(code, node, places, int(magnitude >> exponent > 1)):
                break
            exponent += 1
        found = 1
        for below in range(exponent - 1, -1, -1):
            bit = magnitude >> below & 1
            if exponent - below <= MODELLED_BITS and exponent < NODES:
                node = self.first_mantissa + 8 * exponent + found
                bit = self.sizes.decide(code, node, places, bit)
            else:
                bit = code(32768, bit)
            found = 2 * found + bit
        return found

    def learn(self, size: int, value: int) -> None:
        """Take the item into the means and the prediction's pulls, and go on to the next."""
        self.values[self.place] = value
        column, channel = self.column if self.rows else 0, self.channel
        if self.kernel > 1:
            power = 1 + (self.mean * self.mean >> 24) + sum(tap * tap for tap in self.taps)
            gain = (16 * value - self.prediction << 12) >> power.bit_length()
            gain = clamp(gain, 1 << 20)
            pulls = self.pulls[self.in_kernel]
            for i, tap in enumerate(self.taps):
                pulls[i] = clamp(pulls[i] + (gain * tap >> 5), MOST_PULL)
            self.column_means[column] += ((size << 12) - self.column_means[column]) >> 4
        self.row_mean += ((size << 12) - self.row_mean) >> 5
        self.channel_means[channel] += ((size << 12) - self.channel_means[channel]) >> 5
        self.drifts[channel] += ((value << 12) - self.drifts[channel]) >> 5
        self.mean += ((size << 12) - self.mean) >> 8
        self.place += 1
        self.column = (self.column + 1) % self.columns
        self.in_kernel = (self.in_kernel + 1) % self.kernel
        if self.in_kernel == 0:
            self.channel = channel + 1 if self.rows and self.column else 0
