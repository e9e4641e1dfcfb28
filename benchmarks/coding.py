#!/usr/bin/env python3
"""How fast the coders are, in million codes a second on one thread.

Two arrays of uint8 codes: 16 symbols, near uniform (no code is likely) and peaky (each half as
likely as the one before), and a tensor with nine zeros out of ten. Native and reference forms,
medians of several runs.

    python benchmarks/coding.py [--json] [--count 1000000] [--runs 9] [--native-only]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from laconic import _native
from laconic.coding import CODERS, Coder, IntArray, Reader, kernels, reference


def arrays(count: int) -> dict[str, IntArray]:
    """The codes to be coded, by name."""
    generator = np.random.default_rng(0)
    peaky = 0.5 ** np.minimum(np.arange(1, 17), 15)
    sparse = generator.integers(1, 16, count) * (generator.random(count) < 0.1)
    return {
        "16 symbols, uniform": generator.integers(0, 16, count).astype(np.uint8),
        "16 symbols, peaky": generator.choice(16, count, p=peaky / peaky.sum()).astype(np.uint8),
        "90 % zeros": sparse.astype(np.uint8),
    }


def median_seconds(action: Callable[[], Any], runs: int) -> float:
    """The median time of `runs` calls, after one that warms up."""
    action()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(codes: IntArray, coder: Coder, runs: int) -> dict[str, float]:
    """Bits a code, and million codes a second in both directions."""
    data = coder.encode(codes)

    def decode() -> IntArray:
        return coder.decode(Reader(data), codes.shape, codes.dtype)

    if not np.array_equal(decode(), codes):
        raise SystemExit(f"{coder.name} did not give the codes back")
    return {
        "bits": round(8 * len(data) / codes.size, 3),
        "encode_million_a_second": round(
            codes.size / median_seconds(lambda: coder.encode(codes), runs) / 1e6, 1
        ),
        "decode_million_a_second": round(codes.size / median_seconds(decode, runs) / 1e6, 1),
    }


def rows(count: int, runs: int, native_only: bool) -> list[dict[str, Any]]:
    """One row for each form, array and coder."""
    forms: dict[str, tuple[kernels.Kernels, int]] = {"native": (_native, runs)}
    if not native_only:
        forms["reference"] = (reference, min(runs, 3))
    found = []
    for form, (kernels.active, repeats) in forms.items():
        for name, codes in arrays(count).items():
            for coder in CODERS.values():
                figures = measure(codes, coder, repeats)
                found.append({"form": form, "array": name, "coder": coder.name, **figures})
    return found


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description="Rates of the coders on one thread.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--count", type=int, default=1_000_000, help="codes in each array")
    parser.add_argument("--runs", type=int, default=9, help="timed runs of each (reference: 3)")
    parser.add_argument("--native-only", action="store_true", help="leave the reference out")
    options = parser.parse_args()
    found = rows(options.count, options.runs, options.native_only)
    if options.json:
        print(json.dumps({"machine": platform.processor(), "rows": found}, indent=1))
        return
    print(f"{'form':10} {'array':20} {'coder':8} {'bits':>7} {'encode':>9} {'decode':>9}  (M/s)")
    for row in found:
        print(
            f"{row['form']:10} {row['array']:20} {row['coder']:8} {row['bits']:7.3f} "
            f"{row['encode_million_a_second']:9.1f} {row['decode_million_a_second']:9.1f}"
        )


if __name__ == "__main__":
    main()
