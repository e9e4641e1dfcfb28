"""Learning the architecture of LeNet-5 by tsReLU (Srinivas, Babu 2016; table of source 1)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from laconic.measure import Receipt
from laconic.recipe import Recipe, Stage, Watcher, run
from laconic.studies.common import file_row, once
from laconic.studies.lenet import THREADS
from laconic.studies.scratch import redrawn
from laconic.studies.study import CutNetwork, Findings, Row, Study, Table
from laconic.train import Shortened, Task, evaluate, fit, make_fabric
from laconic.zoo.lenet import LeNet5
from laconic.zoo.tasks import mnist

EPOCHS, LEARNING_EPOCHS, MORE_EPOCHS = 6, 3, 8
"""Of an ordinary training; of w and d; of the network that was learned."""
SHORT_BATCHES = 150
SPEED, SHORT_SPEED = 3.0, 10.0
"""Of w and d; in so few steps they would hardly move."""
LAYERS = ("conv1", "conv2", "fc1")


@dataclass(frozen=True)
class Setting:
    """A row of the paper's table, and what stands for it here."""

    name: str
    ratio: float
    """λ₃ / λ₁, the paper's."""
    merges: bool
    """Whether d is learned for the hidden layer: "(1,1)" in the table."""
    architecture: tuple[int, ...]
    """Filters, filters, and neurons of what is left."""
    learned: float
    """Accuracy of the network that was learned, in percent."""
    again: float
    """That of the same architecture, trained from the start."""
    strength: float
    """λ₁."""
    start: float
    """w at the beginning."""


BASELINE = (20, 50, 500, 10)
SETTINGS = (
    Setting("AL1", 0.4, True, (16, 26, 10), 99.07, 99.08, 4e-3, 0.662),
    Setting("AL2", 0.4, False, (20, 50, 20, 10), 99.07, 99.14, 4e-3, 0.637),
    Setting("AL3", 0.2, True, (16, 40, 10), 99.22, 99.25, 4e-3, 0.588),
    Setting("AL4", 0.2, False, (20, 50, 70, 10), 99.19, 99.21, 4e-3, 0.55),
)
SHORT_SETTING = replace(SETTINGS[0], start=0.5)


def stack() -> nn.Sequential:
    """The zoo's LeNet-5 as a stack, whose ReLU is a module that can go."""
    net = LeNet5()
    return nn.Sequential(
        OrderedDict(
            conv1=net.conv1, pool1=nn.MaxPool2d(2), conv2=net.conv2, pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(), fc1=net.fc1, relu=nn.ReLU(), fc2=net.fc2,
        )
    )  # fmt: skip


def training(short: bool) -> dict[str, Any]:
    """Of the baseline, and of every architecture that is trained again."""
    return {"epochs": 1 if short else EPOCHS, "learning_rate": 1e-3, "schedule": "cosine"}


def recipe(setting: Setting, short: bool) -> Recipe:
    """Learn w and d from the start, then train what is left.

    Where the hidden layer may merge, its neurons have no w: they would narrow a layer of which
    nothing but the product with the next one stays.
    """
    learning: dict[str, Any] = {
        "epochs": 1 if short else LEARNING_EPOCHS, "schedule": "cosine",
        "binary_w": setting.strength, "width": setting.ratio * setting.strength,
        "start": setting.start, "speed": SHORT_SPEED if short else SPEED,
        "layers": list(LAYERS[:2] if setting.merges else LAYERS),
    }  # fmt: skip
    if setting.merges:
        learning["merge"] = ["fc1"]
    more = {"epochs": 1 if short else MORE_EPOCHS, "learning_rate": 3e-3, "schedule": "cosine"}
    stages = (Stage("learn-architecture", learning), Stage("fit", more))
    return replace(Recipe(stages), name=setting.name)


