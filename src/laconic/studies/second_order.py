"""One-shot pruning by seven criteria, without retraining, and networks with dead groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from laconic import zoo
from laconic.pack import pack_model_bytes
from laconic.prune import Prune, smallest
from laconic.recipe import Watcher, load_recipe
from laconic.represent import plain, represent_layers, weights
from laconic.saliency import (
    EWC,
    OBD,
    OBS,
    Data,
    Fisher,
    Magnitude,
    Random,
    Saliency,
    Wanda,
    input_hessians,
)
from laconic.solve import compensate
from laconic.studies.study import Findings, Row, Study, Table
from laconic.surgery import remove_dead
from laconic.train import Task, evaluate, fit, make_fabric
from laconic.zoo.locate import locate
from laconic.zoo.tasks import HALVES, cifar10

LEVELS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
SHORT_LEVELS = (0.5, 0.8)
EXAMPLES = 1024
SHORT_EXAMPLES = 128
GROUP_SPARSE = {"ssl_channels": 90.83, "ssl_5convs_removed": 90.72}
"""Distiller's released networks → their measured accuracy on the test split, in percent."""


@dataclass(frozen=True)
class Criterion:
    """A saliency, and whether the weights that are left make up for those that go."""

    name: str
    saliency: Saliency
    moves: bool = False


CRITERIA = (
    Criterion("magnitude", Magnitude()),
    Criterion("OBD", OBD()),
    Criterion("OBS, with its update", OBS(), moves=True),
    Criterion("Fisher", Fisher()),
    Criterion("EWC", EWC()),
    Criterion("Wanda", Wanda()),
    Criterion("random", Random()),
)
Curves = dict[str, list[float]]
"""Criterion → the test error at each level, in percent."""


def curves(
    model: nn.Module, task: Task, levels: tuple[float, ...], examples: int,
    tell: Callable[[str], None],
) -> Curves:  # fmt: skip
    """Prune every layer by the same fraction, once, and score; nothing is trained or chosen."""
    data = Data(task, examples)
    names = list(weights(model))
    found = {}
    for criterion in CRITERIA:
        tell(criterion.name)
        scores = criterion.saliency.scores(model, names, data)
        hessians = input_hessians(model, names, data) if criterion.moves else {}
        errors = []
        for level in levels:
            twin = plain(model)
            masks = {name: _kept(scores[name], level) for name in names}
            for name, hessian in hessians.items():
                weight = twin.get_parameter(name)
                with torch.no_grad():
                    weight.copy_(compensate(weight, hessian, masks[name]))
            steps = {name: Prune(level).by(mask.float()) for name, mask in masks.items()}
            represent_layers(twin, steps)
            errors.append(evaluate(twin, task, "test", make_fabric("cpu")))
        found[criterion.name] = errors
    return found


def _kept(scores: torch.Tensor, level: float) -> torch.Tensor:
    return ~smallest(scores.flatten().float(), round(level * scores.numel())).reshape(scores.shape)


def trained(name: str, task: Task, short: bool) -> nn.Module:
    """A LeNet as the first stage of its Deep Compression recipe trains it."""
    torch.manual_seed(0)
    model = zoo.resolve_model(name)
    arguments = dict(load_recipe(f"{name}-deep-compression").stages[0].arguments)
    epochs = 1 if short else arguments.pop("epochs")
    arguments.pop("epochs", None)
    fit(model, task, epochs=epochs, fabric=make_fabric("cpu"), **arguments)
    return model


def pretrained(name: str, model: nn.Module) -> nn.Module:
    """Published weights of the data folder in a network of ours."""
    model.load_state_dict(load_file(locate(f"cifar10_models/{name}.safetensors")), strict=False)
    return model.eval()


