"""A network as a graph of basic operators, or why there is none."""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from laconic.errors import UnsupportedError, UsageError
from laconic.represent import plain

aten = torch.ops.aten
Example = Tensor | tuple[Any, ...] | Mapping[str, Any]
"""One input, a tuple of them, or the arguments by name."""

WHOLE = (
    aten.lstm, aten.gru, aten.rnn_tanh, aten.rnn_relu, aten.max_unpool2d, aten.max_unpool3d,
)  # fmt: skip
"""Operators that are not taken apart into smaller ones."""


def plain_copy(model: nn.Module) -> nn.Module:
    """A copy on the processor without chains; refused where torch cannot copy it."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if nn.parameter.is_lazy(tensor):
            raise UsageError(f"{name} has no size yet: run the network once on an example")
    try:
        return plain(model).cpu()
    except RuntimeError as error:
        if "deepcopy" not in str(error):
            raise
        raise UsageError(
            "the network cannot be copied: a module of it computes its weight in a hook, as "
            "torch.nn.utils.weight_norm does; take that off (torch.nn.utils.remove_weight_norm), "
            "or use torch.nn.utils.parametrizations.weight_norm"
        ) from error


def arguments(example: Example) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of a call of the network."""
    if isinstance(example, Mapping):
        return (), dict(example)
    return ((example,) if isinstance(example, Tensor) else tuple(example)), {}


def exported(model: nn.Module, example: Example) -> torch.export.ExportedProgram:
    """The network as a graph of basic operators.

    Raises:
        UsageError: the network does not run on the example.
        UnsupportedError: it cannot be traced; the message says the operation and the line.
    """
    args, named = arguments(example)
    try:
        with torch.no_grad(), torch.random.fork_rng():
            model(*args, **named)
    except Exception as error:
        raise UsageError(
            f"the network does not run on the example: {type(error).__name__}: {error}"
            f"{user_line(error)}"
        ) from error
    try:
        with _silent():
            program = torch.export.export(model, args, named, strict=False)
            table = dict(torch.export.default_decompositions())
            for whole in [op for op in table if getattr(op, "overloadpacket", None) in WHOLE]:
                del table[whole]
            with _dead_code_kept():
                basic: torch.export.ExportedProgram = program.run_decompositions(table)
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise UnsupportedError(
            f"the network cannot be traced: {type(error).__name__}: {first}{user_line(error)}; "
            "what depends on values of the data (an if or a loop on a tensor, .item(), .tolist()) "
            "has no fixed graph"
        ) from error
    return basic


@contextmanager
def _silent() -> Iterator[None]:
    """Torch says much of a network that it cannot trace; the error says what counts."""
    level = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def _dead_code_kept() -> Iterator[None]:
    """Graphs keep what nobody uses: the network computes it all the same, and must not fail."""
    remove = torch.fx.Graph.eliminate_dead_code
    torch.fx.Graph.eliminate_dead_code = lambda self, *rest: False  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.fx.Graph.eliminate_dead_code = remove  # type: ignore[method-assign]


def user_line(error: BaseException) -> str:
    """The last line of the traceback that is not torch's, with its text."""
    torch_home = str(Path(torch.__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((torch_home, str(Path(__file__).parent)))
    ]
    if not frames:
        return ""
    return f" (in {Path(frames[-1].filename).name}, line {frames[-1].lineno}: {frames[-1].line})"
