#!/usr/bin/env python3
"""Mutates whole files for some seconds and reads them in every way: `fuzz_files.py SECONDS FOLDER`.

A `FormatError` with an offset inside the file, or a documented refusal, is all that may come; so
much memory and time is all that it may take. What is read is written and read again. A fault leaves
its file in FOLDER; exit code 1. scripts/fuzz runs this.
"""

from __future__ import annotations

import random
import re
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from mutations import mutated, seeds

from laconic import runtime
from laconic.container import LacFile, pack_bytes
from laconic.container.foreign import unpack_file
from laconic.errors import FormatError, LaconicError, UnsupportedError, UsageError

MAX_BYTES = 2**25
MOST_SECONDS = 5.0
MOST_MEGABYTES = 64 + 2 * MAX_BYTES // 2**20
"""Above what reading the good files takes; tensors are read, written again and compared."""


def verify(data: bytes, folder: Path) -> None:
    with LacFile(data, max_bytes=MAX_BYTES) as file:
        file.verify()


def tensors(data: bytes, folder: Path) -> None:
    with LacFile(data, max_bytes=MAX_BYTES, threads=2) as file:
        for name, entry in file.entries.items():
            bits = file.bits(name)
            assert (bits.shape, bits.nbytes) == (entry.shape, entry.size_bytes)
            stored = file.stored(name)
            file.coder(name)
            if entry.shape and entry.shape[0]:
                assert len(file.rows(name, 0, 1)) == 1
            with LacFile(pack_bytes([replace(stored, coding="fastest")], {})) as again:
                assert np.array_equal(again.bits(name), bits), "written again it differs"


def unpack(data: bytes, folder: Path) -> None:
    (folder / "x.lac").write_bytes(data)
    for suffix in (".npz", ".safetensors", ".onnx"):
        try:
            unpack_file(folder / "x.lac", folder / f"o{suffix}", max_bytes=MAX_BYTES)
        except UsageError:  # another suffix, or a name that the target cannot hold
            continue
        except UnsupportedError:
            continue


def load(data: bytes, folder: Path) -> None:
    try:
        runtime.load(data)
    except LaconicError as error:
        if isinstance(error, FormatError):
            raise


READERS: dict[str, Callable[[bytes, Path], None]] = {
    "verify": verify,
    "tensors": tensors,
    "unpack": unpack,
    "load": load,
}


def fault(reader: Callable[[bytes, Path], None], data: bytes, folder: Path, seen: set[str]) -> str:
    """What is wrong with how `reader` took these bytes; empty when nothing is."""
    start = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader(data, folder)
        seen.add("read")
    except FormatError as error:
        seen.add(re.sub(r"'[^']*'|[\d,]+|\"[^\"]*\"", "#", str(error))[:60])
        if not 0 <= error.offset <= len(data):
            return f"an offset outside the file: {error}"
    except UnsupportedError as error:
        seen.add(str(error)[:30])
    except Exception:
        return traceback.format_exc()
    seconds = time.monotonic() - start
    return f"took {seconds:.1f} s" if seconds > MOST_SECONDS else ""


def main() -> None:
    """Mutate and read until the time is over; exit code 1 at the first fault."""
    seconds, findings = float(sys.argv[1]), Path(sys.argv[2])
    start_seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    good, seen = seeds(), set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for parts in good:
            for reader in READERS.values():
                if wrong := fault(reader, parts.joined(), folder, set()):
                    sys.exit(f"a good file: {wrong}")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            number += 1
            rng = random.Random(start_seed * 2**32 + number)
            data = mutated(rng.choice(good), good, rng)
            which = "verify" if rng.random() < 0.5 else rng.choice(list(READERS))
            wrong = fault(READERS[which], data, folder, seen)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
            if not wrong and grown > MOST_MEGABYTES:
                wrong = f"took {grown:.0f} MB"
            if wrong:
                findings.mkdir(exist_ok=True)
                (findings / f"file-{start_seed}-{number}-{which}.lac").write_bytes(data)
                sys.exit(f"file {number} of seed {start_seed}, {which}: {wrong}")
    print(f"{number:,} files read, {len(seen)} different outcomes, {grown:.0f} MB: nothing found")


if __name__ == "__main__":
    main()
