"""Is it the weights that are kept, or the shape? (Liu et al., arXiv:1810.05270, table 1)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from laconic import zoo
from laconic.measure import Receipt
from laconic.recipe import Recipe, Stage, Watcher, run
from laconic.studies.common import once
from laconic.studies.filters import LI, Filters
from laconic.studies.scratch import controls, table
from laconic.studies.study import Control, CutNetwork, Findings, Row, Study, Table
from laconic.train import Shortened, Task, evaluate, fit, make_fabric
from laconic.zoo.resnet import ResNet

TRAINING = {
    "learning_rate": 0.1, "optimizer": "sgd", "schedule": "step", "weight_decay": 1e-4,
}  # fmt: skip
"""The paper's, but for batches of 128 instead of 64."""
TUNING = {"learning_rate": 1e-3, "optimizer": "sgd", "weight_decay": 1e-4}
PUBLISHED = {
    "ResNet-20-A": "ResNet-56-A: 6.86; 7.03, 7.04, 6.91 %",
    "ResNet-20-B": "ResNet-56-B: 6.86; 7.33, 7.46, 6.95 %",
}
"""Of the network most like it, after 160 epochs, means of five runs."""


@dataclass(frozen=True)
class Form:
    """The whole study, or its short form."""

    make: Callable[[], nn.Module]
    cuts: dict[str, Filters]
    epochs: int
    """Of the dense network; the fine-tuning has a quarter, as in the paper, or the same if 1."""
    batches: int | None
    """Of an epoch; None: all."""
    test: int | None
    """Images of the test split; None: all."""

    @property
    def tuned_epochs(self) -> int:
        """40 to the paper's 160."""
        return max(1, self.epochs // 4)


WHOLE = Form(
    partial(zoo.resolve_model, "resnet20"),
    {"ResNet-20-A": LI["resnet20-A"], "ResNet-20-B": LI["resnet20-B"]},
    4, None, None,
)  # fmt: skip
SHORT = Form(
    partial(ResNet, 8), {"ResNet-8": Filters(8, (0.6, 0.3, 0.1), frozenset({4, 6}))}, 1, 30, 500
)
POINTS = 1.0
"""By which Scratch-B may be worse than the fine-tuned network: more than two seeds differ."""
SHORT_ERROR = 85.0


def compare(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """Cut the trained network and fine-tune it; train the same shapes from scratch."""
    form = SHORT if short else WHOLE
    task = Shortened(
        zoo.resolve_task("cifar10"), form.batches, 200 if short else None, form.test
    )  # fmt: skip
    dense = _dense(form, task, folder / "dense.safetensors", watcher)
    error = evaluate(dense, task, "test", make_fabric("cpu"))
    networks, receipts = [], {}
    for name, filters in form.cuts.items():
        model = copy.deepcopy(dense)
        stages = (
            Stage("cut", {"fraction": filters.fractions()}),
            Stage("fit", {"epochs": form.tuned_epochs, **TUNING}),
        )
        receipts[name] = run(
            model, task, replace(Recipe(stages), name=name), folder / f"{name}.lac",
            folder / name, resume=True, watcher=watcher, fabric=make_fabric("cpu"),
        )  # fmt: skip
        networks.append(
            CutNetwork(
                name, model, form.make, task, {"epochs": form.epochs, **TRAINING},
                receipts[name][-1].metric["test"], form.tuned_epochs,
            )
        )  # fmt: skip
    found = controls(networks, folder, watcher)
    rows = [row for one in found for row in _rows(one, receipts[one.name], error, short)]
    return Findings(rows, [_sizes(receipts, error), table(found)])


def _dense(form: Form, task: Task, path: Path, watcher: Watcher) -> nn.Module:
    """Trained from scratch as its controls are; a killed training goes on."""

    def trained() -> nn.Module:
        torch.manual_seed(0)
        model = form.make()
        fit(
            model, task, epochs=form.epochs, fabric=make_fabric("cpu"),
            checkpoint=path.with_suffix(".partial"), on_progress=watcher.on_progress,
            **TRAINING,  # type: ignore[arg-type]
        )  # fmt: skip
        return model

    return once(path, form.make, trained)


def _rows(one: Control, receipts: list[Receipt], dense: float, short: bool) -> list[Row]:
    last, (early, late) = receipts[-1], one.errors
    most = SHORT_ERROR if short else one.tuned + POINTS
    return [
        Row(
            f"{one.name}: test error, dense; fine-tuned, Scratch-E, Scratch-B",
            PUBLISHED.get(one.name, ""),
            f"Scratch-B ≤ {most:.2f} %" + ("" if short else f", fine-tuned + {POINTS:g}"),
            f"{dense:.2f}; {one.tuned:.2f}, {early:.2f}, {late:.2f} %", late <= most,
        ),
        Row(
            f"{one.name}: Scratch-B is no worse than Scratch-E", "yes", "",
            f"{late:.2f} against {early:.2f} %", None,
        ),
        Row(
            f"{one.name}: multiply-adds", "", "fewer than dense",
            f"{receipts[0].macs:,} → {last.macs:,}", last.macs < receipts[0].macs,
        ),
    ]  # fmt: skip


def _sizes(receipts: dict[str, list[Receipt]], error: float) -> Table:
    """What the cuts are in parameters, bytes and milliseconds."""
    header = ["network", "parameters", "MACs", "bytes", "ms (batch 1, one thread)", "cut at once",
              "fine-tuned"]  # fmt: skip
    first = next(iter(receipts.values()))[0]
    lines = [[*_figures("dense", first), "–", f"{error:.2f} %"]]
    for name, own in receipts.items():
        at_once = f"{own[1].metric['validation']:.2f} % (validation)"
        lines.append([*_figures(name, own[-1]), at_once, f"{own[-1].metric['test']:.2f} %"])
    return Table("Networks, and their errors", header, lines)


def _figures(name: str, receipt: Receipt) -> list[str]:
    counts = (receipt.parameters, receipt.macs, receipt.size_bytes)
    return [name, *(f"{count:,}" for count in counts), f"{receipt.latency.median_ms:.2f}"]


RETHINKING = Study(
    "rethinking",
    "ResNet-20 cut by L1 filters: fine-tuned against Scratch-E and Scratch-B, equal multiply-adds",
    50,
    compare,
    leaves_cut=True,  # --scratch asks for what it does anyway
)
