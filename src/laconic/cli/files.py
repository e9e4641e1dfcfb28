"""Commands on one file: pack, unpack, export, inspect, verify, run. None of them loads torch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from laconic.cli import show
from laconic.cli.options import Json, Source, Target
from laconic.errors import DataError, MismatchError, UsageError


def pack(source: Source, target: Target, json: Json = False) -> None:
    """Pack a .safetensors, .npz or .onnx file losslessly into a .lac file."""
    from laconic.pack.foreign import pack_file

    size = pack_file(source, target)
    _sizes(source, target, source.stat().st_size, size, json)


def unpack(source: Source, target: Target, json: Json = False) -> None:
    """Unpack a .lac file into what it was made from (or, for a model, .safetensors or .npz)."""
    from laconic.container.foreign import unpack_file

    unpack_file(source, target)
    _sizes(source, target, source.stat().st_size, target.stat().st_size, json)


def export(
    source: Source,
    onnx: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    json: Json = False,
) -> None:
    """Write an ordinary ONNX file that ONNX Runtime opens and that gives the same outputs."""
    from laconic.pack.export import export_onnx

    export_onnx(source, onnx)
    _sizes(source, onnx, source.stat().st_size, onnx.stat().st_size, json)


def _sizes(source: Path, target: Path, before: int, after: int, json: bool) -> None:
    if json:
        show.print_json(
            {"source": str(source), "target": str(target), "before": before, "after": after}
        )
        return
    show.console.print(
        f"{source}: {show.bytes_text(before)} bytes → {target}: {show.bytes_text(after)} bytes "
        f"({before / max(1, after):.2f}×)"
    )


def inspect(source: Source, json: Json = False) -> None:
    """Show each tensor: shape, steps, distinct values, zeros, coder, bytes, bits a weight."""
    from laconic.container import LacFile
    from laconic.measure.tensors import tensor_records

    with LacFile(source) as file:
        records = tensor_records(file)
        sections = {name: length for name, (_, length, _) in file.sections.items()}
        total = len(file.data)
    if json:
        parts = {"file": str(source), "size_bytes": total, "sections": sections}
        show.print_json({**parts, "tensors": [asdict(record) for record in records]})
        return
    table = Table(title=f"{source}: {show.bytes_text(total)} bytes", title_justify="left")
    table.add_column("tensor")
    table.add_column("shape")
    table.add_column("dtype")
    table.add_column("steps")
    for name in ("distinct", "zeros %", "bytes", "bits/weight"):
        table.add_column(name, justify="right")
    table.add_column("coder")
    for record in records:
        count = max(1, record.parameters)
        table.add_row(
            record.name,
            "×".join(map(str, record.shape)) or "scalar",
            record.dtype,
            " → ".join(record.steps) or "–",
            show.bytes_text(record.distinct),
            f"{100 * (1 - record.nonzeros / count):.1f}" if record.parameters else "–",
            show.bytes_text(record.size_bytes),
            f"{8 * record.size_bytes / count:.2f}",
            record.coder,
        )
    show.console.print(table)
    overhead = total - sum(sections.values()) - sum(record.size_bytes for record in records)
    named = ", ".join(f"{name} {show.bytes_text(size)}" for name, size in sections.items())
    show.console.print(f"sections: {named or 'none'}; header {show.bytes_text(overhead)} bytes")


def verify(source: Source, json: Json = False) -> None:
    """Check every checksum, decode every tensor, and run the probe."""
    from laconic import runtime
    from laconic.container import LacFile

    with LacFile(source) as file:
        file.verify()
        tensors, has_program = len(file.entries), "program" in file.sections
    deviation = runtime.load(source).check_probe() if has_program else None
    if json:
        show.print_json({"file": str(source), "tensors": tensors, "probe_deviation": deviation})
        return
    probe = "no probe" if deviation is None else f"probe within {deviation:.1e}"
    show.console.print(f"[green]✓[/] {source}: {tensors} tensors decoded, checksums right, {probe}")


def run(
    source: Source,
    inputs: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help=".npy, or .npz by name")
    ],
    output: Annotated[Path, typer.Argument(help=".npy, or .npz for several outputs")],
    batch: Annotated[int, typer.Option(help="Examples computed at once.", min=1)] = 256,
    json: Json = False,
) -> None:
    """Run a .lac file on an array, without PyTorch."""
    import io

    from laconic import runtime
    from laconic.container.atomic import write_bytes

    session = runtime.load(source)
    arrays = _read_arrays(inputs, session.input_names)
    count = {len(array) for array in arrays.values() if array.ndim}
    if len(count) != 1:
        raise MismatchError(f"the inputs have different numbers of examples: {sorted(count)}")
    parts = [
        session(**{name: array[i : i + batch] for name, array in arrays.items()})
        for i in range(0, max(1, *count), batch)
    ]
    results = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    buffer = io.BytesIO()
    if output.suffix == ".npz":
        np.savez(buffer, allow_pickle=False, **results)
    elif len(results) == 1:
        np.save(buffer, next(iter(results.values())), allow_pickle=False)
    else:
        names = ", ".join(results)
        raise UsageError(f"{len(results)} outputs ({names}) need an .npz, not {output}")
    write_bytes(output, buffer.getvalue())
    shapes = {name: list(array.shape) for name, array in results.items()}
    if json:
        show.print_json({"file": str(source), "output": str(output), "shapes": shapes})
        return
    show.console.print(f"{output}: " + ", ".join(f"{name} {s}" for name, s in shapes.items()))


def _read_arrays(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is no .npy or .npz file: {error}") from error
    if isinstance(loaded, np.ndarray):
        if len(names) != 1:
            raise UsageError(f"the network takes {', '.join(names)}: pass them as an .npz by name")
        return {names[0]: loaded}
    return {name: loaded[name] for name in loaded.files}
