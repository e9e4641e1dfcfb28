"""A torch model → a `.lac` file: weights through their chains, program, probe, description."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from laconic import runtime
from laconic.coding import presets
from laconic.container import (
    LacFile,
    Probe,
    Program,
    StoredTensor,
    codebook,
    pack_bytes,
    products,
    uniform,
)
from laconic.container import about as about_section
from laconic.container import probe as probe_section
from laconic.container import program as program_section
from laconic.container.atomic import write_bytes
from laconic.container.dtypes import Bits
from laconic.container.grids.uniform_grid import ROUNDINGS
from laconic.errors import MismatchError, UnsupportedError, UsageError
from laconic.pack.structure import smallest, structured
from laconic.pack.torch_bits import FILE_DTYPES, bits_of
from laconic.pack.torch_program import Example, capture, run
from laconic.represent import Grid, Step, chains, plain_state

NO_LIMIT = 2**62
"""What is packed here is in memory already."""


def pack(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    example_input: Example | None = None,
    program: bool | Program = True,
    probe: bool = True,
    about: bool | Mapping[str, Any] = True,
    dynamic_batch: bool = True,
    coding: str = "smallest",
) -> int:
    """Write a model as one `.lac` file that decodes to exactly its weights; returns the bytes.

    Each tensor of the state dict is stored under its plain name in the smallest lossless form;
    what `represent` put on a weight shows in its bytes. Tied weights are stored once.

    Args:
        model: with or without chains; it stays as it is.
        path: the file to write; it appears whole or not at all.
        example_input: one tensor, or a tuple of them, as ``model(*example_input)`` takes them.
        program: store what the model computes, so that the file runs without its class; what
            `capture` gave for this model saves the time of capturing it again.
        probe: run the program (in NumPy) on a known input, compare with torch, and store the
            outputs, by which every reader can check itself.
        about: store the steps of each weight as text; a mapping (``{"labels": [...]}``) adds
            entries of its own; False stores nothing.
        dynamic_batch: the program takes any batch size.
        coding: ``"smallest"``, or a preset that decodes faster (`laconic.coding.chosen`).

    Raises:
        UsageError: no example input for the program, or one on which the model does not run.
        UnsupportedError: the model cannot be exported, or holds what no file can hold.
        MismatchError: the program computes something else than the model. Nothing is written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pack(nn.Linear(3, 2), f"{folder}/x.lac", example_input=torch.zeros(1, 3)) < 300
        True
    """
    data = pack_model_bytes(
        model,
        example_input=example_input,
        program=program,
        probe=probe,
        about=about,
        dynamic_batch=dynamic_batch,
        coding=coding,
    )
    write_bytes(path, data)
    return len(data)


def pack_model_bytes(
    model: nn.Module,
    *,
    example_input: Example | None = None,
    program: bool | Program = True,
    probe: bool = True,
    about: bool | Mapping[str, Any] = True,
    dynamic_batch: bool = True,
    coding: str = "smallest",
) -> bytes:
    """The bytes of the file that `pack` writes, with its arguments and errors."""
    tensors, expected = _stored_tensors(model, coding)
    sections: dict[str, bytes] = {}
    if described := _described(model, about):
        sections["about"] = about_section.encode(described)
    if program is False:
        return _verified(pack_bytes(tensors, sections), expected)
    if isinstance(program, Program):
        captured = program
    elif example_input is None:
        raise UsageError(
            "the program is captured from a run: give example_input (a tensor or a tuple of "
            "them), or program=False to store the weights alone"
        )
    else:
        captured = capture(model, example_input, dynamic_batch=dynamic_batch)
    names = [tensor.name for tensor in tensors]
    sections["program"] = program_section.encode(captured, names)
    data = _verified(pack_bytes(tensors, sections), expected)
    if not probe:
        return data
    sections["probe"] = probe_section.encode(_probe(data, captured, model))
    return pack_bytes(tensors, sections)


def _described(model: nn.Module, about: bool | Mapping[str, Any]) -> dict[str, Any]:
    """What the section about says; empty when there is nothing to say."""
    if about is False:
        return {}
    steps = {name: [str(step) for step in chain] for name, chain in chains(model).items()}
    described: dict[str, Any] = {"steps": steps} if steps else {}
    return described if about is True else {**described, **about}


def _stored_tensors(model: nn.Module, coding: str) -> tuple[list[StoredTensor], dict[str, Bits]]:
    """Every tensor in its smallest form, and the bits that each must decode to."""
    presets.slowest(coding)
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise UnsupportedError(f"{name}: a {kind} in the state dict; a file holds tensors")
    steps = chains(model)
    tensors: list[StoredTensor] = []
    expected: dict[str, Bits] = {}
    seen: dict[int, StoredTensor] = {}
    for name, tensor in plain_state(model).items():
        if id(tensor) in seen:  # tied: plain_state gives both names the same object
            first = seen[id(tensor)]
            stored, bits = replace(first, name=name), expected[first.name]
        else:
            bits, dtype = bits_of(name, tensor)
            stored = _stored(name, tensor, bits, dtype, steps.get(name, []), coding)
        seen.setdefault(id(tensor), stored)
        tensors.append(stored)
        expected[name] = bits
    return tensors, expected


def _stored(
    name: str, tensor: Tensor, bits: Bits, dtype: str, steps: list[Step], coding: str
) -> StoredTensor:
    """On its chain's grid when that gives the same bits, else by its values' structure."""
    grid = next((step for step in reversed(steps) if isinstance(step, Grid)), None)
    if grid is not None and grid.form == "uniform" and dtype in ROUNDINGS:
        with torch.no_grad():
            # A grid value's code is the value's own; what a later step zeroed has code 0.
            codes = grid.codes(tensor).cpu().numpy()
            tables = {key: table.cpu().numpy() for key, table in grid.tables().items()}
        axis = int(tables["axis"]) if tables["axis"] >= 0 else None
        candidate = uniform(name, codes, tables["scale"], axis, dtype=dtype)
        if np.array_equal(candidate.bits, bits):
            return replace(candidate, coding=coding)
    if grid is not None and grid.form == "products":
        found = _product_codes(name, tensor, bits, dtype, grid)
        forms = [structured(name, bits, dtype, coding), *found]
        return smallest([replace(form, coding=coding) for form in forms])
    if grid is not None and grid.form == "codebook":
        return replace(codebook(name, bits, dtype), coding=coding)
    return structured(name, bits, dtype, coding)


def _product_codes(
    name: str, tensor: Tensor, bits: Bits, dtype: str, grid: Grid
) -> list[StoredTensor]:
    """As codes of runs of values: nothing where a file has no room, or a later step was there."""
    with torch.no_grad():
        codes = grid.codes(tensor).cpu().numpy()
        # + 0.0: the grid, too, takes entries of -0.0 as 0.0.
        books, _ = bits_of(name, grid.tables()["codebooks"].detach() + 0.0)
    try:
        found = products(name, codes, books, bits.shape, dtype)
    except UsageError:
        return []
    return [found] if np.array_equal(found.bits, bits) else []


def _verified(data: bytes, expected: Mapping[str, Bits]) -> bytes:
    """`data`, once every tensor in it decodes to the bits that the model has."""
    with LacFile(data, max_bytes=NO_LIMIT) as file:
        for name, bits in expected.items():
            if not np.array_equal(file.bits(name), bits):
                raise MismatchError(
                    f"{name}: the coder {file.coder(name)!r} does not give back its values; "
                    "nothing was written. Please report this: it is a fault in laconic"
                )
    return data


def _probe(data: bytes, program: Program, model: nn.Module) -> Probe:
    """The program's outputs on the probe's input, once they are also those of the model.

    Raises:
        UnsupportedError: the runtime cannot run the program.
        MismatchError: the program computes something else than the model.
    """
    try:
        session = runtime.load(data, max_bytes=NO_LIMIT)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"{error}\npack(..., probe=False) stores the program unchecked, "
            "program=False leaves it out"
        ) from error
    sizes = tuple(
        tuple(1 if isinstance(size, str) else size for size in value.shape)
        for value in program.inputs
    )
    arrays = probe_inputs(program, sizes)
    outputs = session.run(*arrays)
    # The model with its chains: the program came from a copy without them.
    twin = copy.deepcopy(model).eval().cpu()
    expected = run(twin, tuple(torch.from_numpy(array) for array in arrays))
    if len(outputs) != len(expected):
        raise MismatchError(f"the program has {len(outputs)} outputs, the model {len(expected)}")
    for value, output, tensor in zip(program.outputs, outputs, expected, strict=True):
        if output.shape != tuple(tensor.shape) or FILE_DTYPES[tensor.dtype] != value.dtype:
            raise MismatchError(
                f"the program's {value.name} has shape {list(output.shape)}, dtype {value.dtype}; "
                f"the model's has {list(tensor.shape)}, {tensor.dtype}"
            )
        found = f"the program's {value.name}, against the model's,"
        least = probe_section.tolerance_of(program)
        probe_section.check_output(found, tensor.numpy(), output, output, least)
    return Probe(sizes, tuple(probe_section.sample(output) for output in outputs))


def probe_inputs(program: Program, sizes: tuple[tuple[int, ...], ...]) -> list[Any]:
    """The probe's inputs as NumPy arrays, in the program's order."""
    return [
        probe_section.make_input(value, size, index)
        for index, (value, size) in enumerate(zip(program.inputs, sizes, strict=True))
    ]
