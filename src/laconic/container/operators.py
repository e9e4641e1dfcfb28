"""What a program is made of: values, operators with ONNX semantics, and their order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from numpy.typing import NDArray

Attribute: TypeAlias = (
    "int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]"
    " | NDArray[Any] | Program"
)
GENERATED = "%"
"""Names of values inside a program that was read: %7 is the seventh value."""
UNKNOWN_SIZE = "?"
"""A size that may vary and has no name: two of them need not be equal."""
EDGES = {2**62 - 1: 2**63 - 1, -(2**62): -(2**63)}
"""Stored integer → meaning: ONNX writes "to the end" as the largest or smallest int64."""


@dataclass(frozen=True)
class Value:
    """An input or output: its name, dtype and shape; a text stands for a size that may vary."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Node:
    """One operator of the ONNX standard domain; an absent input is ``""``."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """Nodes in an order that runs. Names that no node makes are inputs, constants or tensors.

    `tensors` are the names of the file's tensors that the nodes read; `constants` are small
    arrays that belong to the program itself, such as the target of a Reshape.
    """

    opset: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def free_names(self) -> list[str]:
        """Names that are read and that neither inputs, constants nor nodes provide, in order."""
        made = {value.name for value in self.inputs} | set(self.constants) | {""}
        free: dict[str, None] = {}
        for node in self.nodes:
            inner = [p for p in node.attributes.values() if isinstance(p, Program)]
            reads = list(node.inputs) + [name for p in inner for name in p.free_names()]
            free.update(dict.fromkeys(name for name in reads if name not in made))
            made.update(node.outputs)
        free.update(dict.fromkeys(v.name for v in self.outputs if v.name not in made))
        return list(free)
