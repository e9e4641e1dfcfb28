"""A `.lac` file → the tensors of a torch module, checked before the module is touched."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from laconic.container import LacFile, Probe, Program
from laconic.container import probe as probe_section
from laconic.container import program as program_section
from laconic.container.dtypes import Bits
from laconic.container.file import MAX_BYTES
from laconic.errors import FormatError, MismatchError, UsageError
from laconic.pack.model import probe_inputs
from laconic.pack.torch_bits import FILE_DTYPES, TORCH_DTYPES, tensor_of
from laconic.pack.torch_program import run
from laconic.represent import chains, training_alone


@dataclass(frozen=True)
class LoadReport:
    """What `load` did."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    """Names that the model has and the file has not; their values stayed."""
    unexpected: tuple[str, ...]
    """Names that the file has and the model has not."""
    probe_deviation: float | None
    """Of the model's outputs from the file's probe, relative; None when nothing was checked."""


def load(
    path: str | os.PathLike[str],
    into: nn.Module,
    *,
    strict: bool = True,
    max_bytes: int = MAX_BYTES,
) -> LoadReport:
    """Fill a module's parameters and buffers from a `.lac` file, bit for bit.

    When the file has a probe, a copy of the filled module must give the probe's outputs first;
    a failure leaves `into` as it was. Tied parameters stay tied.

    Args:
        path: the file.
        into: a plain module: without chains.
        strict: names that do not match are an error; False reports them, and then checks no
            probe.
        max_bytes: refuse a file whose tensors would unpack to more bytes than this.

    Raises:
        FormatError: the file is damaged.
        MismatchError: names (lists both sides), shapes or dtypes differ, or the probe's outputs.
        UsageError: the module has chains.

    Examples:
        >>> import tempfile
        >>> from laconic.pack import pack
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pack(nn.Linear(3, 2), f"{folder}/x.lac", program=False)
        ...     load(f"{folder}/x.lac", into=nn.Linear(3, 2)).loaded
        ('weight', 'bias')
    """
    if restricted := chains(into):
        raise UsageError(
            f"load fills a plain module; this one has steps on {', '.join(restricted)}: give a "
            "fresh one, or laconic.represent.plain(model)"
        )
    with LacFile(path, max_bytes=max_bytes) as file:
        file.check_parts()
        names, missing, unexpected = _matched(file, into, strict)
        values = {name: file.bits(name) for name in names}
        _check_ties(into, values)
        program, probe = _checks(file)
        dtypes = {name: file.entry(name).dtype for name in names}
    deviation = None
    if program is not None and probe is not None and not missing:
        twin = copy.deepcopy(into).eval().cpu()
        _fill(twin, values, dtypes)
        deviation = _check_probe(twin, program, probe)
    _fill(into, values, dtypes)
    return LoadReport(tuple(names), missing, unexpected, deviation)


def _state(model: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers themselves."""
    state = model.state_dict(keep_vars=True)
    left_out = training_alone(model)
    return {
        name: value
        for name, value in state.items()
        if isinstance(value, Tensor) and name not in left_out
    }


def _matched(
    file: LacFile, model: nn.Module, strict: bool
) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
    """Names on both sides, in the model only, in the file only; errors where they do not fit."""
    state = _state(model)
    names = [name for name in state if name in file.entries]
    missing = tuple(name for name in state if name not in file.entries)
    unexpected = tuple(name for name in file.entries if name not in state)
    if strict and (missing or unexpected):
        raise MismatchError(
            f"the file lacks {', '.join(missing) or 'nothing'} of the model; the model lacks "
            f"{', '.join(unexpected) or 'nothing'} of the file (strict=False loads the rest)"
        )
    wrong = []
    for name in names:
        entry, tensor = file.entries[name], state[name]
        if entry.shape != tuple(tensor.shape) or TORCH_DTYPES[entry.dtype] != tensor.dtype:
            have = FILE_DTYPES.get(tensor.dtype, str(tensor.dtype))
            wrong.append(
                f"{name} is {entry.dtype} {list(entry.shape)} in the file, "
                f"{have} {list(tensor.shape)} in the model"
            )
    if wrong:
        raise MismatchError("; ".join(wrong))
    return names, missing, unexpected


def _check_ties(model: nn.Module, values: dict[str, Bits]) -> None:
    """One tensor of the model cannot take two values."""
    first: dict[int, str] = {}
    state = _state(model)
    for name, bits in values.items():
        other = first.setdefault(id(state[name]), name)
        if not np.array_equal(values[other], bits):
            raise MismatchError(
                f"{other} and {name} are one tensor in the model and two different ones in the file"
            )


def _checks(file: LacFile) -> tuple[Program | None, Probe | None]:
    """The file's program and probe, as far as it has them."""
    section, tested = file.section("program"), file.section("probe")
    if tested is None:
        return None, None
    offset = file.sections["probe"][0]
    if section is None:
        raise FormatError("the file has a probe but no program", offset)
    start = file.sections["program"][0]
    program = program_section.decode(section, list(file.entries), start)
    probe = probe_section.decode(tested, offset)
    ranks = [len(value.shape) for value in program.inputs]
    if [len(size) for size in probe.sizes] != ranks:
        raise FormatError("the probe's inputs are not those of the program", offset)
    return program, probe


def _check_probe(model: nn.Module, program: Program, probe: Probe) -> float:
    """The deviation of the model's outputs from the probe's."""
    arrays = probe_inputs(program, probe.sizes)
    inputs = [
        torch.from_numpy(array).to(TORCH_DTYPES[value.dtype])
        for array, value in zip(arrays, program.inputs, strict=True)
    ]
    outputs = run(model, tuple(inputs))
    floats = [t.float() if t.dtype == torch.bfloat16 else t for t in outputs]
    return probe.check([tensor.numpy() for tensor in floats], program)


def _fill(model: nn.Module, values: dict[str, Bits], dtypes: dict[str, str]) -> None:
    with torch.no_grad():
        for name, tensor in _state(model).items():
            if name in values:
                tensor.copy_(tensor_of(values[name], dtypes[name]))
