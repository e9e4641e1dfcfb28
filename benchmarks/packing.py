#!/usr/bin/env python3
"""What packing a large file costs: seconds, bytes, and memory beyond the mapped files.

Files of 240 MB of float32: one tensor, or 200 of 1.2 MB; normal values, 90 % zeros, or 16 distinct
values. Packing, unpacking and opening one tensor run in processes of their own. Their memory is
read from outside, every 2 ms from /proc/PID/status: RssAnon, which leaves out the pages of mapped
files that the kernel may take back at any time, less that of the process before it begins. The
largest value found is compared with the largest tensor.

    python benchmarks/packing.py [--json] [--megabytes 240] [--coding smallest] [--case NAME ...]
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from laconic.container import LacFile
from laconic.container.tensor_files import safetensors_bytes

CASES = ("normal", "90 % zeros", "16 values")
STARTED = b"started\n"
PROGRAMS = {
    "pack": "pack_file(source, target, coding=coding)",
    "unpack": "unpack_file(source, target)",
    "open one": "with LacFile(source) as file: file.bits(file.names[len(file.names) // 2])",
}
PROGRAM = """
import sys
from laconic.container import LacFile
from laconic.container.foreign import unpack_file
from laconic.pack import pack_file
import laconic.pack.foreign
source, target, coding = sys.argv[1:]
print("started", flush=True)
sys.stdin.readline()
"""


def values(case: str, count: int, generator: np.random.Generator) -> np.ndarray:
    """Float32 numbers of one kind."""
    normal = generator.standard_normal(count, np.float32)
    if case == "90 % zeros":
        normal[generator.random(count, np.float32) < 0.9] = 0
    if case == "16 values":
        table = np.sort(generator.standard_normal(16, np.float32))
        normal = table[generator.integers(0, 16, count, np.uint8)]
    return normal


def make(path: Path, case: str, tensors: int, size_bytes: int) -> int:
    """Write a `.safetensors` file; returns the bytes of its largest tensor."""
    generator = np.random.default_rng(0)
    columns = 1000
    rows = max(1, size_bytes // tensors // 4 // columns)
    made = {
        f"layer{number}.weight": ("F32", values(case, rows * columns, generator).view(np.uint32))
        for number in range(tensors)
    }
    made = {name: (dtype, bits.reshape(rows, columns)) for name, (dtype, bits) in made.items()}
    path.write_bytes(safetensors_bytes(made))
    return rows * columns * 4


def anonymous_bytes(process: int) -> int:
    """Memory of a process that no file backs."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def run(action: str, source: Path, target: Path, coding: str) -> dict[str, float]:
    """Seconds, and the most memory beyond what stood there before."""
    code = PROGRAM + PROGRAMS[action]
    process = subprocess.Popen(
        [sys.executable, "-c", code, source, target, coding],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    if process.stdout.readline() != STARTED:
        raise SystemExit(f"{action} did not start")
    before = most = anonymous_bytes(process.pid)
    cpu_before = cpu_seconds()
    start = time.perf_counter()
    process.stdin.write(b"\n")
    process.stdin.close()
    while process.poll() is None:
        most = max(most, anonymous_bytes(process.pid))
        time.sleep(0.002)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{action} ended with {process.returncode}")
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds() - cpu_before, 2),
        "memory_bytes": most - before,
    }


def cpu_seconds() -> float:
    """Of all processes that ended; with those that the last one needed to start."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(case: str, tensors: int, size_bytes: int, coding: str) -> list[dict[str, Any]]:
    """One row for each action on one file."""
    rows = []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        source, packed = Path(folder, "x.safetensors"), Path(folder, "x.lac")
        again = Path(folder, "y.safetensors")
        largest = make(source, case, tensors, size_bytes)
        for action, paths in {
            "pack": (source, packed), "unpack": (packed, again), "open one": (packed, packed),
        }.items():  # fmt: skip
            figures = run(action, *paths, coding)
            rows.append(
                {
                    "case": case,
                    "tensors": tensors,
                    "action": action,
                    **figures,
                    "memory_by_largest_tensor": round(figures["memory_bytes"] / largest, 3),
                    "bytes_before": source.stat().st_size,
                    "bytes_after": packed.stat().st_size,
                }
            )
        if subprocess.run(["cmp", source, again], check=False).returncode:
            raise SystemExit("the file did not come back")
        with LacFile(packed) as file:
            rows[0]["coders"] = sorted({file.coder(name) for name in file.names[:3]})
    return rows


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description="Seconds and memory of packing a large file.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--megabytes", type=int, default=240, help="of each file")
    parser.add_argument("--coding", default="smallest", help="the preset")
    parser.add_argument(
        "--case", nargs="*", default=CASES, help=", ".join(CASES).replace("%", "%%")
    )
    parser.add_argument("--tensors", nargs="*", type=int, default=(1, 200), help="in each file")
    options = parser.parse_args()
    found = []
    for tensors in options.tensors:
        for case in options.case:
            found += measure(case, tensors, options.megabytes * 10**6, options.coding)
            if not options.json:
                for row in found[-len(PROGRAMS) :]:
                    print(
                        f"{row['case']:11} {row['tensors']:4} tensors  {row['action']:8} "
                        f"{row['seconds']:7.2f} s ({row['cpu_seconds']:.2f} of CPU)  "
                        f"{row['memory_bytes'] / 1e6:8.1f} MB = "
                        f"{row['memory_by_largest_tensor']:6.3f} of the largest tensor  "
                        f"{row['bytes_before']:,} → {row['bytes_after']:,}",
                        flush=True,
                    )
    if options.json:
        print(json.dumps({"machine": platform.processor(), "rows": found}, indent=1))


if __name__ == "__main__":
    main()
