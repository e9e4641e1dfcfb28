"""Commands on one file: pack, unpack, export, inspect, verify, run. None of them loads torch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from laconic.cli import show
from laconic.cli.options import (
    Coding,
    Engine,
    Json,
    MaxBytes,
    Source,
    Target,
    Threads,
    in_a_folder,
)
from laconic.container import MAX_BYTES
from laconic.errors import DataError, MismatchError, UnsupportedError, UsageError
from laconic.runtime.engines import DEFAULT_ENGINE

if TYPE_CHECKING:
    from laconic.runtime import Session


def pack(
    source: Source,
    target: Target,
    coding: Coding = "smallest",
    weights_only: Annotated[
        bool,
        typer.Option("--weights-only", help="Of an .onnx file, leave out what it computes."),
    ] = False,
    runtime_check: Annotated[
        bool,
        typer.Option(
            "--runtime-check", help="Fail, naming them, where the runtime lacks operators."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Pack a .safetensors, .npz or .onnx file losslessly into a .lac file.

    What an .onnx file computes goes along, so that the .lac file runs.
    """
    from laconic.pack.foreign import pack_file

    program = source.suffix.lower() == ".onnx" and not weights_only
    try:
        size = pack_file(
            source, target, coding=coding, program=program, runtime_check=runtime_check
        )
    except UnsupportedError as error:
        if program and not runtime_check:
            error.add_note("--weights-only packs the weights without what the model computes")
        raise
    _sizes(source, target, source.stat().st_size, size, json)


def unpack(
    source: Source, target: Target, max_bytes: MaxBytes = MAX_BYTES, json: Json = False
) -> None:
    """Unpack a .lac file into what it was made from (or, for a model, .safetensors or .npz)."""
    from laconic.container.foreign import unpack_file

    unpack_file(source, target, max_bytes=max_bytes)
    _sizes(source, target, source.stat().st_size, target.stat().st_size, json)


def export(
    source: Source,
    onnx: Annotated[
        Path,
        typer.Option(help="The ONNX file to write.", dir_okay=False, callback=in_a_folder),
    ],
    max_bytes: MaxBytes = MAX_BYTES,
    json: Json = False,
) -> None:
    """Write an ordinary ONNX file that ONNX Runtime opens and that gives the same outputs."""
    from laconic.pack.export import export_onnx

    _check_suffix(onnx, ".onnx")
    export_onnx(source, onnx, max_bytes=max_bytes)
    _sizes(source, onnx, source.stat().st_size, onnx.stat().st_size, json)


def _check_suffix(target: Path, *possible: str) -> None:
    """UsageError, before anything is computed, unless the file's name says what will be in it."""
    if target.suffix not in possible:
        raise UsageError(f"{target}: give a file to write that ends in {' or '.join(possible)}")


def _sizes(source: Path, target: Path, before: int, after: int, json: bool) -> None:
    if json:
        show.print_json(
            {"source": str(source), "target": str(target), "before": before, "after": after}
        )
        return
    show.say(
        f"{source}: {show.bytes_text(before)} bytes → {target}: {show.bytes_text(after)} bytes "
        f"({before / max(1, after):.2f}×)"
    )


def inspect(source: Source, max_bytes: MaxBytes = MAX_BYTES, json: Json = False) -> None:
    """Show each tensor: shape, steps, distinct values, zeros, coder, bytes, bits a weight."""
    from laconic.container import LacFile
    from laconic.measure.tensors import tensor_records

    with LacFile(source, max_bytes=max_bytes) as file:
        file.check_parts()
        records = tensor_records(file)
        sections = {name: length for name, (_, length, _) in file.sections.items()}
        total = len(file.data)
    if json:
        parts = {"file": str(source), "size_bytes": total, "sections": sections}
        show.print_json({**parts, "tensors": [asdict(record) for record in records]})
        return
    show.say(f"{source}: {show.bytes_text(total)} bytes")
    show.console.print(show.tensors_table(records))
    overhead = total - sum(sections.values()) - sum(record.size_bytes for record in records)
    named = ", ".join(f"{name} {show.bytes_text(size)}" for name, size in sections.items())
    show.say(f"sections: {named or 'none'}; header {show.bytes_text(overhead)} bytes")


