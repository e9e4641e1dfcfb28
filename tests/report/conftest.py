"""Receipts of a LeNet-5 that was pruned, tuned, shared and tuned again, from random weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from laconic.measure.receipts import Latency, Receipt, TensorRecord

Weights = dict[str, NDArray[np.float32]]

SHAPES = {
    "conv1.weight": (20, 1, 5, 5),
    "conv1.bias": (20,),
    "conv2.weight": (50, 20, 5, 5),
    "conv2.bias": (50,),
    "fc1.weight": (500, 800),
    "fc1.bias": (500,),
    "fc2.weight": (10, 500),
    "fc2.bias": (10,),
}
KEPT = {"conv1.weight": 0.66, "conv2.weight": 0.12, "fc1.weight": 0.08, "fc2.weight": 0.19}
BITS = {"conv1.weight": 6, "conv2.weight": 6, "fc1.weight": 5, "fc2.weight": 4}
POSITIONS = {"conv1.weight": 576, "conv2.weight": 64, "fc1.weight": 1, "fc2.weight": 1}
"""Places at which each kernel is applied to an image."""
STAGES = [
    ("dense", {}, 1.02, 0.81, 61.3),
    ("prune", {"sparsity": 0.92, "scope": "layer"}, 2.41, None, 0.4),
    ("fit", {"epochs": 8, "learning_rate": 0.001}, 0.97, None, 48.8),
    ("share", {"bits": {"conv*": 6, "fc1": 5, "fc2": 4}, "start": "linear"}, 1.13, None, 1.7),
    ("fit", {"epochs": 4, "learning_rate": 0.0003}, 0.98, 0.79, 25.1),
]


@pytest.fixture(scope="session")
def receipts() -> list[Receipt]:
    """Five receipts, dense to 41 kB."""
    return lenet5_receipts()


@pytest.fixture(scope="session")
def with_tensors() -> Callable[[list[Receipt], list[TensorRecord]], list[Receipt]]:
    """A function that puts the same tensors into every receipt."""
    return lambda receipts, tensors: [replace(r, tensors=tensors) for r in receipts]


def lenet5_receipts() -> list[Receipt]:
    """What a run of Deep Compression on LeNet-5 would have written."""
    generator = np.random.default_rng(7)
    weights = {
        name: (
            generator.normal(0, math.sqrt(1.2 / math.prod(shape[1:])), shape)
            if len(shape) > 1
            else generator.uniform(-0.1, 0.1, shape)
        ).astype(np.float32)
        for name, shape in SHAPES.items()
    }
    found = []
    chain: dict[str, list[str]] = {name: [] for name in SHAPES}
    for stage, (kind, arguments, validation, test, seconds) in enumerate(STAGES):
        weights, chain = after_stage(kind, weights, chain, generator)
        metric = {"validation": validation} | ({} if test is None else {"test": test})
        found.append(receipt(stage, kind, arguments, metric, seconds, weights, chain))
    return found


def after_stage(
    kind: str, weights: Weights, chain: dict[str, list[str]], generator: np.random.Generator
) -> tuple[Weights, dict[str, list[str]]]:
    """Weights and chains as the stage leaves them; only the kernels are changed."""
    weights, chain = dict(weights), {name: list(steps) for name, steps in chain.items()}
    for name, kept in KEPT.items():
        weight = weights[name]
        if kind == "prune":
            weights[name] = np.where(abs(weight) > np.quantile(abs(weight), 1 - kept), weight, 0)
            chain[name].append(f"Prune(sparsity={1 - kept:.2f})")
        elif kind == "share":
            levels = np.linspace(weight.min(), weight.max(), 2 ** BITS[name] - 1)
            nearest = levels[abs(weight[..., None] - levels).argmin(-1)]
            weights[name] = np.where(weight == 0, 0, nearest).astype(np.float32)
            chain[name].append(f"Share(bits={BITS[name]})")
        elif kind == "fit":
            values, codes = np.unique(weight, return_inverse=True)
            moved = values * generator.normal(1, 0.05, values.shape)
            weights[name] = moved.astype(np.float32)[codes].reshape(weight.shape)
    return weights, chain


def receipt(
    stage: int,
    kind: str,
    arguments: dict[str, object],
    metric: dict[str, float],
    seconds: float,
    weights: Weights,
    chain: dict[str, list[str]],
) -> Receipt:
    """The receipt of a stage; bytes are entropies, so they are what a good coder would reach."""
    tensors = [record(name, weight, chain[name]) for name, weight in weights.items()]
    nonzeros = sum(tensor.nonzeros for tensor in tensors)
    macs = {name: POSITIONS[name] * weights[name].size for name in KEPT}
    effective = {name: POSITIONS[name] * int(np.count_nonzero(weights[name])) for name in KEPT}
    median = 0.2 + 1.2e-7 * sum(effective.values())
    return Receipt(
        stage=stage,
        kind=kind,
        arguments=arguments,
        size_bytes=sum(tensor.size_bytes for tensor in tensors) + 1_846,
        float32_bytes=sum(4 * weight.size for weight in weights.values()),
        parameters=sum(weight.size for weight in weights.values()),
        nonzeros=nonzeros,
        macs=sum(macs.values()),
        effective_macs=sum(effective.values()),
        peak_memory_bytes=2_031_616 + 4 * nonzeros,
        latency=Latency(median, 0.97 * median, 1.18 * median, 200, 1, "laconic.runtime, NumPy"),
        metric_name="error_percent",
        higher_is_better=False,
        metric=metric,
        seconds=seconds,
        seed=0,
        versions={"python": "3.13.5", "torch": "2.13.0", "numpy": "2.3.1", "laconic": "0.1.0"},
        tensors=tensors,
    )


def record(name: str, weight: NDArray[np.float32], steps: list[str]) -> TensorRecord:
    """One tensor's record, its bytes from the entropy of its values."""
    values, counts = np.unique(weight, return_counts=True)
    shares = counts / weight.size
    entropy_bytes = float(-(shares * np.log2(shares)).sum()) * weight.size / 8
    table_bytes = 4 * len(values) if len(values) < weight.size / 4 else 0
    zero_share_bytes = 0 if table_bytes else 4 * int(np.count_nonzero(weight)) * 0.93
    kept = weight[weight != 0]
    heights, edges = np.histogram(kept, 64, (float(weight.min()), float(weight.max())))
    assert all(low < high for low, high in pairwise(edges))
    return TensorRecord(
        name=name,
        shape=list(weight.shape),
        dtype="float32",
        steps=steps,
        coder="huffman" if table_bytes else "gaps" if steps else "byteplanes",
        size_bytes=int(entropy_bytes + table_bytes) if table_bytes else int(zero_share_bytes),
        parameters=weight.size,
        nonzeros=int(np.count_nonzero(weight)),
        distinct=len(values),
        bins=[float(edge) for edge in edges],
        counts=[int(height) for height in heights],
    )
