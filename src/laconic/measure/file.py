"""A packed network, measured: bytes, MACs, memory, milliseconds and the task's metric."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from laconic import runtime
from laconic.container import LacFile
from laconic.errors import DataError
from laconic.measure.latency import latency
from laconic.measure.memory import peak_memory_bytes
from laconic.measure.receipts import Measurement
from laconic.measure.tensors import owned_entries, statistics_of
from laconic.runtime.macs import count_macs
from laconic.train import Split, Task

SOURCE_NAME = "laconic.runtime (NumPy)"


def measure_file(
    source: str | os.PathLike[str] | bytes,
    task: Task,
    *,
    splits: Iterable[Split] = ("test",),
    metric: dict[str, float] | None = None,
    threads: int = 1,
    count: int = 50,
) -> Measurement:
    """Measure a ``.lac`` file that holds a program, run by `laconic.runtime`.

    Args:
        source: the file, or its bytes.
        task: says what an input looks like and what the outputs are worth.
        splits: on which data to take the metric.
        metric: values that are known already, by split; taken over.
        threads: for the timing.
        count: timed calls.

    Raises:
        FormatError: the file is damaged.
        MismatchError: it has no program, or the task's inputs do not fit it.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    example = task.example_input.numpy()
    session = runtime.load(data)
    name = session.inputs[0].name
    macs, effective = count_macs(session, {name: example})
    with LacFile(data) as file:
        statistics = statistics_of(session.program)
        entries = owned_entries(file)
        parameters = sum(entry.count for entry in entries if entry.name not in statistics)
        nonzeros = sum(
            int(np.count_nonzero(file.array(entry.name)))
            for entry in entries
            if entry.name not in statistics
        )
        float32_bytes = 4 * sum(entry.count for entry in entries)
    values = dict(metric or {})
    for split in splits:
        values[split] = score_file(session, task, split)
    return Measurement(
        size_bytes=len(data),
        float32_bytes=float32_bytes,
        parameters=parameters,
        nonzeros=nonzeros,
        macs=macs,
        effective_macs=effective,
        peak_memory_bytes=peak_memory_bytes(lambda: runtime.load(data)(**{name: example})),
        latency=latency(
            lambda: session(**{name: example}), SOURCE_NAME, threads=threads, count=count
        ),
        metric_name=task.metric,
        higher_is_better=task.higher_is_better,
        metric=values,
    )


def score_file(session: Any, task: Task, split: Split) -> float:
    """The task's metric over a split, computed by a runtime session, without the torch model.

    Raises:
        DataError: the split has no examples.
    """
    name, output = session.inputs[0].name, session.outputs[0].name
    total, count = 0.0, 0
    for inputs, targets in task.batches(split):
        outputs = session(**{name: inputs.numpy()})[output]
        scores = task.score(torch.from_numpy(outputs), targets)
        total += float(scores.double().sum())
        count += len(scores)
    if not count:
        raise DataError(f"the task has no examples in the split {split!r}")
    return total / count