def compare(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """All curves, then the released group-sparse networks cut for real."""
    make_fabric("cpu", threads=1)
    levels, examples = (SHORT_LEVELS, SHORT_EXAMPLES) if short else (LEVELS, EXAMPLES)
    mnist = zoo.resolve_task("mnist")
    cifar = zoo.resolve_task("cifar10")
    networks: list[tuple[str, Callable[[], nn.Module], Task]] = [
        ("LeNet-300-100", lambda: trained("lenet-300-100", mnist, short), mnist),
        ("LeNet-5", lambda: trained("lenet5", mnist, short), mnist),
        ("ResNet-20", lambda: pretrained("resnet20", zoo.resolve_model("resnet20")), cifar),
    ]
    if short:
        networks = networks[:1]
    rows, tables = [], []
    done, total = 0, len(networks) * len(CRITERIA) + len(GROUP_SPARSE)

    def tell(network: str, what: str) -> None:
        nonlocal done
        done += 1
        if watcher.on_input:
            watcher.on_input(done, total, f"{network}: {what}")

    for title, make, task in networks:
        model = make()
        dense = evaluate(model, task, "test", make_fabric("cpu"))
        found = curves(model, task, levels, examples, partial(tell, title))
        tables.append(_table(title, dense, found, levels))
        rows += _rows(title, found, levels)
    for name, published in GROUP_SPARSE.items():
        tell(name, "cut")
        rows += _cut(name, published)
    return Findings(rows, tables)


def _table(title: str, dense: float, found: Curves, levels: tuple[float, ...]) -> Table:
    header = [f"dense {dense:.2f} %", *(f"{level:.0%} zeros" for level in levels)]
    lines = [[name, *(f"{error:.2f}" for error in errors)] for name, errors in found.items()]
    return Table(f"{title}: test error in percent, one shot, no retraining", header, lines)


def _rows(title: str, found: Curves, levels: tuple[float, ...]) -> list[Row]:
    """What the papers claim, at 80 % in each layer; of the small ResNet-20 at 50 %."""
    level = 0.5 if title == "ResNet-20" else 0.8
    place = levels.index(level)
    error = {name: errors[place] for name, errors in found.items()}

    def row(claim: str, better: str, worse: str) -> Row:
        ours = f"{error[better]:.2f} % against {error[worse]:.2f} %"
        return Row(
            f"{title}, {level:.0%} zeros: {claim}",
            "",
            "no worse",
            ours,
            error[better] <= error[worse],
        )

    rows = [row(f"{name} beats random", name, "random") for name in found if name != "random"]
    rows.append(row("OBS with its update beats magnitude", "OBS, with its update", "magnitude"))
    if title == "LeNet-300-100" and len(levels) == len(LEVELS):  # a little data says nothing of OBD
        rows.append(row("OBD no worse than magnitude", "OBD", "magnitude"))
    return rows


def _cut(name: str, published: float) -> list[Row]:
    """A released network without what computes nothing: accuracy, parameters, bytes."""
    model = pretrained(f"distiller_resnet20_{name}", zoo.resolve_model("resnet20-projection"))
    task = cifar10(colours=HALVES)
    inputs, _ = next(task.batches("train"))
    before = (_parameters(model), _bytes(model, task))
    remove_dead(model, inputs[:16])
    after = (_parameters(model), _bytes(model, task))
    accuracy = 100 - evaluate(model, task, "test", make_fabric("cpu"))
    return [
        Row(
            f"{name} of Distiller, cut for real: accuracy",
            f"{published:.2f} % (uncut)",
            "the same within 0.02",
            f"{accuracy:.2f} %",
            abs(accuracy - published) <= 0.02 + 1e-9,
        ),
        Row(
            f"{name}: parameters",
            f"{before[0]:,}",
            "fewer",
            f"{after[0]:,}",
            after[0] < before[0],
        ),
        Row(
            f"{name}: bytes of the file (float32)",
            f"{before[1]:,}",
            "fewer",
            f"{after[1]:,}",
            after[1] < before[1],
        ),
    ]


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _bytes(model: nn.Module, task: Task) -> int:
    return len(pack_model_bytes(model, example_input=task.example_input))


SECOND_ORDER = Study(
    "second-order",
    "One-shot pruning by magnitude, OBD, OBS, Fisher, EWC, Wanda and at random",
    30,
    compare,
)
