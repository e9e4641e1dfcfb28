"""Pruning an LSTM language model on Penn Treebank: scopes, gradual pruning, balanced loads."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import nn

from laconic import zoo
from laconic.measure.latency import in_turns
from laconic.pack import pack_model_bytes
from laconic.prune import SCOPES, Gradual, Prune, PruneBalanced
from laconic.recipe import Watcher
from laconic.represent import Step, represent_layers, weights
from laconic.runtime import load
from laconic.saliency import Magnitude
from laconic.studies.common import once
from laconic.studies.study import Findings, Row, Study, Table
from laconic.train import Callback, Shortened, Task, evaluate, fit, make_fabric

EPOCHS, GRADUAL_EPOCHS = 2, 6
"""Of the dense network that all begin with; of what follows gradually, the same for all."""
RATE, BALANCED_RATE = 4e-3, 2e-3
SHORT_BATCHES, SHORT_EXAMPLES = 30, 40
LEVELS = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SHORT_LEVELS = (0.4, 0.8)
SCOPE_NAMES = {"class-blind": "global", "class-uniform": "class-uniform",
               "class-distribution": "class-distribution"}  # fmt: skip
GRADUAL = 0.8
GRADUAL_END = 0.5
"""Part of the training at which the last mask is chosen."""
PROCESSORS = 8
BALANCED = 0.9
CALLS = 200


class Language:
    """The task, short or whole, and the dense network that every comparison begins with."""

    def __init__(self, short: bool, folder: Path, watcher: Watcher) -> None:
        self.watcher = watcher
        self.short = short
        whole = zoo.resolve_task("ptb")
        self.task: Task = (
            Shortened(whole, train_batches=SHORT_BATCHES, validation_examples=SHORT_EXAMPLES)
            if short
            else whole
        )
        self.fabric = make_fabric("cpu", threads=1)
        self.dense = self._trained(folder / "dense.safetensors")

    def _trained(self, path: Path) -> nn.Module:
        fresh = partial(zoo.resolve_model, "ptb-lstm")

        def trained() -> nn.Module:
            torch.manual_seed(0)
            model = fresh()
            self.train(model, EPOCHS, RATE, "constant")
            return model

        return once(path, fresh, trained)

    def train(
        self, model: nn.Module, epochs: int, rate: float, schedule: str,
        callbacks: list[Callback] | None = None,
    ) -> None:  # fmt: skip
        """Some epochs of Adam; one where the short form is asked for."""
        fit(
            model, self.task, epochs=1 if self.short else epochs, learning_rate=rate,
            schedule=schedule, fabric=self.fabric, callbacks=callbacks or [],
            on_progress=self.watcher.on_progress,
        )  # fmt: skip

    def perplexity(self, model: nn.Module) -> float:
        """On the test split; on some of the validation split in the short form."""
        return evaluate(model, self.task, "validation" if self.short else "test", self.fabric)

    def pruned(self, steps: Mapping[str, Step]) -> nn.Module:
        """A copy of the dense network with these steps."""
        model = copy.deepcopy(self.dense)
        represent_layers(model, steps)
        return model


def class_scopes(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """One shot, no retraining: over what the smallest weights are counted."""
    language = Language(short, folder, watcher)
    levels = SHORT_LEVELS if short else LEVELS
    scores = Magnitude().scores(language.dense)
    found: dict[str, list[float]] = {}
    for name, scope in SCOPE_NAMES.items():
        found[name] = [
            language.perplexity(language.pruned(SCOPES[scope].steps(language.dense, scores, level)))
            for level in levels
        ]
    dense = language.perplexity(language.dense)
    rows = []
    for place, level in enumerate(levels):
        blind, *others = (found[name][place] for name in SCOPE_NAMES)
        goal = 0.4 <= level <= 0.8 and not short
        rows.append(
            Row(
                f"{level:.0%} zeros: class-blind is no worse than the other two",
                "class-blind best" if goal else "",
                "≤ both" if goal else "",
                f"{blind:.1f} against {' and '.join(f'{other:.1f}' for other in others)}",
                blind <= min(others) if goal else None,
            )
        )
    header = [f"dense {dense:.1f}", *(f"{level:.0%} zeros" for level in levels)]
    lines = [[name, *(f"{value:.1f}" for value in values)] for name, values in found.items()]
    return Findings(rows, [Table("Perplexity, one shot, no retraining", header, lines)])


def agp(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """Gradual pruning against as many more epochs of the dense network."""
    language = Language(short, folder, watcher)
    names = list(weights(language.dense))

    def trained(label: str, make: Callable[[], nn.Module], callbacks: list[Callback]) -> nn.Module:
        def train() -> nn.Module:
            model = make()
            language.train(model, GRADUAL_EPOCHS, RATE, "cosine", callbacks)
            return model

        return once(folder / f"{label}.safetensors", partial(zoo.resolve_model, "ptb-lstm"), train)

    gradual = Gradual(
        dict.fromkeys(names, GRADUAL), end=GRADUAL_END, frequency=10 if short else 100,
        scope="global",
    )  # fmt: skip
    masked = {name: Prune(0.0) for name in names}
    dense = trained("dense-longer", partial(copy.deepcopy, language.dense), [])
    model = trained("gradual", partial(language.pruned, masked), [gradual])
    values = [language.perplexity(network) for network in (dense, model)]
    zeros = sum(int((weight == 0).sum()) for weight in weights(model).values())
    wanted = round(GRADUAL * sum(weight.numel() for weight in weights(model).values()))
    change = 100 * (values[1] / values[0] - 1)
    sizes = [_bytes(network) for network in (dense, model)]
    rows = [
        Row(
            f"AGP, {GRADUAL:.0%}: zeros", "", "exact", f"{zeros:,} of {wanted:,}", zeros == wanted
        ),
        Row(
            f"AGP, {GRADUAL:.0%}: perplexity against the dense network, equal epochs",
            "−1.2 % (1,500 units)", "" if short else "≤ +2 %",
            f"{values[1]:.1f} against {values[0]:.1f} ({change:+.1f} %)",
            None if short else change <= 2,
        ),
        Row(
            f"AGP, {GRADUAL:.0%}: bytes of the file", "", "fewer than dense",
            f"{sizes[0]:,} → {sizes[1]:,}", sizes[1] < sizes[0],
        ),
    ]  # fmt: skip
    return Findings(rows)


def load_balance(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """As many zeros in each processor's rows, or anywhere: perplexity, and time in the runtime."""
    language = Language(short, folder, watcher)
    names = list(weights(language.dense))
    sides: dict[str, Callable[[], Step]] = {
        "balanced": partial(PruneBalanced, BALANCED, PROCESSORS),
        "anywhere": partial(Prune, BALANCED),
    }
    models = {}
    for side, make in sides.items():
        models[side] = language.pruned({name: make() for name in names})
        language.train(models[side], 1, BALANCED_RATE, "cosine")
    value = {side: language.perplexity(model) for side, model in models.items()}
    spread = {side: most_uneven(model) for side, model in models.items()}
    change = 100 * (value["balanced"] / value["anywhere"] - 1)
    times = times_ms({side: _bytes_of(model) for side, model in models.items()})
    rows = [
        Row(
            f"non-zeros of {PROCESSORS} processors differ, balanced", "", "≤ 1",
            f"{spread['balanced']} (anywhere: {spread['anywhere']:,})", spread["balanced"] <= 1,
        ),
        Row(
            "perplexity of balanced against anywhere", "no loss", "" if short else "≤ +1 %",
            f"{value['balanced']:.1f} against {value['anywhere']:.1f} ({change:+.1f} %)",
            None if short else change <= 1,
        ),
        Row(
            "time of 35 words in the runtime, one thread, median", "", "",
            f"{times['balanced']:.2f} ms against {times['anywhere']:.2f} ms", None,
        ),
    ]  # fmt: skip
    return Findings(rows)


