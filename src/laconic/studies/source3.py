"""Weights, filters by L1 and channels by Fisher, on one ResNet (Nurchalifah et al., source 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from laconic import runtime, zoo
from laconic.measure import Receipt
from laconic.measure.latency import in_turns
from laconic.pack import pack
from laconic.recipe import Recipe, Stage, Watcher, run
from laconic.report.scatter import Point, scatter
from laconic.represent import plain, weights
from laconic.studies.filters import LI
from laconic.studies.second_order import pretrained
from laconic.studies.study import CutNetwork, Findings, Row, Study, Table
from laconic.train import Shortened, Task, evaluate, load_model, make_fabric

TUNING = {"learning_rate": 1e-3, "optimizer": "sgd", "weight_decay": 1e-4}
"""Li et al.'s rate for fine-tuning; both of its epochs begin with momentum 0."""
SCRATCH = {**TUNING, "epochs": 2, "learning_rate": 0.1, "schedule": "cosine"}
"""The 200 epochs of the published network are out of reach: as long as the fine-tuning."""
VALIDATION = 1000
"""Images: the network has seen them all, so the validation split decides nothing here."""
SPARSITY = 0.3
CALLS = 200
DENSE, RUNTIME = "PyTorch", "laconic.runtime"


@dataclass(frozen=True)
class Form:
    """The whole study, or its short form."""

    network: str
    filters: str
    """Key of `LI`."""
    batches: int | None
    """Of an epoch; None: all."""
    test: int | None
    """Images of the test split; None: all."""
    calls: int
    loss: float
    """Points of accuracy that weights and filters may lose."""
    methods: int


WHOLE = Form("resnet56", "resnet56-A", None, None, CALLS, 0.5, 3)
SHORT = Form("resnet20", "resnet20-A", 3, 500, 20, 5.0, 2)


@dataclass(frozen=True)
class Method:
    """A row of source 3's first table."""

    name: str
    stage: Stage
    parameters: str
    """As published."""
    accuracy: str
    """As published; dense 93.13 %."""


def methods(form: Form) -> tuple[Method, ...]:
    """What is removed; Fisher removes as many channels as L1 filters, where it wants.

    The short form leaves Fisher out.
    """
    filters = LI[form.filters]
    fisher: dict[str, Any] = {
        "fraction": filters.share(),
        "layers": "layer*.conv1",
        # A channel of the first group costs about what a median channel's loss is worth.
        "saliency": {"kind": "fisher-channels", "mac_price": 1e-11},
        "per_round": 20,
        "steps": 20,
    }
    found = (
        Method(
            "weights",
            Stage("prune", {"sparsity": SPARSITY, "layers": ["conv1", "layer*"],
                            "scope": "global"}),
            "613,349 (0.705)", "93.17 %",
        ),
        Method(
            "L1 filters", Stage("cut", {"fraction": filters.fractions()}),
            "773,336 (0.907 of 853,018)", "93.24 %",
        ),
        Method("Fisher", Stage("greedy-cut", fisher), "855,770 (0.984)", "86.64 %"),
    )  # fmt: skip
    return found[: form.methods]


@dataclass(frozen=True)
class Outcome:
    """A network of the table, dense or after a method."""

    name: str
    model: nn.Module
    file: Path
    receipt: Receipt
    accuracies: list[float]
    """Test split: at once, after one epoch, after two; of the dense network its own alone."""


