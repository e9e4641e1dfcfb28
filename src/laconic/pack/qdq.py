"""Weights of an ONNX export as 8-bit integers where the layer's inputs are quantized: QDQ form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.container import LacFile, Node, Program, StoredTensor
from laconic.pack.uniform_search import find_uniform

LAYERS = ("Conv", "Gemm", "MatMul")
"""Operators that engines run on 8-bit integers: data, weight and perhaps bias."""
MAX_INT32 = 2**31 - 1


@dataclass(frozen=True)
class QuantizedProgram:
    """A program whose layers read DequantizeLinear of integers, and those integers."""

    program: Program
    arrays: dict[str, NDArray[Any]]
    """Integers, scales and zero points under names that the program did not have."""


def with_integer_weights(program: Program, file: LacFile) -> QuantizedProgram:
    """Let each layer that reads quantized inputs read its weight as int8 times a scale.

    Where the weight is one, bit for bit, with one scale or one for each output; and its bias as
    int32 times (scale of the inputs · scale of the weight), where it is that. Engines fuse such
    layers and run them on integers. Everything else stays as it is, so that the values are the
    same.

    Args:
        program: of `file`.
        file: the tensors behind it.
    """
    inputs = {
        node.outputs[0]: node.inputs[1]
        for node in program.nodes
        if node.operator == "DequantizeLinear"
    }
    maker = _Maker(file, set(program.free_names()), program)
    for place, node in enumerate(program.nodes):
        if node.operator in LAYERS and node.inputs[0] in inputs:
            maker.layer(place, node, inputs[node.inputs[0]])
    return maker.made()


class _Maker:
    """Collects what changes in a program."""

    def __init__(self, file: LacFile, tensors: set[str], program: Program) -> None:
        self.file = file
        self.tensors = tensors
        self.program = program
        self.arrays: dict[str, NDArray[Any]] = {}
        self.weights: dict[tuple[str, int], tuple[str, NDArray[np.float32]] | None] = {}
        self.biases: dict[tuple[str, str, str], str | None] = {}
        self.first: list[Node] = []
        self.changed: dict[int, Node] = {}
        self.turned = {
            node.outputs[0]: node.inputs[0]
            for node in program.nodes
            if node.operator == "Transpose" and node.attributes.get("perm") == (1, 0)
        }
        """Transposed matrix → the matrix: a linear layer of more than two dimensions has one."""

    def made(self) -> QuantizedProgram:
        """The program with everything that was found."""
        nodes = [self.changed.get(i, node) for i, node in enumerate(self.program.nodes)]
        read = {name for node in nodes for name in node.inputs}
        read |= {value.name for value in self.program.outputs}
        nodes = [n for n in nodes if n.outputs[0] in read or n.outputs[0] not in self.turned]
        return QuantizedProgram(replace(self.program, nodes=(*self.first, *nodes)), self.arrays)

    def layer(self, place: int, node: Node, input_scale: str) -> None:
        """Change one layer, if its weight allows."""
        axis = _output_axis(node)
        weight = self.weight(node.inputs[1], axis)
        if weight is None:
            return
        inputs = list(node.inputs)
        inputs[1], scale = weight
        if node.operator != "MatMul" and len(inputs) > 2 and inputs[2]:
            bias = self.bias(inputs[2], node.inputs[1], input_scale, scale)
            inputs[2] = bias or inputs[2]
        self.changed[place] = replace(node, inputs=tuple(inputs))

    def weight(self, name: str, axis: int) -> tuple[str, NDArray[np.float32]] | None:
        """What stands for a weight, and its scale: of no dimension, or one an output."""
        key = name, axis
        if key not in self.weights:
            stored, turned = self.turned.get(name, name), name in self.turned
            found = None
            if stored in self.tensors:
                found = _as_int8(self.file, stored, -1 - axis if turned else axis)
            self.weights[key] = None
            if found is not None:
                codes, scale = found
                codes = codes.T.copy() if turned else codes
                zeros = np.zeros(scale.shape, np.int8)
                self.weights[key] = self.dequantized(stored, codes, scale, zeros, axis), scale
        return self.weights[key]

    def bias(
        self, name: str, weight: str, input_scale: str, scale: NDArray[np.float32]
    ) -> str | None:
        """The name that stands for a bias as int32, if it is that."""
        if name not in self.tensors or input_scale not in self.tensors:
            return None
        key = name, weight, input_scale
        if key not in self.biases:
            values = self.file.array(name)
            step: NDArray[Any] = np.asarray(self.file.array(input_scale) * scale).reshape(-1)
            self.biases[key] = None
            codes = np.rint(values / step)
            exact = np.array_equal((codes * step).astype(np.float32), values)
            if values.ndim == 1 and exact and np.abs(codes).max(initial=0) <= MAX_INT32:
                zeros = np.zeros(step.shape if step.size > 1 else (), np.int32)
                step = step if step.size > 1 else step.reshape(())
                integers = codes.astype(np.int32)
                self.biases[key] = self.dequantized(name, integers, step, zeros, 0)
        return self.biases[key]

    def dequantized(
        self, name: str, codes: NDArray[Any], scale: NDArray[Any], zeros: NDArray[Any], axis: int
    ) -> str:
        """A DequantizeLinear of new arrays; returns the name of its output."""
        parts = {"integers": codes, "scale": scale, "zero": zeros}
        number = len(self.first)
        names = [f"{name} {part} {number}" for part in parts]
        self.arrays.update(zip(names, parts.values(), strict=True))
        output = f"{name} dequantized {number}"
        attributes: dict[str, Any] = {"axis": axis} if scale.ndim else {}
        self.first.append(Node("DequantizeLinear", tuple(names), (output,), attributes))
        return output


def _output_axis(node: Node) -> int:
    """Along which dimension of its weight a layer's outputs lie; -1: the last one."""
    if node.operator == "Conv" or node.attributes.get("transB"):
        return 0
    return 1 if node.operator == "Gemm" else -1


def _as_int8(
    file: LacFile, name: str, axis: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """Codes and scale (of no dimension, or one value an output) of a weight, if it is such."""
    if file.entry(name).dtype != "F32":
        return None
    stored: StoredTensor | None = file.stored(name)
    if stored is not None and (stored.grid != "uniform" or stored.rows is not None):
        stored = find_uniform(name, file.bits(name), "F32")
    if stored is None or stored.codes.size == 0:
        return None
    tables: Mapping[str, Any] = stored.tables
    scale = np.asarray(tables["scale"], np.float32)
    axis %= stored.codes.ndim
    along = [size if i == axis else 1 for i, size in enumerate(stored.codes.shape)]
    if scale.size == 1:
        scale = scale.reshape(())
    elif scale.size == stored.codes.shape[axis] and list(scale.shape) in (along, [scale.size]):
        scale = scale.reshape(-1)
    else:
        return None
    codes = stored.codes
    if int(codes.min()) < -128 or int(codes.max()) > 127:
        return None
    spread = scale if scale.ndim == 0 else scale.reshape(along)
    same = (codes.astype(np.float32) * spread).view(np.uint32)
    if not np.array_equal(same.reshape(codes.shape), file.bits(name)):
        return None
    return codes.astype(np.int8), scale
