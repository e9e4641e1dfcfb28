"""Receipts: what one stage of a recipe did, in figures; the report is made from them alone."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from laconic.errors import DataError
from laconic.measure.records import checked

SAME_AS = "same as "


@dataclass(frozen=True)
class TensorRecord:
    """One tensor as it stands in the packed file.

    `bins` are 65 edges of 64 equal bins between the smallest and the largest finite value;
    `counts` holds how many non-zero values fall into each.
    """

    name: str
    shape: list[int]
    dtype: str
    steps: list[str]
    """The chain as constructor calls, ``["Prune(sparsity=0.9)", "Share(bits=5)"]``; or ``["same as
    NAME"]`` where the file stores an equal tensor once."""
    coder: str
    size_bytes: int
    parameters: int
    nonzeros: int
    distinct: int
    bins: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    @property
    def is_restricted(self) -> bool:
        """Whether a chain restricts the values."""
        return any(not step.startswith(SAME_AS) for step in self.steps)


@dataclass(frozen=True)
class Latency:
    """Wall-clock milliseconds of one call, batch 1."""

    median_ms: float
    p5_ms: float
    p95_ms: float
    count: int
    threads: int
    engine: str


@dataclass(frozen=True)
class Measurement:
    """What a packed network costs and what it is worth.

    `size_bytes` is the measured length of the ``.lac`` file; `float32_bytes` what its float
    tensors would take at four bytes an element. `metric` maps a split to the value of the task's
    metric: ``{"validation": 1.02}``.
    """

    size_bytes: int
    float32_bytes: int
    parameters: int
    """Elements of float tensors; running statistics of normalisations are not counted."""
    nonzeros: int
    macs: int
    effective_macs: int
    """MACs whose weight is not zero."""
    peak_memory_bytes: int
    latency: Latency
    metric_name: str
    higher_is_better: bool
    metric: dict[str, float]

    @property
    def ratio(self) -> float:
        """How many times smaller the file is than the float32 weights."""
        return self.float32_bytes / self.size_bytes


@dataclass(frozen=True)
class Receipt(Measurement):
    """What the network was after one stage of a recipe.

    The dense network's receipt and the last one of a finished run hold the metric on the test
    split too.
    """

    stage: int
    """Place in the recipe from 1; 0 is the network as it was given."""
    kind: str
    """The stage's name in the recipe: ``"prune"``."""
    arguments: dict[str, Any]
    seconds: float
    seed: int
    versions: dict[str, str]
    tensors: list[TensorRecord]


def dense_receipt(receipts: list[Receipt]) -> Receipt:
    """The last receipt before a weight was restricted or removed: what others are compared with.

    Raises:
        DataError: there are no receipts.
    """
    if not receipts:
        raise DataError("a run without receipts has nothing to compare")
    dense = receipts[0]
    for receipt in receipts:
        smaller = receipt.parameters < dense.parameters
        if smaller or any(tensor.is_restricted for tensor in receipt.tensors):
            break
        dense = receipt
    return dense


def to_json(receipts: list[Receipt]) -> str:
    """The receipts as indented JSON; `from_json` reads them again."""
    return json.dumps([asdict(receipt) for receipt in receipts], indent=1)


def from_json(text: str) -> list[Receipt]:
    """Receipts from what `to_json` wrote.

    Raises:
        DataError: the text is not a list of receipts.
    """
    try:
        records = json.loads(text)
        if not isinstance(records, list):
            raise TypeError(f"a list is needed, not a {type(records).__name__}")
        return [_receipt(record) for record in records]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"these are no receipts of a run: {error!r}") from error


def _receipt(record: dict[str, Any]) -> Receipt:
    latency = checked(Latency(**record["latency"]))
    tensors = [checked(TensorRecord(**tensor)) for tensor in record["tensors"]]
    return checked(Receipt(**{**record, "latency": latency, "tensors": tensors}))


def read(run_dir: str | os.PathLike[str]) -> list[Receipt]:
    """The receipts of a run directory.

    Raises:
        DataError: the directory has no readable ``receipts.json``.
    """
    path = Path(run_dir) / "receipts.json"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; is {run_dir} a run directory?") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    try:
        return from_json(text)
    except DataError as error:
        raise DataError(f"{path} is damaged: {error}") from error
