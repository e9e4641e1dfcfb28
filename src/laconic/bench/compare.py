"""The comparison: each network under each setting, against every rival that is installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from laconic import runtime
from laconic.bench import machine, start
from laconic.bench.cases import THREADS, Case, Setting
from laconic.bench.engines import LACONIC, ONNXRUNTIME, OPENVINO, PACKAGES, Array
from laconic.bench.interleaved import Ran, deviation, ratio, run
from laconic.bench.prepare import Prepared, Side, has_nncf
from laconic.bench.results import Goal, Limit, Result, Timing, Work
from laconic.bench.work import Load, work_of
from laconic.container import LacFile
from laconic.errors import DataError, UnsupportedError
from laconic.measure.processor import processor_name
from laconic.measure.versions import versions

FLOAT_RIVALS = (ONNXRUNTIME, OPENVINO)
"""The faster of these is the one to beat; PyTorch's time stands beside."""
MOST_DEVIATION = 1e-4
Tell = Callable[[int, int, str], None]
"""Told of the number of the step, of how many, and what it is."""


@dataclass
class Found:
    """What has been measured so far."""

    goals: list[Goal] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    work: list[Work] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def compare(
    cases: Mapping[str, Case],
    folder: Path,
    *,
    command: str,
    tell: Tell,
    threads: Sequence[int] = THREADS,
    rivals: Sequence[str] = tuple(PACKAGES),
    seconds: float = 20,
    with_start: bool = True,
    with_work: bool = True,
) -> Result:
    """Time the networks in every engine, and compare what they compute.

    Args:
        cases: the networks.
        folder: for the files that the engines run; those of an earlier run are used again.
        command: for the record.
        tell: told of the progress.
        threads: for each of these numbers, all is timed.
        rivals: names of other engines; those that are not installed are left out.
        seconds: for each network, batch and number of threads; more where calls are long.
        with_start: measure import and load as well.
        with_work: say where our time goes.

    Raises:
        DataError: no rival is installed.
    """
    installed = [name for name in rivals if find_spec(PACKAGES[name])]
    if ONNXRUNTIME not in installed:
        raise DataError('the rivals are not installed: pip install "laconic[bench]"')
    began = time.perf_counter()
    found = Found()
    machines = {each: machine.measured(each) for each in threads} if with_work else {}
    loads: dict[Path, Load] = {}
    if OPENVINO in installed and not has_nncf():
        found.failures["OpenVINO int8"] = "nncf is not installed"
    steps = [(case, batch) for case in cases.values() for batch in case.batches]
    count = len(steps) * (1 + len(threads)) + with_start
    number = 0
    for case, batch in steps:
        number += 1
        tell(number, count, f"{case.title}: preparing batch {batch}")
        prepared = Prepared(case, batch, folder, installed)
        sides = prepared.sides()
        inputs = prepared.arrays()
        if batch == case.batches[0]:
            found.limits += _memory(case, prepared)
        for each in threads:
            number += 1
            tell(number, count, f"{case.title}: batch {batch}, threads {each}")
            ran = run(sides, inputs, each, seconds)
            if each == threads[0]:
                found.limits += _deviations(case, batch, sides, inputs, ran)
            _note(found, case, sides, batch, each, ran)
            if machines:
                found.work += work_of(case, sides, batch, machines[each], loads, ran)
    if with_start:
        tell(count, count, "import and load")
        found.limits += _start(folder)
    return Result(
        command=command,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        seconds=round(time.perf_counter() - began, 1),
        processor=processor_name(),
        versions=versions(),
        goals=found.goals,
        limits=found.limits,
        timings=found.timings,
        work=found.work,
        failures=found.failures,
    )


