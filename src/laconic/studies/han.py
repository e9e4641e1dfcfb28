"""Magnitude pruning in rounds, before any sharing (arXiv:1506.02626, tables 1 and 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from laconic import zoo
from laconic.measure import dense_receipt
from laconic.recipe import Recipe, Watcher, load_recipe, run
from laconic.studies.lenet import SHORT_ERROR, THREADS, shortened
from laconic.studies.study import Findings, Row, Study, Table
from laconic.train import make_fabric


@dataclass(frozen=True)
class Published:
    """What the paper reports for one network, and the issue's goal."""

    error: str
    weights: str
    most_weights: int
    layers: dict[str, str]
    """Layer → weights that stay."""


PUBLISHED = {
    "lenet-300-100": Published(
        "1.64 % → 1.59 %", "267K → 22K", 22_000, {"fc1": "8 %", "fc2": "9 %", "fc3": "26 %"}
    ),
    "lenet5": Published(
        "0.80 % → 0.77 %",
        "431K → 36K",
        36_000,
        {"conv1": "66 %", "conv2": "12 %", "fc1": "8 %", "fc2": "19 %"},
    ),
}


def pruning_alone(model: str) -> Recipe:
    """The stages of the network's Deep Compression before its weights are shared."""
    recipe = load_recipe(f"{model}-deep-compression")
    kinds = [stage.kind for stage in recipe.stages]
    return replace(recipe, stages=recipe.stages[: kinds.index("share")])


def compare(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """Prune and retrain both LeNets; weights, errors, and what stays of each layer."""
    rows, tables = [], []
    for model, published in list(PUBLISHED.items())[: 1 if short else None]:
        recipe = pruning_alone(model)
        fabric = make_fabric(threads=THREADS)
        torch.manual_seed(recipe.seed)
        receipts = run(
            zoo.resolve_model(f"zoo:{model}"),
            zoo.resolve_task("zoo:mnist"),
            shortened(recipe) if short else recipe,
            folder / f"{model}.lac",
            folder / model,
            resume=True,
            watcher=watcher,
            fabric=fabric,
        )
        dense, last = dense_receipt(receipts), receipts[-1]
        before, after = dense.metric["test"], last.metric["test"]
        allowed = SHORT_ERROR if short else before + 0.1
        goal = f"≤ {allowed:.2f} %" if short else f"≤ dense + 0.1 points = {allowed:.2f} %"
        rows += [
            Row(
                f"{model}: weights left (biases counted)",
                published.weights,
                f"≤ {published.most_weights:,}",
                f"{last.nonzeros:,}, {dense.parameters / last.nonzeros:.1f}× fewer",
                last.nonzeros <= published.most_weights,
            ),
            Row(
                f"{model}: test error",
                published.error,
                goal,
                f"{before:.2f} % → {after:.2f} %",
                round(after, 6) <= round(allowed, 6),
            ),
            Row(
                f"{model}: bytes of the file",
                "",
                "fewer than the dense file",
                f"{dense.size_bytes:,} → {last.size_bytes:,}",
                last.size_bytes < dense.size_bytes,
            ),
        ]
        lines = [
            [
                tensor.name,
                published.layers[tensor.name.partition(".")[0]],
                f"{100 * tensor.nonzeros / tensor.parameters:.1f} %",
            ]
            for tensor in last.tensors
            if tensor.name.endswith(".weight")
        ]
        title = f"{model}: weights left of each layer"
        tables.append(Table(title, ["layer", "published", "ours"], lines))
    return Findings(rows, tables)


HAN = Study(
    "han-pruning",
    "Magnitude pruning and retraining of both LeNets: published 12× fewer weights each",
    15,
    compare,
)
