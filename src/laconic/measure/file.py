"""A packed network, measured: bytes, MACs, memory, milliseconds and the task's metric."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from laconic import runtime
from laconic.container import MAX_BYTES, LacFile
from laconic.errors import DataError, MismatchError
from laconic.measure.latency import latency
from laconic.measure.memory import running_bytes
from laconic.measure.receipts import Measurement
from laconic.measure.tensors import owned_entries, statistics_of
from laconic.runtime import Session
from laconic.runtime.engines import DEFAULT_ENGINE
from laconic.runtime.macs import count_macs
from laconic.train import Split, Task, reported


def measure_file(
    source: str | os.PathLike[str] | bytes,
    task: Task,
    *,
    splits: Iterable[Split] = ("test",),
    metric: dict[str, float] | None = None,
    threads: int = 1,
    count: int = 50,
    max_bytes: int = MAX_BYTES,
) -> Measurement:
    """Measure a ``.lac`` file that holds a program, run by `laconic.runtime`.

    Args:
        source: the file, or its bytes.
        task: says what an input looks like and what the outputs are worth.
        splits: on which data to take the metric.
        metric: values that are known already, by split; taken over.
        threads: for the timing, in the engine that `laconic.runtime.load` takes by default.
        count: timed calls.
        max_bytes: refuse a file whose tensors would unpack to more bytes than this.

    Raises:
        FormatError: the file is damaged.
        MismatchError: it has no program, or the task's inputs do not fit it.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    example = task.example_input.detach().cpu().numpy()
    reference = runtime.load(data, engine="numpy", max_bytes=max_bytes)
    name = only_input(reference)
    macs, effective = count_macs(reference, {name: example})
    session = reference
    if DEFAULT_ENGINE != "numpy":
        session = runtime.load(data, threads=threads, max_bytes=max_bytes)
    with LacFile(data, max_bytes=max_bytes) as file:
        statistics = statistics_of(session.program)
        entries = owned_entries(file, session.program)
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
        peak_memory_bytes=running_bytes(data, [example], max_bytes),
        latency=latency(
            lambda: session(**{name: example}),
            f"laconic.runtime ({DEFAULT_ENGINE})",
            threads=threads,
            count=count,
        ),
        metric_name=task.metric,
        higher_is_better=task.higher_is_better,
        metric=values,
    )


def only_input(session: Session) -> str:
    """The name of the input that a task's batches go to.

    Raises:
        MismatchError: the network has another number of inputs than one.
    """
    if len(session.inputs) != 1:
        listed = ", ".join(session.input_names) or "none"
        raise MismatchError(
            f"a task has one input, the network has {len(session.inputs)}: {listed}"
        )
    return session.inputs[0].name


def score_file(session: Session, task: Task, split: Split) -> float:
    """The task's metric over a split, computed by a runtime session, without the torch model.

    Raises:
        DataError: the split has no examples.
        MismatchError: the task's inputs or scores do not fit the network.
    """
    name, output = only_input(session), session.outputs[0].name
    total, count = 0.0, 0
    for inputs, targets in task.batches(split):
        outputs = session(**{name: inputs.cpu().numpy()})[output]
        try:
            scores = task.score(torch.tensor(outputs), targets.cpu())
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            raise MismatchError(
                f"the task cannot score outputs of shape {list(outputs.shape)}: {error}"
            ) from error
        total += float(scores.double().sum())
        count += len(scores)
    if not count:
        raise DataError(f"the task has no examples in the split {split!r}")
    return reported(task, total / count)