def compare(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """All methods, their sizes, accuracies and times, and source 3's two figures."""
    form = SHORT if short else WHOLE
    make = partial(zoo.resolve_model, form.network)
    task = Shortened(
        zoo.resolve_task("cifar10"), form.batches, 200 if short else VALIDATION, form.test
    )
    outcomes: list[Outcome] = []
    for method in methods(form):
        model, file, receipts, accuracies = _tuned(method, form, task, folder, watcher)
        if not outcomes:
            outcomes.append(_dense(form, task, receipts[0], folder / "dense.lac"))
        outcomes.append(Outcome(method.name, model, file, receipts[-1], accuracies))
    times = milliseconds(outcomes, task, form.calls)
    cut = [
        CutNetwork(
            one.name, one.model, make, task, SCRATCH, 100 - one.accuracies[-1]
        )
        for one in outcomes
        if one.receipt.parameters < outcomes[0].receipt.parameters
    ]  # fmt: skip
    return Findings(
        _rows(outcomes, times, form), [_table(outcomes, times)], _pictures(outcomes, times), cut
    )


def _network(form: Form) -> nn.Module:
    return pretrained(form.network, zoo.resolve_model(form.network))


def _dense(form: Form, task: Task, receipt: Receipt, file: Path) -> Outcome:
    model = _network(form)
    pack(model, file, example_input=task.example_input)
    return Outcome("dense", model, file, receipt, [100 - receipt.metric["test"]])


def _tuned(
    method: Method, form: Form, task: Task, folder: Path, watcher: Watcher
) -> tuple[nn.Module, Path, list[Receipt], list[float]]:
    """What a method and two epochs of fine-tuning make of the network; a killed run goes on."""
    model, file = _network(form), folder / f"{method.name.replace(' ', '-')}.lac"
    run_dir, tuning = file.with_suffix(""), Stage("fit", {"epochs": 1, **TUNING})
    receipts = run(
        model, task, replace(Recipe((method.stage, tuning, tuning)), name=method.name), file,
        run_dir, resume=True, watcher=watcher, fabric=make_fabric("cpu"),
    )  # fmt: skip
    accuracies = []
    for stage in (1, 2):
        network = _network(form)
        load_model(run_dir / f"stage-{stage}.safetensors", network)
        accuracies.append(100 - evaluate(network, task, "test", make_fabric("cpu")))
    accuracies.append(100 - receipts[-1].metric["test"])
    return model, file, receipts, accuracies


Times = dict[str, dict[str, float]]
"""Engine → network → median milliseconds of one image, one thread, all in turns."""


def milliseconds(outcomes: list[Outcome], task: Task, calls: int) -> Times:
    """PyTorch, to which zeros are numbers as others, and our runtime."""
    example = task.example_input
    dense: dict[str, Callable[[], Any]] = {}
    ours: dict[str, Callable[[], Any]] = {}
    for one in outcomes:
        dense[one.name] = partial(plain(one.model).eval(), example)
        session = runtime.load(one.file, threads=1)
        ours[one.name] = partial(session, **{session.inputs[0].name: example.numpy()})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            found = {
                DENSE: in_turns(dense, DENSE, count=calls),
                RUNTIME: in_turns(ours, RUNTIME, count=calls),
            }
    finally:
        torch.set_num_threads(threads)
    return {
        engine: {name: one.median_ms for name, one in own.items()} for engine, own in found.items()
    }


def _faster(times: Times, engine: str, name: str) -> float:
    return times[engine]["dense"] / times[engine][name]


def _rows(outcomes: list[Outcome], times: Times, form: Form) -> list[Row]:
    dense, *others = outcomes
    published = {method.name: method for method in methods(form)}
    expected = dense.receipt.parameters - _parameters_of(form)
    rows = []
    for one in others:
        known = published[one.name]
        is_cut = one.receipt.parameters < dense.receipt.parameters
        left = one.receipt.parameters if is_cut else one.receipt.nonzeros
        goals = {
            "weights": dense.receipt.parameters - _zeros(dense.model),
            "L1 filters": expected,
        }
        goal = goals.get(one.name)
        rows.append(
            Row(
                f"{one.name}: parameters left", known.parameters,
                "fewer than dense" if goal is None else f"{goal:,}",
                f"{left:,} ({left / dense.receipt.parameters:.3f} of "
                f"{dense.receipt.parameters:,})",
                left < dense.receipt.parameters if goal is None else left == goal,
            )
        )  # fmt: skip
        rows += _scored(one, dense, known, form)
        if is_cut:
            factor = _faster(times, RUNTIME, one.name)
            rows.append(
                Row(
                    f"{one.name}: faster in {RUNTIME}", "faster", "> 1×", f"{factor:.2f}×",
                    factor > 1,
                )
            )  # fmt: skip
    factor = _faster(times, DENSE, "weights")
    rows.append(Row("weights: faster in a dense engine", "no, slower", "", f"{factor:.2f}×", None))
    return rows


def _scored(one: Outcome, dense: Outcome, known: Method, form: Form) -> list[Row]:
    """Accuracy and bytes; Fisher's goal is what the source reports."""
    before, once, _, twice = dense.accuracies[0], *one.accuracies
    least = before - form.loss
    if one.name == "Fisher":
        least = 86.64
    return [
        Row(
            f"{one.name}: test accuracy, dense → at once → after two epochs",
            f"93.13 → {known.accuracy}", f"≥ {least:.2f} %",
            f"{before:.2f} → {once:.2f} → {twice:.2f} %", twice >= least - 1e-9,
        ),
        Row(
            f"{one.name}: bytes of the file", "", "fewer than dense",
            f"{dense.receipt.size_bytes:,} → {one.receipt.size_bytes:,}",
            one.receipt.size_bytes < dense.receipt.size_bytes,
        ),
    ]  # fmt: skip


def _zeros(model: nn.Module) -> int:
    """Exactly 30 % of the weights of all convolutions."""
    found = weights(model, ["conv1", "layer*"])
    return round(SPARSITY * sum(weight.numel() for weight in found.values()))


def _parameters_of(form: Form) -> int:
    """Parameters of the filters that go: both sides of a block's inner channels, two of a norm."""
    width = {"1": 16, "2": 32, "3": 64}
    return sum(
        count * (_inputs(name) * 9 + width[name[len("layer")]] * 9 + 2)
        for name, count in LI[form.filters].removed().items()
    )


def _inputs(name: str) -> int:
    """Channels that come into a convolution `layerG.B.conv1`."""
    group, block = int(name[len("layer")]), int(name.split(".")[1])
    return (16, 16, 32, 64)[group if block else group - 1]


def _table(outcomes: list[Outcome], times: Times) -> Table:
    header = ["network", "parameters", "non-zero", "MACs", "with non-zero weights",
              "accuracy at once", "one epoch", "two epochs", "bytes", f"{DENSE}, ms",
              f"{RUNTIME}, ms"]  # fmt: skip
    lines = []
    for one in outcomes:
        receipt = one.receipt
        scores = [f"{accuracy:.2f} %" for accuracy in one.accuracies]
        counts = (receipt.parameters, receipt.nonzeros, receipt.macs, receipt.effective_macs)
        lines.append(
            [
                one.name, *(f"{count:,}" for count in counts), *scores,
                *["–"] * (3 - len(scores)), f"{receipt.size_bytes:,}",
                *(f"{times[engine][one.name]:.2f}" for engine in (DENSE, RUNTIME)),
            ]
        )  # fmt: skip
    return Table("Batch 1, one thread; accuracies on the test split", header, lines)


def _pictures(outcomes: list[Outcome], times: Times) -> dict[str, str]:
    """Source 3's figures 7 and 8."""
    dense = outcomes[0]
    compression, accuracy = [], []
    for engine in (RUNTIME, DENSE):
        for one in outcomes:
            faster = _faster(times, engine, one.name)
            ratio = dense.receipt.size_bytes / one.receipt.size_bytes
            compression.append(Point(ratio, faster, one.name, engine))
            accuracy.append(Point(faster, one.accuracies[-1], one.name, engine))
    size, speed = "dense file ÷ file, bytes", "times as fast as the dense network"
    return {
        "speed-against-compression": scatter(
            "Speed-up against compression", size, speed, compression
        ),
        "accuracy-against-speed": scatter(
            "Accuracy against speed-up", speed, "test accuracy, %", accuracy
        ),
    }


SOURCE3 = Study(
    "source3-pruning",
    "The published ResNet-56 with fewer weights, filters and channels: size, accuracy and time",
    50,
    compare,
    leaves_cut=True,
)