def most_uneven(model: nn.Module) -> int:
    """The largest difference between processors' non-zeros, over the weights of a model."""
    worst = 0
    for weight in weights(model).values():
        counts = [int((weight[own::PROCESSORS] != 0).sum()) for own in range(PROCESSORS)]
        sizes = {weight[own::PROCESSORS].numel() for own in range(PROCESSORS)}
        if len(sizes) == 1:
            worst = max(worst, max(counts) - min(counts))
    return worst


def times_ms(files: Mapping[str, bytes]) -> dict[str, float]:
    """Median milliseconds of each file, called in turns."""
    tokens = torch.arange(35).reshape(1, 35).numpy()
    calls = {}
    for side, data in files.items():
        session = load(data, threads=1)
        calls[side] = partial(session, **{session.inputs[0].name: tokens})
    found = in_turns(calls, "laconic.runtime", count=CALLS)
    return {side: one.median_ms for side, one in found.items()}


def _bytes_of(model: nn.Module) -> bytes:
    return pack_model_bytes(model, example_input=torch.zeros(1, 35, dtype=torch.int64))


def _bytes(model: nn.Module) -> int:
    return len(_bytes_of(model))


CLASS_SCOPES = Study(
    "class-scopes",
    "One-shot pruning of an LSTM language model over all weights, in classes, by deviation",
    20,
    class_scopes,
)
AGP_LSTM = Study(
    "agp-lstm",
    "Gradual pruning of an LSTM language model to 80 % zeros over all weights, equal epochs",
    60,
    agp,
)
LOAD_BALANCE = Study(
    "load-balance",
    "Zeros balanced over processors or anywhere: perplexity and time of an LSTM",
    25,
    load_balance,
)
