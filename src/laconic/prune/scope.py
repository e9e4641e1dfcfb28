"""Over what a sparsity is counted: each layer or class by itself, or all of them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from laconic.errors import PatternError, UsageError
from laconic.prune.classes import Classes, Part, weight_classes
from laconic.prune.magnitude import Prune, check_sparsity, smallest
from laconic.represent import weights

Rule = Callable[[Mapping[str, Tensor], float], dict[str, Tensor]]
"""Scores of each class ``[n]`` (-inf: zero already) and a sparsity → which are kept, ``[n]``."""


def each(scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Every class loses the same fraction, ``round(sparsity · n)`` of its weights.

    Raises:
        UsageError: a whole class would become zero; the message names it.
    """
    zeros = {}
    for name, own in scores.items():
        zeros[name] = smallest(own, round(sparsity * len(own)))
        _check_left(name, own, zeros[name], f"at {sparsity:g}")
    return {name: ~own for name, own in zeros.items()}


def together(scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """The lowest of all go, whatever their class; of equal scores the earlier class goes first.

    The total is exactly ``round(sparsity · n)``.

    Raises:
        UsageError: a whole class would become zero; the message names it.
    """
    everything = torch.cat(list(scores.values()))
    mask = smallest(everything, round(sparsity * len(everything)))
    pieces = torch.split(mask, [len(own) for own in scores.values()])
    zeros = dict(zip(scores, pieces, strict=True))
    for name, own in scores.items():
        _check_left(name, own, zeros[name], f"at {sparsity:g} over all together")
    return {name: ~own for name, own in zeros.items()}


def in_deviations(scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """What is below λ·σ of its class goes; λ is such that the total is ``round(sparsity · n)``.

    σ is the deviation of the class about zero, the root of the mean square of its scores: for
    magnitudes the standard deviation of weights whose mean is 0 (of scores nothing else can be
    known). The exact λ is any number between the largest ratio to σ that goes and the smallest
    that stays, so this is `together` on those ratios.

    Raises:
        UsageError: a whole class would become zero; the message names it.
    """
    return together({name: own / _deviation(own) for name, own in scores.items()}, sparsity)


def _deviation(scores: Tensor) -> float:
    present = scores[scores > -torch.inf]
    if not bool((present != 0).any()):
        return 1.0
    return float((present.square().sum() / len(scores)).sqrt())


def _check_left(name: str, scores: Tensor, zeros: Tensor, asked: str) -> None:
    if bool(zeros.all()) and bool((scores > -torch.inf).any()):
        raise UsageError(
            f"{name}: {asked}, all its {len(scores)} weights would be zero; ask for less, or leave "
            "this layer out"
        )


@dataclass(frozen=True)
class Scope:
    """A rule, and whether it counts over classes (`weight_classes`) or over whole weights."""

    rule: Rule
    by_class: bool = False

    def masks(
        self, model: nn.Module, scores: Mapping[str, Tensor], sparsity: float
    ) -> dict[str, Tensor]:
        """Which weights stay.

        Args:
            model: whose weights are scored.
            scores: weight name → scores in its shape; the lowest go first, and before them what
                is zero already.
            sparsity: fraction of zeros, in [0, 1).

        Returns:
            Weight name → True where it stays, in its shape.

        Raises:
            PatternError: the model has no weight of a name.
            UsageError: no weight at all, scores of another shape, or NaN among them; a whole
                class would become zero.
        """
        check_sparsity(sparsity)
        ready = _ready(model, scores)
        if self.by_class:
            classes = weight_classes(model, list(ready))
        else:
            classes = {name: [Part(name)] for name in ready}
        kept = self.rule(_gathered(classes, ready), sparsity)
        masks = {name: torch.empty_like(own, dtype=torch.bool) for name, own in ready.items()}
        for name, parts in classes.items():
            views = [part.of(masks[part.weight]) for part in parts]
            pieces = torch.split(kept[name], [view.numel() for view in views])
            for view, piece in zip(views, pieces, strict=True):
                view.copy_(piece.reshape(view.shape))
        return masks

    def steps(
        self, model: nn.Module, scores: Mapping[str, Tensor], sparsity: float
    ) -> dict[str, Prune]:
        """A `Prune` for each weight, for `represent_layers`, that will choose these masks.

        Arguments and errors are those of `masks`.
        """
        return {
            name: Prune(_share(kept, sparsity)).by(kept.float())
            for name, kept in self.masks(model, scores, sparsity).items()
        }


def _ready(model: nn.Module, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The scores in float64, -inf where the weight is zero."""
    if not scores:
        raise UsageError("no weights were given; a sparsity needs at least one layer")
    present, ready = weights(model), {}
    for name, own in scores.items():
        if name not in present:
            raise PatternError(name, present)
        if own.shape != present[name].shape:
            shapes = f"{list(own.shape)}, the weight {list(present[name].shape)}"
            raise UsageError(f"{name}: the scores have the shape {shapes}")
        if bad := int(torch.isnan(own).sum()):
            raise UsageError(f"{name}: {bad} of {own.numel()} scores are NaN")
        # On one device, so that layers that live on several can be compared.
        lowest = (present[name] == 0).cpu()
        ready[name] = own.detach().double().cpu().masked_fill(lowest, -torch.inf)
    return ready


def _gathered(classes: Classes, ready: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: torch.cat([part.of(ready[part.weight]).flatten() for part in parts])
        for name, parts in classes.items()
    }


def _share(kept: Tensor, sparsity: float) -> float:
    """The sparsity of one weight: what was asked for where that gives the same zeros.

    A weight that is all zero already needs none; 1 is no sparsity.
    """
    zeros = kept.numel() - int(kept.sum())
    if zeros == round(sparsity * kept.numel()):
        return sparsity
    return zeros / kept.numel() if zeros < kept.numel() else 0.0


SCOPES: dict[str, Scope] = {
    "layer": Scope(each),
    "global": Scope(together),
    "class-uniform": Scope(each, by_class=True),
    "class-distribution": Scope(in_deviations, by_class=True),
}
"""Name in a recipe → scope. ``global`` is the class-blind scheme of arXiv:1606.09274."""