def verify(source: Source, max_bytes: MaxBytes = MAX_BYTES, json: Json = False) -> None:
    """Check every checksum, decode every tensor, and run the probe."""
    from laconic import runtime
    from laconic.container import LacFile

    with LacFile(source, max_bytes=max_bytes) as file:
        file.verify()
        tensors, has_program = len(file.entries), "program" in file.sections
    deviation = None
    if has_program:
        deviation = runtime.load(source, max_bytes=max_bytes).check_probe()
    if json:
        show.print_json({"file": str(source), "tensors": tensors, "probe_deviation": deviation})
        return
    show.say(
        f"✓ {source}: {tensors} tensors decoded, checksums right, {show.probe_text(deviation)}"
    )


def run(
    source: Source,
    inputs: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help=".npy, or .npz by name")
    ],
    output: Annotated[
        Path,
        typer.Argument(
            dir_okay=False, callback=in_a_folder, help=".npy, or .npz for several outputs"
        ),
    ],
    batch: Annotated[int, typer.Option(help="Examples computed at once.", min=1)] = 256,
    engine: Engine = DEFAULT_ENGINE,
    threads: Threads = None,
    max_bytes: MaxBytes = MAX_BYTES,
    json: Json = False,
) -> None:
    """Run a .lac file on an array, without PyTorch."""
    import io

    from laconic import runtime
    from laconic.container.atomic import write_bytes

    _check_suffix(output, ".npy", ".npz")
    session = runtime.load(source, engine=engine, threads=threads, max_bytes=max_bytes)
    if output.suffix != ".npz" and len(session.outputs) != 1:
        names = ", ".join(session.output_names)
        raise UsageError(f"{len(session.outputs)} outputs ({names}) need an .npz, not {output}")
    results = _in_batches(session, _read_arrays(inputs, session.input_names), batch)
    buffer = io.BytesIO()
    if output.suffix == ".npz":
        np.savez(buffer, allow_pickle=False, **results)
    else:
        np.save(buffer, next(iter(results.values())), allow_pickle=False)
    write_bytes(output, buffer.getvalue())
    shapes = {name: list(array.shape) for name, array in results.items()}
    if json:
        show.print_json({"file": str(source), "output": str(output), "shapes": shapes})
        return
    show.say(f"{output}: " + ", ".join(f"{name} {shape}" for name, shape in shapes.items()))


def _in_batches(session: Session, arrays: dict[str, Any], batch: int) -> dict[str, Any]:
    """The outputs for all examples; what has no batch dimension in the program goes in whole."""
    session.checked(arrays)
    batched = [v.name for v in session.inputs if v.shape and isinstance(v.shape[0], str)]
    count = max((len(arrays[name]) for name in batched), default=0)
    parts = [
        session(**{name: a[i : i + batch] if name in batched else a for name, a in arrays.items()})
        for i in range(0, max(1, count), batch)
    ]
    if len(parts) == 1:
        return parts[0]
    fixed = [v.name for v in session.outputs if not (v.shape and isinstance(v.shape[0], str))]
    if fixed:
        raise MismatchError(
            f"the output {fixed[0]} is not by example, so {count} examples cannot be computed "
            f"{batch} at a time; give --batch {count}"
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _read_arrays(path: Path, names: list[str]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            found: np.ndarray | dict[str, Any] = loaded
            if not isinstance(loaded, np.ndarray):
                found = {name: loaded[name] for name in loaded.files}
    except Exception as error:  # of a damaged file NumPy raises whatever its parsers raise
        # NumPy takes what it does not know for a pickle, and says how to load it all the same.
        reason = "the bytes are no array" if "pickle" in str(error) else error
        raise DataError(f"{path} is no .npy or .npz file of numbers: {reason}") from error
    if isinstance(found, dict):
        return found
    if len(names) != 1:
        raise UsageError(f"the network takes {', '.join(names)}: pass them as an .npz by name")
    return {names[0]: found}
