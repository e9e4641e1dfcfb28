"""How labels pass through a network: the values inside it, and what rules do with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from laconic.surgery.labels import Labels, Place, squeezed, varies


@dataclass(frozen=True)
class Traced:
    """A tensor inside the network: its shape, and which of its positions go with which labels.

    Each factor has as many dimensions as the tensor and size 1 where its labels do not vary; a
    position is removed when the label of any factor there is. A weight ``[outputs, inputs]`` has
    two factors, ``[outputs, 1]`` and ``[1, inputs]``. Along a dimension in which no factor varies
    nothing can be removed.
    """

    shape: tuple[int, ...]
    factors: tuple[Tensor, ...] = ()


Value = Traced | tuple["Value", ...] | list["Value"] | object
"""What a node of the graph gives or takes: tensors, several of them, or plain arguments."""


@dataclass(frozen=True)
class Padding:
    """Zeros that were put beside labelled positions along `dim` of `output`."""

    place: Place
    output: Traced
    dim: int
    pad: tuple[int, ...]
    """As torch takes it: before and after in the last dimension, in the one before it, …"""

    @property
    def index(self) -> int:
        """Where in `pad` the two numbers of `dim` begin."""
        return 2 * (len(self.output.shape) - 1 - self.dim)


@dataclass
class Flow:
    """What a rule works with, at one operation."""

    labels: Labels
    place: Place
    paddings: list[Padding] = field(default_factory=list)

    def factors(self, value: Traced) -> list[Tensor]:
        """The factors with the labels of today, without those that vary nowhere."""
        present = [squeezed(self.labels.roots(factor)) for factor in value.factors]
        return [factor for factor in present if varies(factor)]

    def join(self, labels: Tensor, others: Tensor, because: str) -> None:
        """Only together from now on."""
        self.labels.join(labels, others, self.place, because)

    def along(self, value: Traced, dim: int, because: str) -> Tensor | None:
        """The labels along one dimension alone, ``[size]``; None where nothing varies along it.

        Where labels vary along other dimensions as well they are joined over those.
        """
        dim %= len(value.shape)
        found: Tensor | None = None
        for factor in self.factors(value):
            if dim not in varies(factor):
                continue
            rows = factor.movedim(dim, 0).reshape(value.shape[dim], -1)
            self.join(rows, rows[:, :1], because)
            if found is not None:
                self.join(found, rows[:, 0], because)
            found = rows[:, 0]
        return None if found is None else self.labels.roots(found)

    def fix(self, value: Value, because: str, dims: Sequence[int] | None = None) -> None:
        """Nothing of this value can be removed; or nothing along some of its dimensions.

        What varies along other dimensions as well (the features of heads) then goes whole.
        """
        for traced in leaves(value):
            wanted = {dim % len(traced.shape) for dim in dims} if dims is not None else None
            for factor in self.factors(traced):
                along = set(varies(factor)) if wanted is None else wanted & set(varies(factor))
                if len(along) == len(varies(factor)):
                    self.labels.fix(factor, self.place, because)
                    continue
                for dim in along:
                    self.join(factor, factor.narrow(dim, 0, 1), f"{because}, and it goes whole")

    def same(self, values: Sequence[Traced], shape: Sequence[int], because: str) -> Traced:
        """A tensor of `shape` whose positions go with those of all `values`, broadcast to it."""
        rank = len(shape)
        aligned = [
            Traced((1,) * (rank - len(v.shape)) + tuple(v.shape), tuple(
                f.reshape((1,) * (rank - f.ndim) + tuple(f.shape)) for f in self.factors(v)
            ))
            for v in values
        ]  # fmt: skip
        factors = [factor for value in aligned for factor in value.factors]
        for factor in factors:
            self._cover(factor, aligned, because)
        for place, factor in enumerate(factors):
            for other in factors[:place]:
                self._meet(factor, other, because)
        return self.made(shape, factors)

    def _cover(self, factor: Tensor, values: Sequence[Traced], because: str) -> None:
        """Where one side varies along a dimension without labels, nothing goes along that."""
        for dim in varies(factor):
            for value in values:
                covered = any(dim in varies(other) for other in value.factors)
                if value.shape[dim] > 1 and not covered:
                    self.keep(factor, dim, f"{because}, and one side has fixed sizes")

    def keep(self, factor: Tensor, dim: int, because: str) -> None:
        """Nothing is removed along `dim`: what varies along it goes as a whole, or not at all."""
        if varies(factor)[0] == dim:
            self.labels.fix(factor, self.place, because)
        else:
            self.join(factor, factor.narrow(dim, 0, 1), because)

    def _meet(self, one: Tensor, other: Tensor, because: str) -> None:
        """Join the labels of two factors of one tensor along the dimensions that they share.

        A head of several features meets a table with a row for each feature (rotary positions):
        heads go whole and features stay.
        """
        one, other = (squeezed(self.labels.roots(factor)) for factor in (one, other))
        shared = set(varies(one)) & set(varies(other))
        if not shared:
            return
        for factor, narrow in ((one, other), (other, one)):
            if len(varies(factor)) > len(shared) and varies(factor)[0] not in shared:
                for dim in shared:
                    self.keep(factor, dim, because)
                    self.labels.fix(narrow, self.place, f"{because}, and whole heads go")
                return
        self.join(one, other, because)

    def made(self, shape: Sequence[int], factors: Sequence[Tensor]) -> Traced:
        """A tensor with these factors, each once."""
        kept: list[Tensor] = []
        for factor in factors:
            present = squeezed(self.labels.roots(factor))
            if not varies(present):
                continue
            if not any(present.shape == k.shape and torch.equal(present, k) for k in kept):
                kept.append(present)
        return Traced(tuple(shape), tuple(kept))

    def moved(self, value: Traced, move: Callable[[Tensor], Tensor | Sequence[Tensor]]) -> Value:
        """What a pure movement of data (a reshape, a slice) makes: the labels move with the data.

        `move` gets the labels in the tensor's full shape, so that it may be any such operator.
        """
        # A view needs data in order.
        blank = move(torch.zeros(value.shape, dtype=torch.int64))
        shapes = [blank.shape] if isinstance(blank, Tensor) else [part.shape for part in blank]
        parts: list[list[Tensor]] = [[] for _ in shapes]
        for factor in self.factors(value):
            result = move(factor.expand(value.shape).contiguous())
            for part, piece in zip(
                parts, [result] if isinstance(result, Tensor) else result, strict=True
            ):
                part.append(piece)
        made = [self.made(shape, part) for shape, part in zip(shapes, parts, strict=True)]
        return made[0] if isinstance(blank, Tensor) else tuple(made)


def leaves(value: Value) -> list[Traced]:
    """All tensors in a value."""
    if isinstance(value, Traced):
        return [value]
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in leaves(part)]
    return []


def vector(labels: Tensor, rank: int, dim: int) -> Tensor:
    """Labels ``[size]`` as a factor of a tensor of `rank` dimensions, along `dim`."""
    shape = [1] * rank
    shape[dim] = math.prod(labels.shape)
    return labels.reshape(shape)
