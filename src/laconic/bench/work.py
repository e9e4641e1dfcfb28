"""Where the time of our sides goes, and how much of the machine they use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from laconic import runtime
from laconic.bench.cases import Case
from laconic.bench.interleaved import Ran
from laconic.bench.machine import Machine
from laconic.bench.prepare import Side
from laconic.bench.results import Work
from laconic.errors import UnsupportedError

LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Load:
    """What one of our files asks of a machine."""

    operations: int
    """For an example: twice the MACs whose weight is not zero; 0 where they cannot be counted."""
    weight_bytes: int
    """In memory."""


def load_of(path: Path) -> Load:
    """Counted in the reference engine, where that has all the operators."""
    from laconic.runtime.native_executor import NativeExecutor

    native = runtime.load(path, engine="native").executor
    weight_bytes = native.weight_bytes if isinstance(native, NativeExecutor) else 0
    try:
        _, effective = runtime.count_macs(runtime.load(path, engine="numpy"))
    except UnsupportedError:
        effective = 0
    return Load(2 * effective, weight_bytes)


def work_of(
    case: Case,
    sides: Sequence[Side],
    batch: int,
    limit: Machine,
    loads: dict[Path, Load],
    ran: Ran,
) -> list[Work]:
    """Where the time of each of our sides goes."""
    found = []
    for side in sides:
        if side.name not in ran.parts:
            continue
        if side.path not in loads:
            loads[side.path] = load_of(side.path)
        median_ms = ran.turns[side.name].percentiles_ms()[1]
        found.append(
            Work(
                case=case.name,
                side=side.name,
                batch=batch,
                threads=limit.threads,
                median_ms=median_ms,
                gflops=1e-6 * batch * loads[side.path].operations / median_ms,
                peak_gflops=limit.gflops,
                gigabytes=1e-6 * loads[side.path].weight_bytes / median_ms,
                peak_gigabytes=limit.gigabytes,
                shares=shares_of(ran.parts[side.name]),
            )
        )
    return found


def shares_of(parts: Sequence[tuple[str, str, float]]) -> dict[str, float]:
    """Parts of the time, the largest first; those below a hundredth are left out."""
    seconds: dict[str, list[float]] = {}
    for operator, form, spent in parts:
        seconds.setdefault(f"{operator} {form}".strip(), []).append(spent)
    total = sum(spent for _, _, spent in parts)
    largest = sorted(seconds.items(), key=lambda item: -sum(item[1]))
    shares = {f"{name} ×{len(each)}": sum(each) / total for name, each in largest}
    return {name: share for name, share in shares.items() if share >= LEAST_SHARE}
