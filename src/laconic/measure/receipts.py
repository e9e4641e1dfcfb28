"""Receipts: what one stage of a recipe did, in figures; the report is made from them alone."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from laconic.errors import DataError


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
    """The chain, as constructor calls: ``["Prune(sparsity=0.9)", "Share(bits=5)"]``."""
    coder: str
    size_bytes: int
    parameters: int
    nonzeros: int
    distinct: int
    bins: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


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
class Receipt:
    """Bytes, parameters, MACs, latency and metric after one stage.

    `size_bytes` is the measured length of the ``.lac`` file that the network makes at this point;
    `metric` maps a split to the value of the task's metric (``{"validation": 1.02}``; the last
    receipt of a run has ``"test"`` too, and so has the first, the dense network).
    """

    stage: int
    """0 is the dense network, before the first compressing stage."""
    kind: str
    """The stage's name in the recipe: ``"prune"``."""
    arguments: dict[str, Any]
    size_bytes: int
    float32_bytes: int
    parameters: int
    nonzeros: int
    macs: int
    effective_macs: int
    """MACs whose weight is not zero."""
    peak_memory_bytes: int
    latency: Latency
    metric_name: str
    higher_is_better: bool
    metric: dict[str, float]
    seconds: float
    seed: int
    versions: dict[str, str]
    tensors: list[TensorRecord]

    @property
    def ratio(self) -> float:
        """How many times smaller the file is than the float32 weights."""
        return self.float32_bytes / self.size_bytes


def to_json(receipts: list[Receipt]) -> str:
    """The receipts as indented JSON; `from_json` reads them again."""
    return json.dumps([asdict(receipt) for receipt in receipts], indent=1)


def from_json(text: str) -> list[Receipt]:
    """Receipts from what `to_json` wrote.

    Raises:
        DataError: the text is not a list of receipts.
    """
    try:
        return [
            Receipt(
                **{
                    **record,
                    "latency": Latency(**record["latency"]),
                    "tensors": [TensorRecord(**tensor) for tensor in record["tensors"]],
                }
            )
            for record in json.loads(text)
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"these are no receipts of a run: {error!r}") from error


def read(run_dir: str | os.PathLike[str]) -> list[Receipt]:
    """The receipts of a run directory.

    Raises:
        DataError: the directory has no readable ``receipts.json``.
    """
    path = Path(run_dir) / "receipts.json"
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; is {run_dir} a run directory?") from error
