"""Labels of positions, joined where positions can only be removed together: a union-find."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FIXED = 0
"""The label of what can not be removed."""


@dataclass(frozen=True)
class Place:
    """An operation of the network: what is said of it in messages."""

    operation: str
    """``"add"``."""
    module: str
    """Path of the module whose forward calls it: ``"layer1.0"``; empty for the network itself."""
    line: str
    """``"resnet.py, line 40"``; empty where it is not known."""

    def __str__(self) -> str:
        where = [part for part in (self.module, self.line) if part]
        return f"{self.operation} ({', '.join(where)})" if where else self.operation


@dataclass(frozen=True)
class Join:
    """Labels that an operation joined; the two tensors have one shape."""

    place: Place
    labels: Tensor
    others: Tensor
    because: str


class Labels:
    """Sets of labels: integers from 0, of which `FIXED` is the first.

    Examples:
        >>> labels = Labels()
        >>> channels = labels.fresh(3)
        >>> labels.join(channels[:1], channels[2:], Place("add", "block", ""), "they are added")
        >>> labels.roots(channels).tolist()
        [1, 2, 1]
    """

    def __init__(self) -> None:
        self._parents = torch.zeros(1, dtype=torch.int64)
        self.joins: list[Join] = []

    def fresh(self, count: int) -> Tensor:
        """Labels that no position has yet, ``[count]``."""
        start = len(self._parents)
        made = torch.arange(start, start + count)
        self._parents = torch.cat([self._parents, made])
        return made

    def roots(self, labels: Tensor) -> Tensor:
        """For each label the smallest one of its set."""
        parents = self._parents
        found = parents[labels]
        while not torch.equal(found, parents[found]):
            found = parents[found]
        return found

    def join(self, labels: Tensor, others: Tensor, place: Place, because: str) -> None:
        """Make one set of each pair of labels; the shapes are broadcast."""
        shape = (labels[..., None] + others[..., None]).shape[:-1]
        one, other = (self.roots(part.expand(shape).reshape(-1)) for part in (labels, others))
        different = one != other
        if not bool(different.any()):
            return
        self.joins.append(Join(place, one[different], other[different], because))
        for a, b in sorted(
            set(zip(one[different].tolist(), other[different].tolist(), strict=True))
        ):
            a, b = self._root(a), self._root(b)
            self._parents[max(a, b)] = min(a, b)
        # Flat again, so that roots are found in one or two looks.
        self._parents = self.roots(torch.arange(len(self._parents)))

    def _root(self, label: int) -> int:
        while (parent := int(self._parents[label])) != label:
            label = parent
        return label

    def fix(self, labels: Tensor, place: Place, because: str) -> None:
        """Say that these can not be removed."""
        self.join(labels, torch.tensor(FIXED), place, because)


def squeezed(labels: Tensor) -> Tensor:
    """With size 1 along each dimension along which the labels do not vary.

    Examples:
        >>> squeezed(torch.tensor([[4, 5], [4, 5]]))
        tensor([[4, 5]])
    """
    for dim in range(labels.ndim):
        if labels.shape[dim] > 1 and bool((labels == labels.narrow(dim, 0, 1)).all()):
            labels = labels.narrow(dim, 0, 1)
    return labels


def varies(labels: Tensor) -> list[int]:
    """The dimensions along which squeezed labels vary."""
    return [dim for dim in range(labels.ndim) if labels.shape[dim] > 1]
