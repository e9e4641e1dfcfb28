"""Sensitivity analysis: the metric against the sparsity of each layer.

Han, Pool, Tran, Dally, arXiv:1506.02626, figure 6.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from laconic.errors import UsageError
from laconic.measure.sensitivity import Point, Sensitivity, read_sensitivity, write_sensitivity
from laconic.prune import Prune, check_sparsity
from laconic.recipe.cutting import chosen_groups, makers
from laconic.recipe.scoring import Choice, check_saliency, make_saliency
from laconic.represent import plain, represent_layers, weights
from laconic.saliency import Data
from laconic.surgery import Groups, lowest_of_each, unfuse, unit_scores
from laconic.surgery.cut import without
from laconic.surgery.remove import zeroed
from laconic.train import Shortened, Task, evaluate, make_fabric

LEVELS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
KINDS = ("weights", "filters")


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Raises:
        UsageError: an unknown kind, no level, a level outside [0, 1), or a saliency that does not
            fit the kind.
    """

    kind: str = "weights"
    """``"weights"``: zeros in one weight; ``"filters"``: units of one group go."""
    levels: tuple[float, ...] = LEVELS
    layers: list[str] = field(default_factory=lambda: ["*"])
    saliency: Choice = "magnitude"
    examples: int | None = None
    """Validation examples that are scored, from the first on; None: all."""
    scored_by: int = 1024
    """Training examples that the saliency may look at."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"no kind is named {self.kind!r}; there are: {', '.join(KINDS)}")
        if not self.levels:
            raise UsageError("there is no level to measure; give at least one fraction")
        for level in self.levels:
            check_sparsity(level)
        check_saliency(self.saliency, per_channel=self.kind == "filters")
        if self.examples is not None and self.examples < 1:
            raise UsageError(f"examples is {self.examples}; at least 1 is needed")


class Analysis:
    """One network whose layers are pruned one at a time; each process has its own."""

    def __init__(self, model: nn.Module, task: Task, setting: Setting) -> None:
        self.model = plain(model)
        self.scored: Task = task
        if setting.examples is not None:
            self.scored = Shortened(task, validation_examples=setting.examples)
        self.setting = setting
        self.fabric = make_fabric("cpu", threads=1)
        data = Data(task, setting.scored_by)
        saliency = make_saliency(setting.saliency)
        for parameter in self.model.parameters():
            parameter.requires_grad_(True)  # a saliency may need gradients
        if setting.kind == "weights":
            self.layers = list(weights(self.model, setting.layers))
            self.scores = saliency.scores(self.model, self.layers, data)
            return
        unfuse(self.model)  # as the stage cut does, which takes the result
        self.groups = Groups(self.model, task.example_input)
        chosen = chosen_groups(self.groups, setting.layers)
        self.layers = [name for name in chosen if self.groups[name].size > 1]
        rows = saliency.scores(self.model, makers(self.model, self.groups, self.layers), data)
        self.scores = unit_scores(self.groups, rows)

    def dense(self) -> float:
        """The metric of the network as it is."""
        return evaluate(self.model, self.scored, "validation", self.fabric)

    def measure(self, layer: str, level: float) -> float:
        """The metric with one layer pruned."""
        if self.setting.kind == "weights":
            twin = plain(self.model)
            represent_layers(twin, {layer: Prune(level).by(self.scores[layer])})
        else:
            units = lowest_of_each({layer: self.scores[layer]}, {layer: level})
            cut, _ = without(self.groups, units)
            twin = zeroed(self.model, cut)
        return evaluate(twin, self.scored, "validation", self.fabric)


_analysis: Analysis | None = None
"""Of this worker process."""


def _begin(make: Callable[[], tuple[nn.Module, Task]], setting: Setting) -> None:
    global _analysis
    torch.set_num_threads(1)
    _analysis = Analysis(*make(), setting)


def _measure(layer: str, level: float) -> Point:
    if _analysis is None:
        raise AssertionError("the worker was not begun")
    return Point(layer, level, _analysis.measure(layer, level))


def analyse(
    make: Callable[[], tuple[nn.Module, Task]],
    setting: Setting,
    output: Path,
    *,
    identity: dict[str, Any] | None = None,
    processes: int = 1,
    on_point: Callable[[int, int, Point], None] | None = None,
) -> Sensitivity:
    """Measure every layer at every level, in several processes; go on where `output` ends.

    The test split is never read. `output` is written after every point, so a run that was killed
    goes on behind its last one.

    Args:
        make: gives network and task; a function of a module, which each process calls.
        setting: what is measured.
        output: the JSON file.
        identity: what tells this analysis from others (the names of model and task, say).
        processes: how many work at once, one thread each.
        on_point: called with how many points there are, of how many, and the new one.

    Raises:
        UsageError: `output` holds another analysis, or there is nothing to measure.
        PatternError: a pattern matches no layer.
    """
    if processes < 1:
        raise UsageError(f"processes is {processes}; at least 1 is needed")
    own = Analysis(*make(), setting)
    wanted = {**(identity or {}), **asdict(setting), "levels": list(setting.levels)}
    found = _begun(own, wanted, output)
    done = {(point.layer, point.level) for point in found.points}
    left = [(layer, level) for layer in own.layers for level in setting.levels]
    left = [pair for pair in left if pair not in done]
    total = len(own.layers) * len(setting.levels)
    for point in _points(make, own, setting, left, processes):
        found.points.append(point)
        write_sensitivity(output, found)
        if on_point is not None:
            on_point(len(found.points), total, point)
    order = {layer: place for place, layer in enumerate(own.layers)}
    found.points.sort(key=lambda point: (order[point.layer], point.level))
    write_sensitivity(output, found)
    return found


def _begun(own: Analysis, wanted: dict[str, Any], output: Path) -> Sensitivity:
    """What `output` holds, or a new result."""
    if output.exists():
        found = read_sensitivity(output)
        if found.identity != wanted:
            both = {**found.identity, **wanted}
            keys = [key for key in both if found.identity.get(key) != wanted.get(key)]
            raise UsageError(
                f"{output} holds another analysis: {', '.join(keys)} differ; choose another file"
            )
        return found
    task = own.scored
    return Sensitivity(wanted, task.metric, task.higher_is_better, own.dense(), own.layers, [])


def _points(
    make: Callable[[], tuple[nn.Module, Task]], own: Analysis, setting: Setting,
    left: Sequence[tuple[str, float]], processes: int,
) -> Iterator[Point]:  # fmt: skip
    if processes == 1 or len(left) < 2:
        for layer, level in left:
            yield Point(layer, level, own.measure(layer, level))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (make, setting)) as pool:
        futures: list[Future[Point]] = [pool.submit(_measure, *pair) for pair in left]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
