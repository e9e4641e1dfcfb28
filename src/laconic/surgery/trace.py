"""The graph of a network with labels on all its tensors: what can only be removed together."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from laconic.surgery import rules_layer, rules_move, rules_product
from laconic.surgery.export import Example, exported, plain_copy
from laconic.surgery.flow import Flow, Padding, Traced, Value, leaves
from laconic.surgery.labels import Labels, Place, varies

aten = torch.ops.aten
RULES = {**rules_move.RULES, **rules_product.RULES, **rules_layer.RULES}
CHECKS = (aten._assert_tensor_metadata, aten._assert_scalar, aten.sym_constrain_range)
"""Operators that compute nothing."""
NAMES = {
    "_native_batch_norm_legit_no_training": "batch_norm",
    "native_layer_norm": "layer_norm",
    "native_group_norm": "group_norm",
    "addmm": "linear",
    "mm": "linear",
    "constant_pad_nd": "pad",
}
"""What people call the basic operators."""


@dataclass(frozen=True)
class Step:
    """One operation of the graph, for what is looked up later."""

    place: Place
    literals: tuple[Any, ...]
    """Its plain arguments: sizes of a reshape, of a split."""
    inputs: list[Traced]
    outputs: list[Traced]


@dataclass(frozen=True)
class Trace:
    """A network's tensors with the labels of their positions."""

    labels: Labels
    tensors: dict[str, Traced]
    """Parameters and buffers by name; tied ones under each name."""
    steps: list[Step] = field(default_factory=list)
    paddings: list[Padding] = field(default_factory=list)


def trace(model: nn.Module, example: Example) -> Trace:
    """Follow every channel of `model` from the weights that make it to those that read it.

    The network is exported by `torch.export` in eval mode; a module that is used
    twice, a functional call and a bare parameter are seen as what they are. An operator without
    a rule keeps the sizes of what it takes and gives.

    Args:
        model: with or without chains; not changed.
        example: as the network takes it.

    Raises:
        UnsupportedError: the network cannot be traced; the message says the operation and the line.
        UsageError: the network does not run on the example.
    """
    twin = plain_copy(model)
    program = exported(twin, example)
    labels = Labels()
    found = Trace(labels, _tensors(twin, labels))
    _fix_fused_attention(twin, found)
    values: dict[str, Value] = {}
    names = {
        **program.graph_signature.inputs_to_parameters,
        **program.graph_signature.inputs_to_buffers,
    }
    for node in program.graph.nodes:
        if node.op == "placeholder":
            name = names.get(node.name)
            values[node.name] = found.tensors[name] if name in found.tensors else _unlabelled(node)
        elif node.op == "call_function":
            values[node.name] = _call(node, values, found)
        elif node.op == "output":
            place = Place("output", "", "")
            flow = Flow(labels, place)
            flow.fix(_filled(list(node.args), values), "it is an output of the network")
    _fix_unused(program, values, found)
    _make_rectangular(found)
    return found


def _fix_fused_attention(model: nn.Module, found: Trace) -> None:
    """Nothing of `torch.nn.MultiheadAttention` can be removed: `unfuse` makes it possible."""
    for path, module in model.named_modules():
        if not isinstance(module, nn.MultiheadAttention):
            continue
        flow = Flow(found.labels, Place("MultiheadAttention", path, ""))
        because = "its heads must fill the embedding; laconic.surgery.unfuse(model) frees them"
        for name, _ in module.named_parameters():
            flow.fix(found.tensors[f"{path}.{name}" if path else name], because)


def _fix_unused(
    program: torch.export.ExportedProgram, values: dict[str, Value], found: Trace
) -> None:
    """What is computed and used by nobody stays, where it has no share in what is used."""
    nodes = list(program.graph.nodes)
    used = {node for node in nodes if node.op == "output"}
    for node in reversed(nodes):
        if node in used:
            used.update(node.all_input_nodes)
    kept = [leaf for node in nodes if node in used for leaf in leaves(values.get(node.name))]
    labels = [found.labels.roots(factor).reshape(-1) for leaf in kept for factor in leaf.factors]
    known = torch.cat([torch.zeros(1, dtype=torch.int64), *labels])
    for node in nodes:
        if node.op != "call_function" or node in used or node.users:
            continue
        for leaf in leaves(values.get(node.name)):
            for factor in leaf.factors:
                roots = found.labels.roots(factor).reshape(-1)
                alone = roots[~torch.isin(roots, known)]
                found.labels.fix(alone, _place(node), "nobody uses it")