def compare(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """The five rows: architectures, their accuracies, bytes and milliseconds."""
    task: Task = Shortened(mnist(), train_batches=SHORT_BATCHES) if short else mnist()
    plain = Recipe((Stage("fit", training(short)),))
    _, receipts = _run("baseline", plain, task, folder, watcher)
    dense = receipts[-1]
    found = Findings([], [])
    lines = [_line("baseline", "–", BASELINE, dense, dense, "–", "99.3")]
    for setting in (SHORT_SETTING,) if short else SETTINGS:
        model, receipts = _run(setting.name, recipe(setting, short), task, folder, watcher)
        last = receipts[-1]
        again = "–" if short else f"{_again(setting.name, model, task, folder, watcher):.2f}"
        published = f"{setting.learned} / {setting.again}"
        lines.append(
            _line(setting.name, f"{setting.ratio} λ₁", widths(last), last, dense, again, published)
        )
        found.rows.extend(_rows(setting, last, dense, short))
        error = last.metric["test"]
        learning, more = (stage.arguments["epochs"] for stage in recipe(setting, short).stages)
        network = CutNetwork(
            setting.name, model, stack, task, training(short), error,
            tuned_epochs=more, dense_epochs=learning,
        )  # fmt: skip
        found.cut.append(network)
    header = ["", "λ₃", "architecture", "parameters", "AL %", "NN %", "published AL / NN %",
              "bytes", "ms"]  # fmt: skip
    found.tables.append(Table("Architectures that were learned", header, lines))
    return found


def _run(
    name: str, stages: Recipe, task: Task, folder: Path, watcher: Watcher
) -> tuple[nn.Module, list[Receipt]]:
    torch.manual_seed(0)
    model = stack()
    receipts = run(
        model, task, stages, folder / f"{name}.lac", folder / name, resume=True, watcher=watcher,
        fabric=make_fabric(threads=THREADS),
    )  # fmt: skip
    return model, receipts


def _again(name: str, like: nn.Module, task: Task, folder: Path, watcher: Watcher) -> float:
    """Accuracy of an architecture on the test split, trained as the baseline was ("NN")."""
    path = folder / f"{name}-again.safetensors"

    def trained() -> nn.Module:
        torch.manual_seed(0)
        model = redrawn(stack, like)
        fit(
            model, task, fabric=make_fabric("cpu", threads=THREADS),
            on_progress=watcher.on_progress, **training(False),
        )  # fmt: skip
        return model

    model = once(path, stack, trained)
    return 100 - evaluate(model, task, "test", make_fabric("cpu", threads=THREADS))


def widths(receipt: Receipt) -> tuple[int, ...]:
    """Filters and neurons of every layer that is left."""
    return tuple(t.shape[0] for t in receipt.tensors if t.name.endswith(".weight"))


def parameters(architecture: tuple[int, ...]) -> int:
    """Of a LeNet-5 of these widths, with or without a hidden layer.

    Examples:
        >>> parameters((20, 50, 500, 10)), parameters((16, 26, 10))
        (431080, 15012)
    """
    first, second, *linear = architecture
    total = first * 26 + second * (25 * first + 1)
    inputs = 16 * second
    for width in linear:
        total += width * (inputs + 1)
        inputs = width
    return total


def _joined(architecture: tuple[int, ...]) -> str:
    return "-".join(map(str, architecture))


def _line(
    name: str, complexity: str, architecture: tuple[int, ...], receipt: Receipt, dense: Receipt,
    again: str, published: str,
) -> list[str]:  # fmt: skip
    fewer = f", {dense.parameters / receipt.parameters:.1f}× fewer" if receipt != dense else ""
    return [
        name, complexity, _joined(architecture), f"{receipt.parameters:,}{fewer}",
        f"{100 - receipt.metric['test']:.2f}", again, published, f"{receipt.size_bytes:,}",
        f"{receipt.latency.median_ms:.3f}",
    ]  # fmt: skip


def _rows(setting: Setting, last: Receipt, dense: Receipt, short: bool) -> list[Row]:
    architecture = widths(last)
    accuracy = 100 - last.metric["test"]
    most = dense.parameters - 1 if short else parameters(setting.architecture)
    layers = 3 if setting.merges else 4
    least = 85.0 if short else 99.0
    return [
        Row(
            f"{setting.name}: architecture", _joined(setting.architecture),
            f"{layers} layers, ≤ {most:,} parameters",
            f"{_joined(architecture)}, {last.parameters:,}",
            len(architecture) == layers and last.parameters <= most,
        ),
        Row(
            f"{setting.name}: test accuracy", f"{setting.learned} %", f"≥ {least:g} %",
            f"{accuracy:.2f} %", accuracy >= least,
        ),
        file_row(f"{setting.name}: ", dense, last),
    ]  # fmt: skip


ARCHITECTURE = Study(
    "architecture-learning",
    "Widths and depth of LeNet-5 learned by tsReLU: published 20-50-70-10 and 16-26-10",
    25,
    compare,
    leaves_cut=True,
)
