"""The largest part of zeros at 0.3 points lost: three networks, several ways down."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from torch import nn

from laconic import zoo
from laconic.measure import Receipt
from laconic.recipe import Recipe, Stage, Watcher, run
from laconic.studies.lenet import THREADS, shortened
from laconic.studies.second_order import pretrained, trained
from laconic.studies.study import Findings, Row, Study, Table
from laconic.train import Batch, Shortened, Split, Task, evaluate, load_model, make_fabric

LOSS, SHORT_LOSS = 0.3, 5.0
"""Points of the metric that may be lost; in the short form, whose networks are hardly trained."""
SHORT_LEVELS = (0.5, 0.8)


@dataclass(frozen=True)
class Way:
    """What is done at each level: stages, given the part of zeros."""

    name: str
    stages: Callable[[float], list[Stage]]
    first: Callable[[float], list[Stage]] | None = None
    """At the first level, where it differs."""


@dataclass(frozen=True)
class Ladder:
    """A network, the levels, and the ways down."""

    model: str
    task: str
    dense: Callable[[Task, bool], nn.Module]
    """The network to begin with, given the task and whether the form is short."""
    levels: tuple[float, ...]
    ways: tuple[Way, ...]
    published: str
    seen: bool = False
    """The validation split was trained on, so that levels are chosen on half of the test split."""


@dataclass(frozen=True)
class Rung:
    """A level of one way."""

    zeros: float
    receipt: Receipt
    model: Path

    @property
    def error(self) -> float:
        """In percent, of the split that levels are chosen on."""
        return self.receipt.metric["validation"]


def prune_and_train(
    training: dict[str, Any], *between: Stage, **pruning: Any
) -> Callable[[float], list[Stage]]:
    """Prune to the level, do what comes between, train."""

    def stages(level: float) -> list[Stage]:
        return [Stage("prune", {"sparsity": level, **pruning}), *between, Stage("fit", training)]

    return stages


def adam(epochs: int, rate: float) -> dict[str, Any]:
    """Adam along a cosine."""
    return {"epochs": epochs, "learning_rate": rate, "schedule": "cosine"}


def climb(
    ladder: Ladder, way: Way, dense: nn.Module, task: Task, folder: Path, watcher: Watcher
) -> list[Rung]:
    """All levels of one way in one run, the dense network first."""
    first, *others = ladder.levels
    parts = [(way.first or way.stages)(first), *(way.stages(level) for level in others)]
    recipe = Recipe(tuple(stage for part in parts for stage in part), name=way.name)
    receipts = run(
        copy.deepcopy(dense), task, recipe, folder / "last.lac", folder,
        resume=True, watcher=watcher, fabric=make_fabric(threads=THREADS),
    )  # fmt: skip
    ends = accumulate((len(part) for part in parts), initial=0)
    return [
        Rung(level, receipts[end], folder / f"stage-{end}.safetensors")
        for level, end in zip((0.0, *ladder.levels), ends, strict=True)
    ]


def lenet(name: str) -> Callable[[Task, bool], nn.Module]:
    """Trained here."""
    return lambda task, short: trained(name, task, short)


def together(training: dict[str, Any], *between: Stage, **pruning: Any) -> Any:
    """Levels counted over all layers."""
    return prune_and_train(training, *between, scope="global", **pruning)


LADDERS = (
    Ladder(
        "lenet-300-100", "mnist", lenet("lenet-300-100"),
        (0.9, 0.95, 0.97, 0.975, 0.98, 0.985),
        (
            Way("magnitude, each layer", prune_and_train(adam(10, 2e-3))),
            Way("magnitude, all layers", together(adam(10, 2e-3))),
            Way("MAS, all layers", together(adam(10, 2e-3), saliency="mas")),
            Way(
                "magnitude, all layers, each level from the dense values",
                together(adam(10, 2e-3), Stage("rewind", {"to": "start"})),
                together(adam(10, 2e-3)),
            ),
        ),
        "98.2 % (1.99 % error), 98.5 % (1.92 %)",
    ),
    Ladder(
        "lenet5", "mnist", lenet("lenet5"),
        (0.95, 0.98, 0.985, 0.99, 0.9925, 0.995),
        (
            Way("magnitude, all layers", together(adam(5, 2e-3))),
            Way("MAS, all layers", together(adam(5, 2e-3), saliency="mas")),
        ),
        "99.1 % (0.91 % error), 99.6 % (0.75 %)",
    ),
    Ladder(
        "resnet20", "cifar10",
        lambda task, short: pretrained("resnet20", zoo.resolve_model("resnet20")),
        (0.5, 0.6, 0.7, 0.8),
        (
            Way(
                "magnitude, all layers, OBS's update",
                together(
                    {**adam(1, 0.01), "optimizer": "sgd", "weight_decay": 1e-4},
                    Stage("compensate"),
                ),
            ),
        ),
        "",
        seen=True,
    ),
)  # fmt: skip


class HalvedTest(Shortened):
    """A task of which half of the test split's batches stand for the validation split."""

    def batches(self, split: Split, *, seed: int = 0) -> Iterator[Batch]:
        """The training batches; every other batch of the test split, for each of the two."""
        if split == "train":
            return super().batches(split, seed=seed)
        return islice(self.task.batches("test"), split == "test", None, 2)


