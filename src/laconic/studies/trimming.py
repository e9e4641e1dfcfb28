"""Network Trimming: neurons that are mostly zero go, a few rounds (Hu et al., arXiv:1607.03250)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from laconic import zoo
from laconic.measure import Receipt, dense_receipt
from laconic.recipe import Recipe, Stage, Watcher, run
from laconic.studies.common import file_row
from laconic.studies.lenet import SHORT_ERROR, THREADS
from laconic.studies.study import CutNetwork, Findings, Row, Study, Table
from laconic.train import Shortened, make_fabric

SHORT_BATCHES, SHORT_ROUNDS = 150, 2
SHORT_RATIO = 1.3


@dataclass(frozen=True)
class Trimming:
    """A network, what is trimmed of it, and how long it trains."""

    model: str
    task: str
    layers: tuple[str, ...]
    """As in the paper the layers with most neurons that are mostly zero: the last ones."""
    rounds: int
    epochs: int
    """Of the dense network."""
    round_epochs: int
    last_epochs: int
    learning_rate: float
    published: str
    ratio: float
    """Goal: so many times fewer parameters."""
    lost: float
    """Goal: at most so many points of error more."""


NETWORKS = (
    Trimming("lenet5", "mnist", ("conv2", "fc1"), 4, 6, 1, 3, 1e-3, "about 3.8×", 3.0, 0.1),
    Trimming(
        "vgg-small", "cifar10", ("conv5", "conv6", "fc1"), 6, 8, 1, 6, 2e-3, "2.59× (VGG-16)",
        2.59, 0.5,
    ),
)  # fmt: skip


def dense_training(network: Trimming, short: bool) -> dict[str, Any]:
    """Of the network that is trimmed."""
    epochs = 1 if short else network.epochs
    return {"epochs": epochs, "learning_rate": network.learning_rate, "schedule": "cosine"}


def recipe(network: Trimming, short: bool) -> Recipe:
    """Train; trim what lies a deviation above the mean APoZ and train, a few rounds."""
    rate = network.learning_rate / 2
    stages = [Stage("fit", dense_training(network, short))]
    rounds = SHORT_ROUNDS if short else network.rounds
    for number in range(1, rounds + 1):
        last = number == rounds and not short
        more = {
            "epochs": network.last_epochs if last else network.round_epochs,
            "learning_rate": rate, "schedule": "cosine",
        }  # fmt: skip
        stages += [Stage("trim", {"layers": list(network.layers)}), Stage("fit", more)]
    return replace(Recipe(tuple(stages)), name=f"{network.model}, trimmed")


def compare(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """Both networks, round by round."""
    found = Findings([], [])
    for network in NETWORKS[: 1 if short else None]:
        torch.manual_seed(0)
        make = partial(zoo.resolve_model, network.model)
        task = zoo.resolve_task(network.task)
        if short:
            task = Shortened(task, train_batches=SHORT_BATCHES)
        model = make()
        receipts = run(
            model, task, recipe(network, short), folder / f"{network.model}.lac",
            folder / network.model, resume=True, watcher=watcher,
            fabric=make_fabric(threads=THREADS),
        )  # fmt: skip
        found.rows.extend(_rows(network, receipts, short))
        found.tables.append(_table(network, receipts))
        training = dense_training(network, short)
        error, tuned = receipts[-1].metric["test"], tuned_epochs(receipts)
        found.cut.append(CutNetwork(network.model, model, make, task, training, error, tuned))
    return found


def tuned_epochs(receipts: list[Receipt]) -> float:
    """Epochs of the last network with the multiply-adds of all training behind the first cut."""
    start = next(place for place, one in enumerate(receipts) if one.kind == "trim")
    spent = sum(one.arguments["epochs"] * one.macs for one in receipts[start:] if one.kind == "fit")
    return float(spent / receipts[-1].macs)


def _rows(network: Trimming, receipts: list[Receipt], short: bool) -> list[Row]:
    dense, last = dense_receipt(receipts), receipts[-1]
    ratio = dense.parameters / last.parameters
    before, after = dense.metric["test"], last.metric["test"]
    least = SHORT_RATIO if short else network.ratio
    most = SHORT_ERROR if short else before + network.lost
    wanted = f"≤ {most:.2f} %" if short else f"≤ dense + {network.lost:g} points = {most:.2f} %"
    return [
        Row(
            f"{network.model}: parameters", network.published, f"≥ {least:g}× fewer",
            f"{dense.parameters:,} → {last.parameters:,}, {ratio:.2f}×", ratio >= least,
        ),
        Row(
            f"{network.model}: test error", "no loss", wanted, f"{before:.2f} % → {after:.2f} %",
            round(after, 6) <= round(most, 6),
        ),
        file_row(f"{network.model}: ", dense, last),
    ]  # fmt: skip


def _table(network: Trimming, receipts: list[Receipt]) -> Table:
    """The dense network and each round, after its training."""
    lines: list[list[str]] = []
    for receipt in (receipt for receipt in receipts if receipt.kind == "fit"):
        widths = {tensor.name: tensor.shape[0] for tensor in receipt.tensors if tensor.shape}
        lines.append([
            f"round {len(lines)}" if lines else "dense",
            *(str(widths[f"{layer}.weight"]) for layer in network.layers),
            f"{receipt.parameters:,}", f"{receipts[0].parameters / receipt.parameters:.2f}×",
            f"{receipt.macs:,}", f"{receipt.metric['validation']:.2f} %",
            f"{receipt.size_bytes:,}", f"{receipt.latency.median_ms:.3f}",
        ])  # fmt: skip
    header = ["", *network.layers, "parameters", "fewer", "MACs", "validation error", "bytes", "ms"]
    return Table(f"{network.model}, round by round", header, lines)


TRIMMING = Study(
    "network-trimming",
    "Network Trimming (APoZ) of LeNet-5 and a small VGG: published about 3.8× and 2.59×",
    25,
    compare,
    leaves_cut=True,
)
