"""Tensors of the first and the last receipt, matched by name."""

from __future__ import annotations

from dataclasses import dataclass

from laconic.measure.receipts import Receipt, TensorRecord
from laconic.report.wording import MISSING, decimal, integer, percent

SHOWN = 24
"""Tensors that stand open on the page; the others wait under a fold."""


@dataclass(frozen=True)
class Pair:
    """One name's tensor before and after; a stage that changes shapes may leave one of them out."""

    before: TensorRecord | None
    after: TensorRecord | None

    @property
    def record(self) -> TensorRecord:
        """The tensor as it stands last."""
        record = self.after or self.before
        if record is None:
            raise ValueError("a pair holds at least one tensor")
        return record

    @property
    def largest_bytes(self) -> int:
        """The longer of its two codings."""
        return max(x.size_bytes for x in (self.before, self.after) if x is not None)

    @property
    def is_weight(self) -> bool:
        """Whether it multiplies an activation: it has two dimensions, or a Step restricts it."""
        return len(self.record.shape) >= 2 or bool(self.record.steps)


@dataclass(frozen=True)
class Bar:
    """Bytes of one tensor before and after, as texts and as widths in percent."""

    name: str
    before: str
    after: str
    before_width: float | None
    after_width: float | None
    bits_before: str
    bits_after: str
    """Bits of the file that one weight costs."""


def pairs(first: Receipt, last: Receipt) -> list[Pair]:
    """In the network's own order; the largest first where they are too many to stand open."""
    before = {record.name: record for record in first.tensors}
    after = {record.name: record for record in last.tensors}
    matched = [Pair(before.get(name), after.get(name)) for name in {**before, **after}]
    if len(matched) <= SHOWN:
        return matched
    return sorted(matched, key=lambda pair: -pair.largest_bytes)


def bars(matched: list[Pair], first: Receipt, last: Receipt) -> tuple[list[Bar], int]:
    """One bar a tensor, one for the rest of the file, and the bytes that fill the width."""
    rest = [r.size_bytes - sum(record.size_bytes for record in r.tensors) for r in (first, last)]
    longest = max([pair.largest_bytes for pair in matched] + [max(rest), 1])
    drawn = [_bar(pair, longest) for pair in matched]
    drawn.append(
        Bar(
            "rest of the file",
            integer(rest[0]),
            integer(rest[1]),
            100 * max(rest[0], 0) / longest,
            100 * max(rest[1], 0) / longest,
            "",
            "",
        )
    )
    return drawn, longest


def _bar(pair: Pair, longest: int) -> Bar:
    def size(record: TensorRecord | None) -> str:
        return integer(record.size_bytes) if record else MISSING

    def width(record: TensorRecord | None) -> float | None:
        return 100 * record.size_bytes / longest if record else None

    return Bar(
        pair.record.name,
        size(pair.before),
        size(pair.after),
        width(pair.before),
        width(pair.after),
        bits_per_weight(pair.before),
        bits_per_weight(pair.after),
    )


def bits_per_weight(record: TensorRecord | None) -> str:
    """Bits of the file that one value of the tensor costs."""
    if record is None or record.parameters == 0:
        return MISSING
    return decimal(8 * record.size_bytes / record.parameters)


def zeros(record: TensorRecord | None) -> str:
    """The share of zeros in the tensor."""
    if record is None:
        return MISSING
    return percent(record.parameters - record.nonzeros, record.parameters)


def shape(record: TensorRecord) -> str:
    """The shape as factors; a 0-dimensional tensor is a scalar."""
    return " × ".join(integer(size) for size in record.shape) or "scalar"
