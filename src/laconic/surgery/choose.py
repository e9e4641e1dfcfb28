"""Which units go: the lowest scores of each group, or of all groups together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from laconic.errors import PatternError, UnsupportedError, UsageError
from laconic.represent import matches_layer
from laconic.surgery.groups import Group, Groups

Units = dict[str, list[int]]
"""Group name → indices of units."""


def unit_scores(groups: Groups, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The score of each unit: the sum of its rows' scores over the weights that make it.

    Args:
        groups: of the network.
        scores: weight name → a score for each row (output channel), as saliencies of channels
            give them; weights that are missing count nothing.

    Returns:
        Group name → ``[units]``, for groups of which at least one weight has scores.

    Raises:
        UnsupportedError: a weight with scores keeps its outputs in another dimension than rows.
    """
    found = {}
    for name, group in groups.items():
        units = torch.tensor(group.units)
        total = torch.zeros(group.size, dtype=torch.float64)
        scored = False
        for part in group.slices:
            if not part.makes or part.tensor not in scores:
                continue
            if part.dim != 0:
                raise UnsupportedError(
                    f"{part.tensor}: its outputs lie along dimension {part.dim}, and scores are "
                    "those of rows; leave this layer out"
                )
            scored = True
            rows = scores[part.tensor].detach().cpu().double()
            place = groups.positions(part.tensor, part.dim)[:, None] == units
            total += (rows[:, None] * place).sum(0)
        if scored:
            found[name] = total
    return found


def matching(groups: Groups, pattern: str) -> list[str]:
    """Groups that a pattern means: by their name, or by a layer whose rows make their channels.

    Raises:
        PatternError: there is none; the message lists the groups.
    """
    found = [
        name
        for name, group in groups.items()
        if matches_layer(pattern, f"{name}.weight")
        or any(matches_layer(pattern, part.tensor) for part in group.slices if part.makes)
    ]
    if not found:
        raise PatternError(pattern, groups)
    return found


def lowest_of_each(
    scores: Mapping[str, Tensor], fractions: Mapping[str, float], round_to: int = 1
) -> Units:
    """The lowest scores of each group, a fraction of it; ties by lower index.

    Args:
        scores: group name → ``[units]``.
        fractions: group name → fraction that goes, in [0, 1).
        round_to: what stays of each group is a multiple of it, the one nearest to what was asked.

    Raises:
        UsageError: a fraction outside [0, 1), nothing would stay, or no multiple is possible.

    Examples:
        >>> lowest_of_each({"conv1": torch.tensor([3.0, 1.0, 2.0, 4.0])}, {"conv1": 0.5})
        {'conv1': [1, 2]}
    """
    units = {}
    for name, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise UsageError(f"{name}: the fraction {fraction:g} is outside [0, 1)")
        own = scores[name]
        stay = stays(name, len(own), fraction, round_to)
        order = torch.argsort(own, stable=True)
        units[name] = sorted(order[: len(own) - stay].tolist())
    return units


def stays(name: str, size: int, fraction: float, round_to: int) -> int:
    """How many units of a group stay.

    Raises:
        UsageError: none would, or no multiple of `round_to` is possible.
    """
    if round_to < 1:
        raise UsageError(f"round_to is {round_to}; 1 or more is needed")
    wanted = size - round(fraction * size)
    if wanted == 0:
        raise UsageError(
            f"{name}: a fraction {fraction:g} of {size} units is all of them; leave at least one"
        )
    nearest = (2 * wanted + round_to) // (2 * round_to)  # of two equally near the larger
    stay = min(max(1, nearest), size // round_to) * round_to
    if stay == 0:
        raise UsageError(f"{name}: no multiple of {round_to} fits into its {size} units")
    return stay


def outliers_of_each(
    scores: Mapping[str, Tensor], deviations: float = 1.0, round_to: int = 1
) -> Units:
    """What scores below its group's mean by more than so many standard deviations.

    Hu, Peng, Tai, Tang, "Network Trimming", arXiv:1607.03250, section 3.2: neurons go whose APoZ is
    above its layer's mean by more than one.

    Args:
        scores: group name → ``[units]``.
        deviations: 0 or more, so that never a whole group goes.
        round_to: what stays of each group is rounded up to a multiple of it, or down where there
            are not so many units, be they below or not.

    Returns:
        Groups that lose units, and which.

    Raises:
        UsageError: `deviations` is negative, `round_to` below 1, or a group smaller than it.

    Examples:
        >>> outliers_of_each({"fc1": torch.tensor([5.0, 4.0, 0.0, 5.0, 6.0])})
        {'fc1': [2]}
    """
    check_deviations(deviations, round_to)
    units = {}
    for name, given in scores.items():
        own = given.double()
        mean = own.mean().clamp(own.min(), own.max())  # of equal ones it may round up otherwise
        below = int((own < mean - deviations * own.std(correction=0)).sum())
        stay = _rounded_up(name, len(own), len(own) - below, round_to)
        if stay < len(own):
            units[name] = sorted(torch.argsort(own, stable=True)[: len(own) - stay].tolist())
    return units


def _rounded_up(name: str, size: int, stay: int, round_to: int) -> int:
    """The next multiple of `round_to` from `stay` on, or the largest that the group has.

    Raises:
        UsageError: it has none.
    """
    if size < round_to:
        raise UsageError(f"{name}: no multiple of {round_to} fits into its {size} units")
    return min(max(1, -(-stay // round_to)), size // round_to) * round_to


def check_deviations(deviations: float, round_to: int) -> None:
    """Raise what `outliers_of_each` would raise of these arguments."""
    if not deviations >= 0:
        raise UsageError(f"deviations is {deviations:g}; 0 or more is needed")
    if round_to < 1:
        raise UsageError(f"round_to is {round_to}; 1 or more is needed")


def lowest_of_all(
    groups: Mapping[str, Group], scores: Mapping[str, Tensor], fraction: float, round_to: int = 1
) -> Units:
    """The lowest scores of all groups together; every group keeps at least `round_to` units.

    Scores are divided by their group's root mean square, so that layers compare. What stays of
    each group is then rounded up to a multiple of `round_to`, or down where there are not so many.

    Raises:
        UsageError: a fraction outside [0, 1), or a group smaller than `round_to`.
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"the fraction {fraction:g} is outside [0, 1)")
    scaled = {
        name: own / own.square().mean().sqrt().clamp_min(torch.finfo(torch.float64).tiny)
        for name, own in scores.items()
    }
    flat = torch.cat(list(scaled.values()))
    order = torch.argsort(flat, stable=True)
    gone = torch.zeros(len(flat), dtype=torch.bool)
    gone[order[: round(fraction * len(flat))]] = True
    units, start = {}, 0
    for name, own in scaled.items():
        size = len(own)
        stay = size - int(gone[start : start + size].sum())
        stay = _rounded_up(name, size, stay, round_to)
        units[name] = sorted(torch.argsort(own, stable=True)[: size - stay].tolist())
        start += size
    return {name: chosen for name, chosen in units.items() if chosen}
