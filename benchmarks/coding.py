#!/usr/bin/env python3
"""How fast the coders are, in million codes a second on one thread, and whether threads run beside.

Synthetic codes: 16 symbols, equally likely and each half as likely as the one before; nine zeros
out of ten. Real ones, with LACONIC_DATA set: the largest layer of the released SqueezeNet and the
widest convolutions of ResNet-56, nine tenths pruned, 5 bits, both tiled to size. Arrays are cut
into pieces of 2^20 codes, as in a file. Medians of several runs on one processor; the last column
is the time in which two threads decode two arrays against that of one (1: side by side, 2: one
after the other), with all processors.

    python benchmarks/coding.py [--json] [--count 1000000 …] [--runs 9] [--coder NAME …]
    LACONIC_NATIVE=0 python benchmarks/coding.py --count 20000 --runs 3     the NumPy reference
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from laconic import coding
from laconic.coding import PRESETS, IntArray, kernels
from laconic.errors import CodingError, DataError
from laconic.measure.processor import one_cpu

PIECE = 2**20
SPARSE = ("90 % zeros", "ResNet-56, 90 % pruned")
GOALS: tuple[tuple[str, str | None, str, int], ...] = (
    *(("context", array, direction, 20) for array in SPARSE for direction in ("encode", "decode")),
    ("rans", None, "decode", 200),
)
"""Coder, array (None: all), direction, million codes a second."""


def synthetic(count: int) -> dict[str, IntArray]:
    """Codes without structure, as rows of 1000."""
    generator = np.random.default_rng(0)
    peaky = 0.5 ** np.minimum(np.arange(1, 17), 15)
    zeros = generator.random(count) >= 0.1
    drawn = {
        "16 symbols, uniform": generator.integers(0, 16, count),
        "16 symbols, peaky": generator.choice(16, count, p=peaky / peaky.sum()),
        "90 % zeros": np.where(zeros, 0, generator.integers(-7, 8, count)),
    }
    return {name: rows_of(codes.astype(np.int8), 1000) for name, codes in drawn.items()}


def rows_of(codes: IntArray, length: int) -> IntArray:
    """As many whole rows as there are; all in one row where there is none."""
    rows = codes.size // length
    return codes[: rows * length].reshape(rows, length) if rows else codes[None]


def real(count: int) -> dict[str, IntArray]:
    """Codes of trained networks, tiled along the first axis."""
    from laconic.studies import coding_inputs  # imports PyTorch

    squeezenet = max(coding_inputs.squeezenet().values(), key=np.size)
    layers = coding_inputs.resnet("resnet56", 5, 0.9).values()
    widest = np.concatenate([layer for layer in layers if layer.shape == (64, 64, 3, 3)])
    arrays = {"SqueezeNet": squeezenet, "ResNet-56, 90 % pruned": widest}
    return {name: tiled(codes, count) for name, codes in arrays.items()}


def tiled(codes: IntArray, count: int) -> IntArray:
    """Whole rows of about `count` codes in all."""
    rows = max(1, count // codes[0].size)
    return np.resize(codes, (rows, *codes.shape[1:]))


def pieces(codes: IntArray) -> list[IntArray]:
    """Runs of whole rows of at most `PIECE` codes."""
    rows = max(1, PIECE // codes[0].size)
    return [codes[start : start + rows] for start in range(0, len(codes), rows)]


def median_seconds(action: Callable[[], Any], runs: int) -> float:
    """The median time of `runs` calls, after one that warms up."""
    action()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(codes: IntArray, coder: str, runs: int) -> dict[str, float]:
    """Bits a code, million codes a second in both directions, and what a second thread costs."""
    parts = pieces(codes)

    def encode() -> list[bytes]:
        if coder in PRESETS:
            return [b"".join(coding.chosen(part, coder)) for part in parts]
        return [coding.encode(part, coder) for part in parts]

    coded = encode()

    def decode(_: int = 0) -> list[IntArray]:
        pairs = zip(coded, parts, strict=True)
        return [coding.decode(data, part.shape, part.dtype) for data, part in pairs]

    if not np.array_equal(np.concatenate(decode()), codes):
        raise SystemExit(f"{coder} did not give the codes back")
    with one_cpu():
        encode_seconds = median_seconds(encode, runs)
        decode_seconds = median_seconds(decode, runs)
    with ThreadPoolExecutor(2) as pool:
        one = median_seconds(decode, runs)
        both = median_seconds(lambda: list(pool.map(decode, range(2))), runs)
    return {
        "bits": round(8 * sum(map(len, coded)) / codes.size, 3),
        "encode": round(codes.size / encode_seconds / 1e6, 1),
        "decode": round(codes.size / decode_seconds / 1e6, 1),
        "two_threads": round(both / one, 2),
    }


def measured(counts: list[int], runs: int, only: list[str] | None) -> Iterator[dict[str, Any]]:
    """One row for each count, array and coder that can hold it."""
    named = [name for name in coding.registered() if name != "blocks"] + list(PRESETS)
    for count in counts:
        arrays = synthetic(count)
        try:
            arrays |= real(count)
        except DataError as error:
            print(f"without the real networks: {error}", file=sys.stderr)
        for array, codes in arrays.items():
            for coder in only or named:
                try:
                    figures = measure(codes, coder, runs)
                except CodingError as error:
                    print(f"{coder} cannot hold {array}: {error}", file=sys.stderr)
                    continue
                yield {"count": codes.size, "array": array, "coder": coder, **figures}


def goals(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What the slowest of the rows of each goal reached."""
    for coder, array, direction, least in GOALS:
        rates = [
            row[direction]
            for row in rows
            if row["coder"] == coder and array in (None, row["array"])
        ]
        if rates:
            met = "yes" if min(rates) >= least else "NO"
            where = array or "any array"
            yield f"{coder} {direction}s {where} at ≥ {least} M/s: {met}, {min(rates):.1f} M/s"


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description="Rates of the coders on one thread.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--count", type=int, nargs="+", default=[1_000_000], help="codes in each array"
    )
    parser.add_argument("--runs", type=int, default=9, help="timed runs of each")
    parser.add_argument("--coder", nargs="+", help="coders and presets; all of them by default")
    options = parser.parse_args()
    rows = []
    if not options.json:
        print(f"{kernels.FORM} form, {platform.machine()}; encode and decode in M/s")
        print(
            f"{'codes':>10} {'array':24} {'coder':10} {'bits':>7} {'encode':>9} {'decode':>9} "
            f"{'2 threads':>10}"
        )
    for row in measured(options.count, options.runs, options.coder):
        rows.append(row)
        if not options.json:
            print(
                f"{row['count']:10} {row['array']:24} {row['coder']:10} {row['bits']:7.3f} "
                f"{row['encode']:9.1f} {row['decode']:9.1f} {row['two_threads']:9.2f}×",
                flush=True,
            )
    if options.json:
        print(
            json.dumps({"form": kernels.FORM, "rows": rows, "goals": list(goals(rows))}, indent=1)
        )
        return
    print(*goals(rows), sep="\n")


if __name__ == "__main__":
    main()
