"""Deep Compression of the two LeNets on MNIST (arXiv:1510.00149, tables 1 to 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from laconic import zoo
from laconic.container import LacFile
from laconic.measure import Receipt, dense_receipt
from laconic.recipe import Recipe, Watcher, load_recipe, run
from laconic.studies.study import Findings, Row, Study
from laconic.train import make_fabric

THREADS = 1
"""So that a study gives the same figures again on the same kind of machine."""
SHORT_EPOCHS = 1
SHORT_ERROR = 10.0
"""Percent; what the short form must stay below, a sign of life and no more."""
SHORT_BYTES = 1.1
"""The short form's file may be so many times larger: weights hardly trained code worse."""


@dataclass(frozen=True)
class Published:
    """What the paper reports for one network; percent, weights and factors."""

    error: str
    pruned_error: str
    weights: str
    pruned_weights: str
    shared_factor: str
    """Pruning and sharing, before Huffman coding."""
    factor: str
    final_error: str
    bytes_goal: int
    error_goal: float | None


def shortened(recipe: Recipe) -> Recipe:
    """The same stages with one epoch in each training stage."""
    stages = [
        replace(stage, arguments={**stage.arguments, "epochs": SHORT_EPOCHS})
        if stage.kind == "fit"
        else stage
        for stage in recipe.stages
    ]
    return replace(recipe, stages=tuple(stages))


def compare(
    model: str, published: Published, watcher: Watcher, short: bool, folder: Path
) -> Findings:
    """Run the recipe of the network's name and set its receipts beside the paper's figures."""
    recipe = load_recipe(f"{model}-deep-compression")
    if short:
        recipe = shortened(recipe)
    fabric = make_fabric(threads=THREADS)
    torch.manual_seed(recipe.seed)
    file = folder / f"{model}.lac"
    receipts = run(
        zoo.resolve_model(f"zoo:{model}"),
        zoo.resolve_task("zoo:mnist"),
        recipe,
        file,
        folder / "run",
        resume=True,
        watcher=watcher,
        fabric=fabric,
    )
    return Findings(_table(receipts, file, published, short))


def _table(receipts: list[Receipt], file: Path, published: Published, short: bool) -> list[Row]:
    dense, last = dense_receipt(receipts), receipts[-1]
    pruned = [r for r in receipts if r.kind == "fit" and not _is_shared(r)][-1]
    shared_bytes = bytes_without_huffman(file)
    errors = {"dense": dense.metric["test"], "packed": last.metric["test"]}
    lost = errors["packed"] - errors["dense"]
    allowed = SHORT_ERROR if short else errors["dense"] + 0.1
    most_bytes = round(published.bytes_goal * (SHORT_BYTES if short else 1))
    result = [
        Row("dense test error", published.error, "", f"{errors['dense']:.2f} %", None),
        Row("dense weights", published.weights, "", f"{dense.parameters:,}", None),
        Row(
            "pruned: weights left (biases counted)",
            published.pruned_weights,
            "≥ 12× fewer",
            f"{pruned.nonzeros:,}, {dense.parameters / pruned.nonzeros:.1f}× fewer",
            dense.parameters / pruned.nonzeros >= 12,
        ),
        Row(
            f"pruned and retrained: validation error (dense: {dense.metric['validation']:.2f} %)",
            f"{published.pruned_error} (test)",
            "",
            f"{pruned.metric['validation']:.2f} %",
            None,
        ),
        Row(
            "+ sharing: factor (gaps and codes at fixed width, codebooks, biases)",
            published.shared_factor,
            "",
            f"{dense.float32_bytes / shared_bytes:.1f}×, {shared_bytes:,} bytes",
            None,
        ),
        Row(
            "+ Huffman: saving of the coded weights against fixed width",
            "20–30 %",
            "",
            f"{100 * (1 - weight_bytes(last) / shared_bytes):.1f} %",
            None,
        ),
        Row(
            "the .lac file, everything counted",
            published.factor,
            f"≤ {most_bytes:,} bytes",
            f"{last.size_bytes:,} bytes, {dense.float32_bytes / last.size_bytes:.1f}×",
            last.size_bytes <= most_bytes,
        ),
        Row(
            "test error of the file against the dense network",
            published.final_error,
            f"≤ {allowed:.2f} %" if short else f"≤ dense + 0.1 points = {allowed:.2f} %",
            f"{errors['packed']:.2f} % ({lost:+.2f})",
            round(errors["packed"], 6) <= round(allowed, 6),
        ),
    ]
    if published.error_goal is not None and not short:
        result.append(
            Row(
                "test error of the file",
                published.final_error,
                f"≤ {published.error_goal} %",
                f"{errors['packed']:.2f} %",
                errors["packed"] <= published.error_goal,
            )
        )
    return result


def _is_shared(receipt: Receipt) -> bool:
    return any(step.startswith("Share") for tensor in receipt.tensors for step in tensor.steps)


def weight_bytes(receipt: Receipt) -> int:
    """Bytes of all tensors in a file: coded weights, codebooks, biases; no program, no header."""
    return sum(tensor.size_bytes for tensor in receipt.tensors)


def bytes_without_huffman(file: Path) -> int:
    """Bytes of the same weights with gaps and codes at fixed width (the paper's "P+Q")."""
    total = 0
    with LacFile(file) as opened:
        for name in opened.entries:
            stored = opened.stored(name)
            if stored.grid == "codebook":
                entries = len(stored.tables["below"]) + len(stored.tables["above"])
                total += 4 * entries + gap_bytes(stored.codes, entries)
            else:
                total += opened.entry(name).size_bytes
    return total


def gap_bytes(codes: NDArray[Any], entries: int) -> int:
    """Bytes of relative indices and codes at fixed width, the best width of gap from 1 to 16."""
    gaps = np.diff(np.flatnonzero(codes), prepend=-1) - 1
    code_bits = max(1, int(entries).bit_length())
    bits = [
        int((len(gaps) + (gaps >> width).sum()) * (width + code_bits)) for width in range(1, 17)
    ]
    return -(-min(bits) // 8)


def _study(model: str, summary: str, minutes: int, published: Published) -> Study:
    return Study(f"{model}-deep-compression", summary, minutes, partial(compare, model, published))


LENET_300_100 = _study(
    "lenet-300-100",
    "LeNet-300-100 on MNIST by Deep Compression: published 40×, 1.58 % error",
    3,
    Published(
        error="1.64 %",
        pruned_error="1.59 %",
        weights="267K",
        pruned_weights="22K, 12× fewer",
        shared_factor="32×",
        factor="40×, 27 KB",
        final_error="1.58 %",
        bytes_goal=27_000,
        error_goal=None,
    ),
)
LENET5 = _study(
    "lenet5",
    "LeNet-5 on MNIST by Deep Compression: published 39×, 0.74 % error",
    12,
    Published(
        error="0.80 %",
        pruned_error="0.77 %",
        weights="431K",
        pruned_weights="36K, 12× fewer",
        shared_factor="33×",
        factor="39×, 44 KB",
        final_error="0.74 %",
        bytes_goal=44_000,
        error_goal=0.9,
    ),
)