def _note(
    found: Found, case: Case, sides: Sequence[Side], batch: int, threads: int, ran: Ran
) -> None:
    """Times and goals of one turn."""
    for name, reason in ran.failures.items():
        found.failures[f"{case.name}, {name}, batch {batch}, threads {threads}"] = reason
    for name, turns in ran.turns.items():
        low, median, high = turns.percentiles_ms()
        found.timings.append(
            Timing(case.name, name, batch, threads, median, low, high, len(turns.calls))
        )
    eight_bits = [side.name for side in sides if not side.is_exact]
    for side in sides:
        if side.setting is None:
            continue
        setting = side.setting
        least = setting.least if batch in setting.batches else None
        pairs: list[tuple[Sequence[str], float | None]] = [(FLOAT_RIVALS, least)]
        if setting.least_int8 is not None:
            pairs.append((eight_bits, setting.least_int8))
        for rivals, bound in pairs:
            found.goals += _goal(case, side, setting, bound, rivals, batch, threads, ran)


def _goal(
    case: Case,
    side: Side,
    setting: Setting,
    least: float | None,
    rivals: Sequence[str],
    batch: int,
    threads: int,
    ran: Ran,
) -> list[Goal]:
    """Ours against the fastest of the rivals that ran; nothing where none did."""
    medians = {name: ran.turns[name].percentiles_ms()[1] for name in rivals if name in ran.turns}
    if not medians:
        return []
    fastest = min(medians, key=medians.__getitem__)
    low = factor = high = ours_ms = 0.0
    if side.name in ran.turns:
        low, factor, high = ratio(ran.turns[fastest], ran.turns[side.name])
        ours_ms = ran.turns[side.name].percentiles_ms()[1]
    return [
        Goal(
            case=case.name,
            title=case.title,
            setting=setting.name,
            batch=batch,
            threads=threads,
            ours_ms=ours_ms,
            rival=fastest,
            rival_ms=medians[fastest],
            least=least,
            factor=factor,
            low=low,
            high=high,
        )
    ]


def _deviations(
    case: Case, batch: int, sides: Sequence[Side], inputs: list[Array], ran: Ran
) -> list[Limit]:
    """How far outputs are from those of ONNX Runtime on the same weights."""
    limits = []
    for side in sides:
        if side.name not in ran.outputs or not side.is_exact or side.name == ONNXRUNTIME:
            continue
        if side.engine == LACONIC:
            session = runtime.load(side.path, engine="onnxruntime")
            reference = session.run(*inputs)
        else:
            reference = ran.outputs[ONNXRUNTIME]
        outputs = {"found": ran.outputs[side.name], "reference": reference}
        what = f"{case.title}, batch {batch}: {side.name} against ONNX Runtime"
        limits.append(
            Limit(what, "relative", MOST_DEVIATION, deviation(outputs, "found", "reference"))
        )
    return limits


def _memory(case: Case, prepared: Prepared) -> list[Limit]:
    """Bytes that weights take in memory, for each that is not zero."""
    from laconic.runtime.native_executor import NativeExecutor

    limits = []
    for setting in case.settings:
        if setting.most_bytes is None:
            continue
        path = prepared.restricted(setting)
        with LacFile(path) as file:
            nonzeros = sum(int(np.count_nonzero(file.array(name))) for name in file.entries)
        what = f"{case.title}, {setting.name}: weights in memory"
        try:
            executor = runtime.load(path, engine="native").executor
        except UnsupportedError:
            continue  # its goals say so
        if isinstance(executor, NativeExecutor):
            found = executor.weight_bytes / nonzeros
            limits.append(Limit(what, UNIT, setting.most_bytes, found))
    return limits


UNIT = "bytes a non-zero"


def _start(folder: Path) -> list[Limit]:
    cost = start.measure(start.prepared(folder))
    parts = (
        f"interpreter {cost.interpreter_ms:.0f}, NumPy {cost.numpy_ms:.0f}, import "
        f"{cost.import_ms:.0f}, load {cost.load_ms:.0f}; {cost.low_ms:.0f}–{cost.high_ms:.0f}"
    )
    what = f"a fresh process imports the runtime and loads {cost.file_bytes:,} bytes"
    return [
        Limit(f"{what}: time", "ms", start.MOST_MS, cost.total_ms, parts),
        Limit(f"{what}: peak memory", "MB", start.MOST_MB, cost.peak_mb),
    ]