@dataclass(frozen=True)
class End:
    """How far a way goes."""

    way: str
    rungs: list[Rung]
    chosen: Rung
    before: float
    after: float
    """Test errors in percent, of the dense network and of the chosen level."""


def furthest(way: Way, rungs: list[Rung], network: nn.Module, task: Task, allowed: float) -> End:
    """The last level that loses no more than `allowed` on the validation split, and its error."""
    most = rungs[0].error + allowed
    chosen = max((rung for rung in rungs if rung.error <= most), key=lambda rung: rung.zeros)
    before, after = (error_on_test(rung, network, task) for rung in (rungs[0], chosen))
    return End(way.name, rungs, chosen, before, after)


def error_on_test(rung: Rung, network: nn.Module, task: Task) -> float:
    """Of the network that a level left, in percent."""
    model = copy.deepcopy(network)
    load_model(rung.model, model)
    return evaluate(model, task, "test", make_fabric(threads=THREADS))


def compare(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """Each way as far down as the validation split lets it go; the test split judges the ends."""
    rows, lines = [], []
    for ladder in [in_short(LADDERS[0])] if short else LADDERS:
        whole = zoo.resolve_task(ladder.task)
        task: Task = HalvedTest(whole) if ladder.seen else whole
        dense = ladder.dense(task, short)
        ends = []
        for number, way in enumerate(ladder.ways):
            place = folder / f"{ladder.model}-{number}"
            rungs = climb(ladder, way, dense, task, place, watcher)
            ends.append(furthest(way, rungs, dense, task, SHORT_LOSS if short else LOSS))
        rows += _rows(ladder, ends, SHORT_LOSS if short else LOSS)
        lines += [line for end in ends for line in _lines(ladder, end)]
    header = [
        "network, way",
        "zeros",
        "error it is chosen by",
        "test error",
        "weights left",
        "bytes",
    ]
    return Findings(rows, [Table("Every level of every way", header, lines)])


def in_short(ladder: Ladder) -> Ladder:
    """Two levels of one way, an epoch each."""
    way = ladder.ways[1]

    def stages(level: float) -> list[Stage]:
        return list(shortened(Recipe(tuple(way.stages(level)))).stages)

    return replace(ladder, levels=SHORT_LEVELS, ways=(Way(way.name, stages),))


def _rows(ladder: Ladder, ends: list[End], allowed: float) -> list[Row]:
    """The best way: how many zeros, and whether the test split agrees."""
    best = max(ends, key=lambda end: (end.chosen.zeros, -end.after))
    lost = best.after - best.before
    sizes = (best.rungs[0].receipt.size_bytes, best.chosen.receipt.size_bytes)
    return [
        Row(
            f"{ladder.model}: largest part of zeros ({best.way})", ladder.published, "",
            f"{best.chosen.zeros:.2%}, {sizes[0]:,} → {sizes[1]:,} bytes", None,
        ),
        Row(
            f"{ladder.model}: test error of it", "", f"≤ dense + {allowed:g} points",
            f"{best.before:.2f} → {best.after:.2f} % ({lost:+.2f})", lost <= allowed,
        ),
    ]  # fmt: skip


def _lines(ladder: Ladder, end: End) -> list[list[str]]:
    tested = {0.0: f"{end.before:.2f} %", end.chosen.zeros: f"{end.after:.2f} %"}
    return [
        [
            f"{ladder.model}, {end.way}", f"{rung.zeros:.2%}", f"{rung.error:.2f} %",
            tested.get(rung.zeros, ""), f"{rung.receipt.nonzeros:,}",
            f"{rung.receipt.size_bytes:,}",
        ]
        for rung in end.rungs
    ]  # fmt: skip


EXTREME = Study(
    "extreme-sparsity",
    "The largest part of zeros of LeNet-300-100, LeNet-5 and ResNet-20 at 0.3 points lost",
    60,
    compare,
)
