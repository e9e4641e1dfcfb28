"""Lottery tickets on LeNet-300-100: the start that wins, and its controls (arXiv:1803.03635)."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from laconic import zoo
from laconic.prune import Draw, Prune, Supermask, settle
from laconic.recipe import Watcher
from laconic.recipe.rewind import signed_constant
from laconic.represent import represent_layers, weights
from laconic.studies.study import Findings, Row, Study, Table
from laconic.train import Task, evaluate, fit, make_fabric
from laconic.zoo.tasks import mnist

SEEDS, SHORT_SEEDS = 5, 1
EPOCHS, SHORT_EPOCHS = 4, 1
ROUNDS, SHORT_ROUNDS = (3, 7, 12, 15), (2,)
"""Rounds after which tickets are compared: 51, 21, 7 and 3.5 % of the weights stay."""
JUDGED = 7
"""The round whose tickets must win: about 20 % of the weights stay."""
PRUNED, PRUNED_OUTPUT = 0.2, 0.1
"""Part of the rest that goes in each round; of the output layer."""
TRAINING = {"optimizer": "adam", "learning_rate": 1.2e-3}
BATCH = 60
MASK_EPOCHS, SHORT_MASK_EPOCHS = 8, 1
Masks = dict[str, Tensor]
Errors = dict[str, list[float]]
"""What was trained → the test error of each seed, in percent."""


def lenet(seed: int) -> nn.Module:
    """A fresh network: Glorot's normal weights and biases of 0, as the authors' code."""
    torch.manual_seed(seed)
    model = zoo.resolve_model("lenet-300-100")
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def masked(start: nn.Module, masks: Masks) -> nn.Module:
    """A copy of a network with these masks on its weights."""
    model = copy.deepcopy(start)
    steps = {}
    for name, mask in masks.items():
        zeros = 1 - float(mask.float().mean())
        steps[name] = Prune(zeros).by(mask.float())
    represent_layers(model, steps)
    return model


def next_masks(model: nn.Module, rounds: int) -> Masks:
    """What is left when the smallest weights of each layer go once more."""
    masks = {}
    for name, weight in weights(model).items():
        part = PRUNED_OUTPUT if name == "fc3.weight" else PRUNED
        step = Prune(1 - (1 - part) ** rounds)
        step.fit(weight)
        if step.mask is not None:
            masks[name] = step.mask
    return masks


def signs(start: nn.Module) -> nn.Module:
    """The signs of a start times the deviation of its layer (arXiv:1905.01067, section 4)."""
    model = copy.deepcopy(start)
    with torch.no_grad():
        for weight in weights(model).values():
            weight.copy_(signed_constant(weight))
    return model


def one_seed(seed: int, task: Task, short: bool, tell: Callable[[str], None]) -> dict[str, float]:
    """Every network of one seed → its test error."""
    epochs = SHORT_EPOCHS if short else EPOCHS
    places = SHORT_ROUNDS if short else ROUNDS

    def trained(model: nn.Module) -> nn.Module:
        fit(model, task, epochs=epochs, seed=seed, fabric=make_fabric("cpu"), **TRAINING)  # type: ignore[arg-type]
        return model

    def error(model: nn.Module) -> float:
        return evaluate(model, task, "test", make_fabric("cpu"))

    start, other = lenet(seed), lenet(1000 + seed)
    tell("dense")
    last = trained(copy.deepcopy(start))
    found = {"dense": error(last)}
    found["large_final, same sign, untrained"] = error(_large_final(start, last))
    for rounds in range(1, places[-1] + 1):
        tell(f"round {rounds}")
        masks = next_masks(last, rounds)
        last = trained(masked(start, masks))
        if rounds in places:
            left = f"round {rounds} ({100 * _share(masks):.1f} % left)"
            found[f"ticket, {left}"] = error(last)
            found[f"new draw, {left}"] = error(trained(masked(other, masks)))
            found[f"signs alone, {left}"] = error(trained(masked(signs(start), masks)))
            same = error(masked(start, masks))
            found[f"untrained under its mask, {left}"] = same
    tell("supermask")
    found["supermask, no weight trained"] = error(
        _supermask(start, SHORT_MASK_EPOCHS if short else MASK_EPOCHS, seed)
    )
    return found


def _share(masks: Masks) -> float:
    kept = sum(int(mask.sum()) for mask in masks.values())
    return kept / sum(mask.numel() for mask in masks.values())


def _large_final(start: nn.Module, last: nn.Module) -> nn.Module:
    """The signs of the start where training ended large with the same sign; 70 % go."""
    model = signs(start)
    first, final = weights(start), weights(last)
    steps = {}
    for name, weight in final.items():
        same = weight.sign() == first[name].sign()
        share = 0.35 if name == "fc3.weight" else 0.7
        steps[name] = Prune(share).by(weight.abs() * same)
    represent_layers(model, steps)
    return model


def _supermask(start: nn.Module, epochs: int, seed: int) -> nn.Module:
    """Learned masks on a start that stands still."""
    model = copy.deepcopy(start)
    represent_layers(model, {name: Supermask() for name in weights(model)})
    for name, parameter in model.named_parameters():
        if not name.endswith("scores"):
            parameter.requires_grad_(False)
    fit(
        model, mnist(batch_size=128), epochs=epochs, learning_rate=0.2, schedule="cosine",
        seed=seed, callbacks=[Draw(seed)], fabric=make_fabric("cpu"),
    )  # fmt: skip
    settle(model, seed)
    return model


def compare(watcher: Watcher, short: bool, folder: Path) -> Findings:
    """All seeds; means and deviations, and the claims."""
    make_fabric("cpu", threads=1)
    task = mnist(batch_size=BATCH)
    seeds = SHORT_SEEDS if short else SEEDS
    places = SHORT_ROUNDS if short else ROUNDS
    total = seeds * (places[-1] + 2)
    done = 0

    def tell(what: str) -> None:
        nonlocal done
        done += 1
        if watcher.on_input:
            watcher.on_input(done, total, what)

    errors: Errors = {}
    for seed in range(seeds):
        for name, value in one_seed(seed, task, short, tell).items():
            errors.setdefault(name, []).append(value)
    return Findings(_rows(errors, short), [_table(errors)])


def spread(values: list[float]) -> str:
    """Mean ± standard deviation over the seeds."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {deviation:.2f}"


