"""DropNeuron on the fully connected part of LeNet-5 (arXiv:1606.07326, table of source 1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from laconic.measure import Receipt, dense_receipt
from laconic.recipe import Recipe, Stage, Watcher, run
from laconic.represent import weights
from laconic.studies.common import file_row
from laconic.studies.lenet import THREADS
from laconic.studies.study import CutNetwork, Findings, Row, Study, Table
from laconic.train import Shortened, Task, make_fabric
from laconic.zoo.lenet import WideLeNet5
from laconic.zoo.tasks import mnist

EPOCHS, MORE_EPOCHS = 6, 2
SHORT_BATCHES = 200
"""Of an epoch of the short form."""
LAYERS = ["fc1", "fc2"]
BELOW = 0.01
"""The paper's threshold for weights."""


@dataclass(frozen=True)
class Setting:
    """A row of the paper's table, and what stands for it here."""

    name: str
    dropout: float
    penalties: dict[str, dict[str, float]]
    weights: str
    neurons: str
    ratio: str
    accuracy: str


L1 = {"l1": {"fc*": 3e-5}}
SETTINGS = (
    Setting("DO+P", 0.5, {}, "55.17 %", "99.78 %", "1.81×", "99.07 → 99.12 %"),
    Setting("l1+DO+P", 0.5, L1, "5.57 %", "37.42 %", "17.95×", "99.01 → 98.96 %"),
    Setting(
        "l1+DN+P", 0.0, {**L1, "li": {"fc*": 2.5e-4}, "lo": {"fc*": 2.5e-4}},
        "1.49 %", "28.08 %", "67.04×", "99.07 → 99.14 %",
    ),
)  # fmt: skip


def recipe(setting: Setting, short: bool) -> Recipe:
    """Train with the regularisers, threshold, drop neurons, retrain what is left, cut the dead."""
    training: dict[str, Any] = {
        "epochs": 1 if short else EPOCHS, "learning_rate": 1e-3, "schedule": "cosine",
    }  # fmt: skip
    if setting.penalties:
        training["penalties"] = setting.penalties
    more = {**training, "epochs": 1 if short else MORE_EPOCHS, "learning_rate": 5e-4}
    more.pop("penalties", None)
    stages = [
        Stage("fit", training),
        Stage("threshold", {"below": BELOW, "layers": LAYERS}),
        Stage("fit", more),
        Stage("remove-dead", {}),
    ]
    if "li" in setting.penalties:
        stages.insert(2, Stage("drop-neurons", {"layers": LAYERS}))
    else:
        stages.pop()  # nothing dies as a whole
    return replace(Recipe(tuple(stages)), name=setting.name)


def compare(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """The three rows, with neurons that go, and what it means in bytes and milliseconds."""
    rows, lines, cut = [], [], []
    for setting in SETTINGS[-1:] if short else SETTINGS:
        torch.manual_seed(0)
        model = WideLeNet5(dropout=setting.dropout)
        place = folder / setting.name
        task: Task = Shortened(mnist(), train_batches=SHORT_BATCHES) if short else mnist()
        receipts = run(
            model, task, recipe(setting, short), folder / f"{setting.name}.lac", place,
            resume=True, watcher=watcher, fabric=make_fabric(threads=THREADS),
        )  # fmt: skip
        lines.append(_line(setting, model, receipts))
        if setting is SETTINGS[-1]:
            rows += _rows(setting, model, receipts, short)
            training = {
                "epochs": 2 if short else EPOCHS + MORE_EPOCHS, "learning_rate": 1e-3,
                "schedule": "cosine",
            }  # fmt: skip
            fresh = partial(WideLeNet5, dropout=setting.dropout)
            error = receipts[-1].metric["test"]
            cut.append(CutNetwork(setting.name, model, fresh, task, training, error))
    header = ["", "FC weights left", "published", "neurons left", "published", "FC ratio",
              "published", "accuracy", "published"]  # fmt: skip
    table = Table("Three ways of training the same network", header, lines)
    return Findings(rows, [table], cut=cut)


def whole(model: nn.Module, receipts: list[Receipt]) -> dict[str, tuple[int, int]]:
    """Fully connected layer → weights that are left, and those that there were."""
    then = {tensor.name: tensor.parameters for tensor in receipts[0].tensors}
    present = weights(model, LAYERS)
    return {name: (int((weight != 0).sum()), then[name]) for name, weight in present.items()}


def neurons(fc1: Tensor, fc2: Tensor) -> int:
    """Inputs and neurons with a weight on both sides, and the outputs."""
    inputs = int((fc1 != 0).any(0).sum())
    hidden = int(((fc1 != 0).any(1) & (fc2 != 0).any(0)).sum())
    return inputs + hidden + len(fc2)


def _figures(model: nn.Module, receipts: list[Receipt]) -> tuple[float, float, float, float]:
    """Parts of weights and of neurons that are left; accuracies before and after, in percent."""
    counts = whole(model, receipts).values()
    left, then = (sum(column) for column in zip(*counts, strict=True))
    fc1, fc2 = weights(model, LAYERS).values()
    alive = neurons(fc1, fc2) / (3136 + 512 + 10)
    dense, last = dense_receipt(receipts), receipts[-1]
    return left / then, alive, 100 - dense.metric["test"], 100 - last.metric["test"]


def _line(setting: Setting, model: nn.Module, receipts: list[Receipt]) -> list[str]:
    left, alive, before, after = _figures(model, receipts)
    return [
        setting.name, f"{left:.2%}", setting.weights, f"{alive:.2%}", setting.neurons,
        f"{1 / left:.1f}×", setting.ratio, f"{before:.2f} → {after:.2f} %", setting.accuracy,
    ]  # fmt: skip


def _rows(setting: Setting, model: nn.Module, receipts: list[Receipt], short: bool) -> list[Row]:
    left, _, _, after = _figures(model, receipts)
    dense, last = dense_receipt(receipts), receipts[-1]
    ratio, accuracy = (1.5, 90.0) if short else (60.0, 99.0)
    return [
        Row(
            "l1+DN+P: fully connected weights", setting.ratio, f"≥ {ratio:g}× fewer",
            f"{1 / left:.1f}×", 1 / left >= ratio,
        ),
        Row(
            "l1+DN+P: test accuracy", setting.accuracy, f"≥ {accuracy:g} %", f"{after:.2f} %",
            after >= accuracy,
        ),
        file_row("", dense, last),
    ]  # fmt: skip


DROPNEURON = Study(
    "dropneuron",
    "DropNeuron on LeNet-5: published 67× fewer fully connected weights",
    35,
    compare,
    leaves_cut=True,
)
