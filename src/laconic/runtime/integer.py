"""Runs a quantized program in integers alone: the reference of integer-only inference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.container.program import Node, Program
from laconic.errors import UnsupportedError
from laconic.runtime.operators import OPERATORS
from laconic.runtime.operators.arrays import Array

Integers = NDArray[np.int64]
MULTIPLIER_BITS = 31
SUM_BITS = 16
"""An addition's unit is the coarsest scale of the program's activations over 2^16."""
PER_CHANNEL = ("Relu", "MaxPool", "Identity")
"""Operators that keep the channels, so that each may have a scale of its own."""
MOVES = ("Flatten", "Reshape", "Transpose", "Slice", "Pad", "Squeeze", "Unsqueeze", "Concat")
"""Operators that only move values about, and put zeros beside them."""


@dataclass(frozen=True)
class Scaled:
    """Integers that stand for ``codes · scale``; the zero point is taken off."""

    codes: Integers
    scale: NDArray[np.float64]
    """Of no dimension, or one for each channel: dimension 1, or 0 of weights and biases."""


class IntegerExecutor:
    """What a program in QDQ form computes, with integer sums and fixed-point multipliers.

    Jacob et al., arXiv:1712.05877, section 2.2: a layer sums products of integers in 32 bits, adds
    its bias in the unit s_w · s_x, and comes to the scale of its output by the multiplier
    ``M = s_w s_x / s_y``, which is known beforehand and kept as ``M0 · 2^−n`` with M0 an integer of
    31 bits. ReLU, maximum and sums need integers alone; a mean divides by changing the scale.
    Floats appear twice: the network's input is quantized, and scales are divided beforehand.

    Departures: one rounding shift instead of a doubling product and a shift; operands of an
    addition (appendix A.2) come to one fine unit for the whole network, so that shortcuts that are
    not quantized stay as fine as in the float network. Sums are computed in float64, in which these
    integers are exact.

    Args:
        program: QuantizeLinear before each layer; weights as DequantizeLinear of integers, as
            `laconic.pack.qdq.with_integer_weights` writes them.
        tensors: the arrays behind the program's free names.
    """

    def __init__(self, program: Program, tensors: Mapping[str, Array]) -> None:
        self.program = program
        self.static: dict[str, Array] = {**program.constants, **tensors}
        self.nodes: list[Node] = []
        for node in program.nodes:
            known = all(not name or name in self.static for name in node.inputs)
            if known and node.operator != "DequantizeLinear":
                arrays = [self.static[name] if name else None for name in node.inputs]
                result = OPERATORS[node.operator](*arrays, **node.attributes)
                self.static[node.outputs[0]] = np.asarray(result)
            else:
                self.nodes.append(node)
        coarsest = [
            float(self.static[node.inputs[1]].max())
            for node in self.nodes
            if node.operator == "QuantizeLinear"
        ]
        if not coarsest:
            raise UnsupportedError("the program has no QuantizeLinear: its activations are floats")
        self.unit = np.asarray(max(coarsest) * 2.0**-SUM_BITS)

    def run(self, inputs: Mapping[str, Array]) -> list[Integers]:
        """The outputs as integers of one unknown unit each: their order is that of the floats.

        Raises:
            UnsupportedError: an operator that has no form in integers here, or floats in its way.
        """
        values: dict[str, Any] = dict(inputs)
        for node in self.nodes:
            method = getattr(self, f"_{node.operator.lower()}", None)
            arguments = [values.get(name) for name in node.inputs]
            if node.operator in PER_CHANNEL or node.operator in MOVES:
                result = self._moved(node, arguments)
            elif method is None:
                raise UnsupportedError(
                    f"{node.operator} has no form in integers; between a QuantizeLinear and the "
                    "next may be Conv, Gemm, MatMul, Add, Relu, Clip, MaxPool, means and moves"
                )
            else:
                result = method(node, arguments)
            values[node.outputs[0]] = result
        return [self._one_unit(_scaled(values[v.name], v.name)).codes for v in self.program.outputs]

    def _quantizelinear(self, node: Node, arguments: list[Any]) -> Scaled:
        scale = np.asarray(self.static[node.inputs[1]], np.float64)
        zero = int(self.static[node.inputs[2]]) if len(node.inputs) > 2 else 0
        x = arguments[0]
        if isinstance(x, Scaled):
            codes = rescaled(x, scale)
        else:  # the network's input: the one place where floats come in
            codes = np.rint(x / scale.astype(np.float32)).astype(np.int64)
        return Scaled(np.clip(codes, -zero, 255 - zero), scale)

    def _dequantizelinear(self, node: Node, arguments: list[Any]) -> Scaled:
        if isinstance(arguments[0], Scaled):
            return arguments[0]
        scale = np.asarray(self.static[node.inputs[1]], np.float64)
        return Scaled(self.static[node.inputs[0]].astype(np.int64), scale)

    def _conv(self, node: Node, arguments: list[Any]) -> Scaled:
        return self._layer(node, arguments, "Conv")

    def _gemm(self, node: Node, arguments: list[Any]) -> Scaled:
        return self._layer(node, arguments, "Gemm")

    def _matmul(self, node: Node, arguments: list[Any]) -> Scaled:
        return self._layer(node, arguments, "MatMul")

    def _layer(self, node: Node, arguments: list[Any], kind: str) -> Scaled:
        x = self._one_unit(_scaled(arguments[0], node.operator))
        weight = _scaled(arguments[1], f"the weight {node.inputs[1]}")
        sums = OPERATORS[kind](
            x.codes.astype(np.float64), weight.codes.astype(np.float64), **node.attributes
        )
        made = Scaled(np.asarray(sums).astype(np.int64), x.scale * weight.scale)
        if kind == "MatMul" and made.scale.size > 1:  # the outputs lie along the last dimension
            turned = Scaled(np.moveaxis(made.codes, -1, 1), made.scale)
            made = Scaled(np.moveaxis(rescaled(turned, self.unit), 1, -1), self.unit)
        if len(node.inputs) < 3 or not node.inputs[2]:
            return made
        bias = arguments[2].codes if isinstance(arguments[2], Scaled) else None
        if bias is None:
            exact = np.asarray(self.static[node.inputs[2]], np.float64) / made.scale
            bias = np.rint(exact).astype(np.int64)
        shape = [1, -1, *[1] * (made.codes.ndim - 2)]
        return Scaled(made.codes + bias.reshape(shape), made.scale)

    def _add(self, node: Node, arguments: list[Any]) -> Scaled:
        total: Any = 0
        for place, value in enumerate(arguments):
            if value is None:
                fixed = np.asarray(self.static[node.inputs[place]], np.float64)
                total = total + np.rint(fixed / self.unit).astype(np.int64)
            else:
                total = total + rescaled(_scaled(value, "Add"), self.unit)
        return Scaled(total, self.unit)

    def _moved(self, node: Node, arguments: list[Any]) -> Scaled:
        scaled = [value for value in arguments if isinstance(value, Scaled)]
        x = _scaled(arguments[0], node.operator)
        if node.operator not in PER_CHANNEL:
            x = self._one_unit(x)
        others = [self.static.get(name) for name in node.inputs[1:]]
        if len(scaled) > 1:  # Concat: all in one unit
            others = [rescaled(value, self.unit) for value in scaled[1:]]
            x = Scaled(rescaled(x, self.unit), self.unit)
        codes = OPERATORS[node.operator](
            x.codes.astype(np.float64),
            *[one.astype(np.float64) if len(scaled) > 1 and one is not None else one
              for one in others],
            **node.attributes,
        )  # fmt: skip
        return Scaled(np.asarray(codes).astype(np.int64), x.scale)

    def _clip(self, node: Node, arguments: list[Any]) -> Scaled | Array:
        low, high = (*node.inputs[1:], "", "")[:2]
        return self._bounded(arguments[0], self.static.get(low), self.static.get(high))

    def _max(self, node: Node, arguments: list[Any]) -> Scaled | Array:
        return self._bounded(*self._operand(node, arguments), None)

    def _min(self, node: Node, arguments: list[Any]) -> Scaled | Array:
        value, end = self._operand(node, arguments)
        return self._bounded(value, None, end)

    def _operand(self, node: Node, arguments: list[Any]) -> tuple[Any, Array]:
        """The computed operand of two, and the one that is known beforehand."""
        place = 0 if arguments[0] is not None else 1
        return arguments[place], self.static[node.inputs[1 - place]]

    def _bounded(self, x: Any, low: Array | None, high: Array | None) -> Scaled | Array:
        if not isinstance(x, Scaled):
            return np.asarray(np.clip(x, low, high))
        x = self._one_unit(x)
        ends = [None if end is None else np.rint(end / x.scale) for end in (low, high)]
        return Scaled(np.clip(x.codes, *ends).astype(np.int64), x.scale)

    def _reducemean(self, node: Node, arguments: list[Any]) -> Scaled:
        x = self._one_unit(_scaled(arguments[0], "ReduceMean"))
        axes = tuple(int(axis) for axis in self.static[node.inputs[1]])
        keep = bool(node.attributes.get("keepdims", 1))
        count = math.prod(x.codes.shape[axis] for axis in axes)
        return Scaled(x.codes.sum(axes, keepdims=keep), x.scale / count)

    def _globalaveragepool(self, node: Node, arguments: list[Any]) -> Scaled:
        x = self._one_unit(_scaled(arguments[0], "GlobalAveragePool"))
        axes = tuple(range(2, x.codes.ndim))
        count = math.prod(x.codes.shape[2:])
        return Scaled(x.codes.sum(axes, keepdims=True), x.scale / count)

    def _one_unit(self, x: Scaled) -> Scaled:
        """The same with one scale for all channels."""
        return x if x.scale.size == 1 else Scaled(rescaled(x, self.unit), self.unit)


def _scaled(value: Any, what: str) -> Scaled:
    if not isinstance(value, Scaled):
        raise UnsupportedError(
            f"{what} gets floats; quantize the inputs of every layer to 8 bits, and its weights"
        )
    return value


def rescaled(x: Scaled, scale: NDArray[np.float64]) -> Integers:
    """The codes in another scale: ``round(q · M0 · 2^−n)``, halves upwards.

    Examples:
        >>> x = Scaled(np.array([10, -3], np.int64), np.float64(0.5))
        >>> rescaled(x, np.float64(0.25)).tolist(), rescaled(x, np.float64(2.0)).tolist()
        ([20, -6], [3, -1])
    """
    if x.scale.size > 1:
        front = np.moveaxis(x.codes, 1, 0)
        parts = [rescaled(Scaled(part, s), scale) for part, s in zip(front, x.scale, strict=True)]
        return np.moveaxis(np.stack(parts), 0, 1)
    multiplier, shift = fixed_point(float(np.asarray(x.scale / scale).reshape(())))
    limit = 2 ** (62 - MULTIPLIER_BITS)
    if x.codes.size and max(int(x.codes.max()), -int(x.codes.min())) >= limit:
        raise UnsupportedError(f"a sum does not fit into {62 - MULTIPLIER_BITS} bits")
    if shift <= 0:
        return np.asarray(x.codes * (multiplier << -shift))
    if shift > 2 * MULTIPLIER_BITS:  # beyond half a step of any code
        return np.zeros_like(x.codes)
    return np.asarray((x.codes * multiplier + (1 << (shift - 1))) >> shift)


def fixed_point(factor: float) -> tuple[int, int]:
    """``M0`` and ``n`` with ``factor ≈ M0 · 2^−n`` and M0 from 2^30 to 2^31 − 1.

    Examples:
        >>> fixed_point(0.75)
        (1610612736, 31)
    """
    mantissa, exponent = math.frexp(factor)
    multiplier = round(mantissa * 2**MULTIPLIER_BITS)
    if multiplier == 2**MULTIPLIER_BITS:
        multiplier, exponent = multiplier // 2, exponent + 1
    return multiplier, MULTIPLIER_BITS - exponent