def _rows(errors: Errors, short: bool) -> list[Row]:
    """Claims of source 4 and of the papers."""
    rows = []
    for name, values in errors.items():
        if not name.startswith("ticket"):
            continue
        left = name.partition(", ")[2]
        others = errors[f"new draw, {left}"]
        judged = left.startswith(f"round {JUDGED} ")
        rows.append(
            Row(
                f"{left}: the start wins over a new draw, no overlap of the seeds",
                "yes",
                "worst ticket < best new draw" if judged else "",
                f"{spread(values)} against {spread(others)} % error",
                max(values) < min(others) if judged else None,
            )
        )
        sign = errors[f"signs alone, {left}"]
        rows.append(
            Row(
                f"{left}: the signs of the start do nearly as well",
                "yes",
                "",
                f"{spread(sign)} % error",
                None,
            )
        )
    mask, final = (
        errors["supermask, no weight trained"],
        errors["large_final, same sign, untrained"],
    )
    goals = (50.0, 60.0) if short else (5.0, 20.0)
    rows.append(
        Row("a supermask alone", "95 % right", f"≤ {goals[0]:g} % error", f"{spread(mask)} %",
            statistics.mean(mask) <= goals[0])
    )  # fmt: skip
    rows.append(
        Row("large_final, same sign, nothing trained", "over 80 % right", f"≤ {goals[1]:g} % error",
            f"{spread(final)} %", statistics.mean(final) <= goals[1])
    )  # fmt: skip
    return rows


def _table(errors: Errors) -> Table:
    lines = [
        [name, spread(values), f"{min(values):.2f}–{max(values):.2f}"]
        for name, values in errors.items()
    ]
    return Table(
        "Test error in percent, all seeds", ["network", "mean ± deviation", "range"], lines
    )


LOTTERY = Study(
    "lottery",
    "Lottery tickets, new draws, signs alone and supermasks on LeNet-300-100, 5 seeds",
    30,
    compare,
)