def _tensors(model: nn.Module, labels: Labels) -> dict[str, Traced]:
    """Labels for each position along each dimension of each parameter and buffer."""
    made: dict[int, Traced] = {}
    found = {}
    everything = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
    for name, tensor in everything:
        if id(tensor) not in made:
            factors = tuple(
                labels.fresh(size).reshape([-1 if d == dim else 1 for d in range(tensor.ndim)])
                for dim, size in enumerate(tensor.shape)
                if size > 1
            )
            made[id(tensor)] = Traced(tuple(tensor.shape), factors)
        found[name] = made[id(tensor)]
    return found


def _unlabelled(node: Node) -> Value:
    value = node.meta.get("val")
    if isinstance(value, Tensor):
        return Traced(tuple(int(size) for size in value.shape))
    return value


def _filled(value: Any, values: Mapping[str, Value]) -> Any:
    """Arguments with the values in the place of nodes."""
    if isinstance(value, Node):
        return values[value.name]
    if isinstance(value, list | tuple):
        return [_filled(part, values) for part in value]
    return value


def _call(node: Node, values: Mapping[str, Value], found: Trace) -> Value:
    """What one operation makes of its inputs' labels."""
    args = _filled(list(node.args), values)
    named = {key: _filled(value, values) for key, value in node.kwargs.items()}
    if node.target is operator.getitem:
        whole = args[0]
        return whole[args[1]] if isinstance(whole, tuple | list) else None
    flow = Flow(found.labels, _place(node), found.paddings)
    packet = getattr(node.target, "overloadpacket", None)
    if packet in CHECKS:
        return None
    shapes = _shapes(node)
    if packet in RULES:
        made: Value = RULES[packet](flow, node.target, *args, **named)
    elif leaves(args) and torch.Tag.pointwise in getattr(node.target, "tags", ()):
        inputs = leaves([*args, *named.values()])
        shape = leaves(shapes)[0].shape
        made = flow.same(inputs, shape, "they are combined element by element")
    elif not leaves([*args, *named.values()]):
        made = shapes
    else:
        flow.fix([*args, *named.values()], f"what {flow.place.operation} does with it is not known")
        made = shapes
    literals = tuple(part for part in node.args if not isinstance(part, Node))
    found.steps.append(Step(flow.place, literals, leaves(args), leaves(made)))
    return made


def _shapes(node: Node) -> Value:
    """The outputs of a node without labels."""
    value = node.meta.get("val")
    if isinstance(value, tuple | list):
        return tuple(
            Traced(tuple(int(s) for s in part.shape)) if isinstance(part, Tensor) else part
            for part in value
        )
    return _unlabelled(node)


def _place(node: Node) -> Place:
    """Operation, module and line of a node."""
    packet = getattr(node.target, "overloadpacket", None)
    name = packet.__name__ if packet is not None else str(node.target)
    name = NAMES.get(name, name).removeprefix("_")
    stack = list(node.meta.get("nn_module_stack", {}).values())
    module = stack[-1][0] if stack else ""
    return Place(name, module, _line(node.meta.get("stack_trace") or ""))


def _line(stack: str) -> str:
    """``resnet.py, line 40`` of the last frame that is not torch's own."""
    torch_home = str(Path(torch.__file__).parent)
    frames = [line for line in stack.splitlines() if line.strip().startswith("File ")]
    own = [frame for frame in frames if torch_home not in frame]
    if not own:
        return ""
    parts = own[-1].strip().split(", ")
    return f"{Path(parts[0].split(chr(34))[1]).name}, {parts[1]}"


def _make_rectangular(found: Trace) -> None:
    """Join labels until what stays of every tensor is a box again.

    Where labels vary along several dimensions at once (channels that were reshaped), whole slices
    along the longest of them go.
    """
    changed = True
    while changed:
        changed = False
        before = len(found.labels.joins)
        for step in found.steps:
            flow = Flow(found.labels, step.place)
            for value in step.outputs:
                for factor in flow.factors(value):
                    dims = varies(factor)
                    if len(dims) > 1:
                        longest = max(dims, key=lambda dim: factor.shape[dim])
                        rows = factor.movedim(longest, 0).reshape(factor.shape[longest], -1)
                        flow.join(rows, rows[:, :1], "what stays must be a box")
        changed = len(found.labels.joins) > before
