"""Cut networks trained from scratch: Scratch-E and Scratch-B (Liu et al., arXiv:1810.05270).

A pruned network may owe its accuracy to the weights that it kept, or to its shape alone. The
control draws the weights of that shape anew and trains it as the dense network was trained: for as
many epochs (Scratch-E), or for as many multiply-adds (Scratch-B).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from laconic import runtime
from laconic.pack import pack_model_bytes
from laconic.recipe import Watcher
from laconic.represent import weights
from laconic.runtime.macs import count_macs
from laconic.studies.common import once
from laconic.studies.study import Control, CutNetwork, Findings, Row, Table
from laconic.surgery import apply_cut, cuts
from laconic.train import Shortened, Task, evaluate, fit, make_fabric
from laconic.train.loop import count_batches

SEED = 1
"""Of the new draw and its training; the dense networks of the studies have 0."""


def redrawn(fresh: Callable[[], nn.Module], like: nn.Module) -> nn.Module:
    """A network with the shape of a cut one, and none of its values.

    Args:
        fresh: draws the dense network anew.
        like: cut by `laconic.surgery`; its masks and grids are left out.

    Returns:
        The new draw with the same cuts. Weights whose inputs became fewer are scaled up, because a
        network of this size would draw them with a deviation of 1/√inputs (He et al., and torch).
        Layers that merged are drawn as torch draws a linear layer: the product of two draws is
        narrower than a draw.

    Examples:
        >>> from laconic.surgery import Cut
        >>> small = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> half = {"0.weight": {0: [0, 1, 2, 3]}, "0.bias": {0: [0, 1, 2, 3]}}
        >>> apply_cut(small, Cut({**half, "2.weight": {1: [0, 1, 2, 3]}}))
        >>> new = redrawn(lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), small)
        >>> [list(parameter.shape) for parameter in new.parameters()]
        [[4, 4], [4], [2, 4], [2]]
    """
    model = fresh()
    inputs = {name: weight[0].numel() for name, weight in weights(model).items()}
    for cut in cuts(like):
        apply_cut(model, replace(cut, values={}))  # those are trained
    with torch.no_grad():
        for name, weight in weights(model).items():
            weight *= math.sqrt(inputs[name] / weight[0].numel())
    for _, _, last in (names for cut in cuts(like) for names in cut.merged):
        if isinstance(layer := model.get_submodule(last), nn.Linear):  # else it merged on
            layer.reset_parameters()
    return model


def macs(model: nn.Module, task: Task) -> int:
    """Multiply-adds of one example."""
    example = task.example_input
    data = pack_model_bytes(model, example_input=example, probe=False, coding="fastest")
    session = runtime.load(data, engine="numpy")
    return count_macs(session, {session.inputs[0].name: example.numpy()})[0]


def lasting(task: Task, epochs: float) -> tuple[Task, int]:
    """A task and whole epochs of it that are so many of the given one, to the nearest step.

    Examples:
        >>> from laconic.train import ArrayTask
        >>> rows, labels = torch.eye(10), torch.arange(10) % 2
        >>> task = ArrayTask(rows, labels, rows, labels, validation_fraction=0.2, batch_size=2)
        >>> longer, count = lasting(task, 2.5)
        >>> count, len(list(longer.batches("train")))
        (3, 3)
    """
    count = max(1, math.ceil(round(epochs, 6)))
    if count == epochs:
        return task, count
    steps = count_batches(task, SEED)
    return Shortened(task, train_batches=max(1, round(steps * epochs / count))), count


def control(network: CutNetwork, folder: Path, watcher: Watcher) -> Control:
    """Train both controls, or go on with those in a folder, and score them on the test split.

    Scratch-B has the multiply-adds of `CutNetwork.dense_epochs` and of `CutNetwork.tuned_epochs`,
    the fine-tuning, which the paper leaves out. Of a network that came trained only the epochs
    that its study states are known.
    """
    torch.manual_seed(SEED)
    ratio = macs(network.fresh(), network.task) / macs(network.model, network.task)
    epochs = float(network.training["epochs"])
    spent = epochs if network.dense_epochs is None else network.dense_epochs
    longer = spent * ratio + network.tuned_epochs
    errors = []
    for name, length in (("scratch-e", epochs), ("scratch-b", longer)):
        path = folder / f"{network.name}-{name}.safetensors"
        model = once(path, network.fresh, partial(_trained, network, length, path, watcher))
        errors.append(evaluate(model, network.task, "test", make_fabric("cpu")))
    return Control(network.name, ratio, network.tuned, (epochs, longer), (errors[0], errors[1]))


def _trained(network: CutNetwork, epochs: float, path: Path, watcher: Watcher) -> nn.Module:
    """A new draw of a cut network after so many epochs; a killed training goes on."""
    torch.manual_seed(SEED)
    model = redrawn(network.fresh, network.model)
    task, count = lasting(network.task, epochs)
    fit(
        model, task, seed=SEED, fabric=make_fabric("cpu"), checkpoint=path.with_suffix(".partial"),
        on_progress=watcher.on_progress, **{**network.training, "epochs": count},
    )  # fmt: skip
    return model


def controls(networks: Sequence[CutNetwork], folder: Path, watcher: Watcher) -> list[Control]:
    """The controls of all networks, one after the other."""
    found = []
    for number, network in enumerate(networks, 1):
        if watcher.on_input:
            watcher.on_input(number, len(networks), f"{network.name} from scratch")
        found.append(control(network, folder, watcher))
    return found


def with_controls(findings: Findings, folder: Path, watcher: Watcher) -> Findings:
    """What a study found, and the controls of its cut networks beside it; no goals are set."""
    found = controls(findings.cut, folder, watcher)
    if not found:
        return findings
    rows = [
        Row(
            f"{one.name}: trained from scratch, Scratch-E and Scratch-B", "", "",
            f"{one.errors[0]:.2f} and {one.errors[1]:.2f} (fine-tuned {one.tuned:.2f})", None,
        )
        for one in found
    ]  # fmt: skip
    return replace(findings, rows=[*findings.rows, *rows], tables=[*findings.tables, table(found)])


def table(found: Sequence[Control]) -> Table:
    """One line a network."""
    header = ["network", "MACs dense ÷ cut", "fine-tuned", "Scratch-E", "epochs", "Scratch-B",
              "epochs"]  # fmt: skip
    lines = [
        [
            one.name, f"{one.ratio:.3f}", f"{one.tuned:.2f}",
            f"{one.errors[0]:.2f}", f"{one.epochs[0]:.4g}",
            f"{one.errors[1]:.2f}", f"{one.epochs[1]:.4g}",
        ]
        for one in found
    ]  # fmt: skip
    return Table("Trained from scratch (metric on the test split)", header, lines)
