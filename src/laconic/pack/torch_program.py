"""A torch model → its program: ONNX operators that read the state dict's tensors by name."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir.passes import common
from onnxscript import optimizer
from torch import Tensor, nn

from laconic.container import Program
from laconic.errors import UnsupportedError, UsageError
from laconic.pack.onnx_graph import program_of
from laconic.represent import plain

OPSET = 20
LONGEST_REASON = 300
LARGEST_FOLDED = 1024
"""A constant of more elements stays an operator that makes it: programs are small."""
Example = Tensor | tuple[Tensor, ...]


def capture(model: nn.Module, example_input: Example, *, dynamic_batch: bool = True) -> Program:
    """What `model` computes in eval mode, as operators with ONNX semantics; the model stays as is.

    Restricted weights are read as they are: nothing is folded into them, BatchNorm stays
    BatchNorm. Inputs have the names of forward's parameters; outputs are called ``output``.

    Args:
        model: any module that `torch.export` can trace.
        example_input: one tensor, or a tuple of them, as ``model(*example_input)`` takes them.
        dynamic_batch: the first dimension of the first input, and of every other input in which
            it has the same size, may vary in the program.

    Raises:
        UsageError: the model does not run on the example.
        UnsupportedError: the model cannot be exported, or needs an operator or dtype that no
            file holds.

    Examples:
        >>> program = capture(nn.Linear(3, 2), torch.zeros(1, 3))
        >>> [node.operator for node in program.nodes], program.inputs[0]
        (['Gemm'], Value(name='input', dtype='F32', shape=('batch', 3)))
        >>> program.free_names()
        ['weight', 'bias']
    """
    twin = plain(model).cpu()
    example = example_tensors(example_input)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        run(twin, example)
        if dynamic_batch:
            example = _two_rows(example)
        graph = _exported(twin, example, _dynamic_sizes(example) if dynamic_batch else None)
    inputs = [(value, value.name) for value in graph.graph.inputs]
    tensors = _weights_as_inputs(graph, twin.state_dict())
    optimizer.optimize_ir(graph, output_size_limit=LARGEST_FOLDED)
    common.IdentityEliminationPass()(graph)
    for value, name in inputs:
        value.name = name  # the passes rename an input that is an output too
    return program_of(graph, tensors)


def example_tensors(example_input: Example) -> tuple[Tensor, ...]:
    """The example as a tuple of tensors on the CPU.

    Raises:
        UsageError: something in it is no tensor.
    """
    tensors = (example_input,) if isinstance(example_input, Tensor) else tuple(example_input)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            found = type(tensor).__name__
            raise UsageError(f"example_input holds a {found}; give a tensor or a tuple of tensors")
    return tuple(tensor.detach().cpu() for tensor in tensors)


def run(model: nn.Module, example: tuple[Tensor, ...]) -> list[Tensor]:
    """The model's outputs on `example`, in the order in which a program lists them.

    Raises:
        UsageError: the model raises on these inputs.
    """
    try:
        with torch.no_grad():
            outputs = model(*example)
    except Exception as error:
        shapes = ", ".join(str(list(tensor.shape)) for tensor in example)
        raise UsageError(
            f"the model does not run on an example input of shape {shapes}: {error}"
        ) from error
    leaves = torch.utils._pytree.tree_leaves(outputs)
    # A parameter that is handed out as it is asks for gradients even under no_grad.
    return [leaf.detach() for leaf in leaves if isinstance(leaf, Tensor)]


def _two_rows(example: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The example with a batch of at least two: torch.export takes a size of one for fixed."""
    if not example or example[0].ndim == 0 or example[0].shape[0] != 1:
        return example
    return tuple(
        torch.cat([tensor, tensor]) if tensor.ndim and tensor.shape[0] == 1 else tensor
        for tensor in example
    )


def _dynamic_sizes(example: tuple[Tensor, ...]) -> tuple[dict[int, Any] | None, ...] | None:
    if not example or example[0].ndim == 0:
        return None
    batch, size = torch.export.Dim("batch"), example[0].shape[0]
    return tuple({0: batch} if t.ndim and t.shape[0] == size else None for t in example)


def _exported(
    model: nn.Module,
    example: tuple[Tensor, ...],
    sizes: tuple[dict[int, Any] | None, ...] | None,
) -> ir.Model:
    try:
        with _quiet_exporter():
            # The exporter's own optimizer multiplies BatchNorm into convolutions: not here.
            exported = torch.onnx.export(
                model,
                example,
                dynamo=True,
                opset_version=OPSET,
                optimize=False,
                verbose=False,
                dynamic_shapes=sizes,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise UnsupportedError(_failure(error, sizes is not None)) from error
    if exported is None:  # what torch says of file targets; a value is returned without one
        raise UnsupportedError("torch.onnx.export returned nothing")
    return exported.model


def _failure(error: BaseException, dynamic: bool) -> str:
    """What went wrong, from the innermost cause, and what to do."""
    while error.__cause__ is not None:
        error = error.__cause__
    reason = " ".join(str(error).split())
    reason = reason if len(reason) <= LONGEST_REASON else reason[:LONGEST_REASON] + " …"
    message = f"the model cannot be exported: {type(error).__name__}: {reason}\n"
    if "data-dependent" in str(error) or "DataDependent" in type(error).__name__:
        message += "Its forward branches on values of its data (an `if` or `while` on a tensor). "
    if dynamic:
        message += "If it only works for one batch size, give dynamic_batch=False. "
    return message + "pack(..., program=False) stores the weights alone."


def _weights_as_inputs(model: ir.Model, state: dict[str, Tensor]) -> dict[ir.Value, str]:
    """Make the state dict's tensors inputs of the graph, so that no pass can fold or merge them."""
    graph = model.graph
    tensors: dict[ir.Value, str] = {}
    for name in list(graph.initializers):
        value = graph.initializers[name]
        if name in state and value.shape is not None and value.shape == tuple(state[name].shape):
            del graph.initializers[name]
            value.const_value = None
            graph.inputs.append(value)
            tensors[value] = name
            value.name = f"tensor {name}"  # an input may have the name of a tensor
    return tensors


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without what torch tells of its own insides; why an export failed stands in its error."""

    def refuse(record: logging.LogRecord) -> bool:
        return False

    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    ours = [logger for logger in loggers if logger.name.split(".")[0] == "torch"]
    handlers = [handler for logger in ours for handler in logger.handlers]
    for handler in handlers:
        handler.addFilter(refuse)
    try:
        # Of a branch on data torch also prints the graph, to stderr.
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(refuse)
