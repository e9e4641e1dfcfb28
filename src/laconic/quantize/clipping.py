"""Where a linear grid ends: a range narrower than the values has finer steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.quantize.aciq import gauss_reach, laplace_reach

Ends = tuple[Tensor, Tensor]
"""Low and high of each channel, ``[channels]``."""


class LinearRange(Protocol):
    """What clipping must know of a grid; `Uniform`, `UniformFull` and `Affine` are such, unfitted.

    Examples:
        >>> from laconic.quantize import Affine
        >>> Affine(bits=8).steps, Affine(bits=8).is_symmetric
        (255, False)
    """

    @property
    def is_symmetric(self) -> bool:
        """Whether a range reaches as far below zero as above."""
        ...

    @property
    def steps(self) -> int:
        """Equal steps from the lowest code to the highest."""
        ...

    def ranges(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scale, lowest and highest code for values from `low` ≤ 0 to `high` ≥ 0."""
        ...


@dataclass(frozen=True)
class Clip:
    """A rule for the ends, and its figure where it has one."""

    ends: Callable[[Tensor, LinearRange, float], Ends]
    """Values ``[channels, rows, n]`` in float64, grid and figure → ends, not cut to the values."""
    figure: float | None = None
    """By default; None: the rule has no figure."""


def clip_ends(clip: str, values: Tensor, grid: LinearRange) -> Ends:
    """Low ≤ 0 and high ≥ 0 of each channel: where its grid shall end.

    What is exactly 0 has a code of its own and no error, so that statistics leave it out: pruned
    weights, and what a ReLU cut off. Values of one sign, on a grid that is not symmetric, count as
    half of a distribution about 0. No end lies beyond the values; a channel of zeros, or an empty
    one, ends at 0 on both sides.

    Args:
        clip: a key of `CLIPS`, with its figure behind a colon where it has one: ``"sigma:2.5"``.
        values: finite, ``[channels, n]``, or ``[channels, rows, n]`` where ``"average"`` shall
            take the mean over rows: the output channels of a weight that has one scale, the
            examples of a batch of activations.
        grid: unfitted; its number of steps counts, and whether it is symmetric.

    Raises:
        UsageError: no such clip, or a figure that cannot be.

    Examples:
        >>> from laconic.quantize import Affine
        >>> values = torch.tensor([[-4.0, -1.0, 1.0, 2.0]])
        >>> clip_ends("none", values, Affine(bits=8))
        (tensor([-4.]), tensor([2.]))
        >>> clip_ends("sigma:1", values, Affine(bits=8))
        (tensor([-2.7913]), tensor([1.7913]))
    """
    name, figure = parse_clip(clip)
    values = values if values.ndim == 3 else values[:, None]
    return _bounded(name, values, grid, figure)


def parse_clip(clip: str) -> tuple[str, float]:
    """The name of a rule and its figure, 0 where it has none.

    Raises:
        UsageError: no such rule, or a figure that it cannot have.

    Examples:
        >>> parse_clip("percentile"), parse_clip("sigma:2.5")
        (('percentile', 99.9), ('sigma', 2.5))
    """
    name, colon, text = clip.partition(":")
    if name not in CLIPS:
        raise UsageError(f"no clip is named {name!r}; there are: {', '.join(CLIPS)}")
    default = CLIPS[name].figure
    if not colon:
        return name, default or 0.0
    if default is None:
        raise UsageError(f"clip {clip!r}: {name} has no figure; write {name!r}")
    try:
        figure = float(text)
    except ValueError:
        figure = math.nan
    if not 0 < figure < math.inf or (name == "percentile" and figure > 100):
        most = " up to 100" if name == "percentile" else ""
        raise UsageError(
            f"clip {clip!r}: {text!r} is not a positive number{most}; write '{name}:{default:g}', "
            "say"
        )
    return name, figure


def _bounded(name: str, values: Tensor, grid: LinearRange, figure: float) -> Ends:
    """The rule's ends, cut to the values and widened to 0."""
    flat = values.flatten(1).float()
    # The range must include 0, or zero would have no code.
    bounded = torch.cat([flat, flat.new_zeros(len(flat), 1)], 1)
    least, most = bounded.amin(1), bounded.amax(1)
    if name == "none":
        return least, most
    low, high = CLIPS[name].ends(values.double(), grid, figure)
    if grid.is_symmetric:
        # The side that has no values may be the longer one: a mean beyond 0 is no reason.
        reach = torch.minimum(torch.maximum(-low, high), torch.maximum(-least, most).double())
        return -reach.float(), reach.float()
    zero = torch.zeros_like(least)
    return (
        torch.minimum(torch.maximum(low.float(), least), zero),
        torch.maximum(torch.minimum(high.float(), most), zero),
    )


def extremes(values: Tensor, grid: LinearRange, figure: float) -> Ends:
    """The smallest and the largest value; 0 is always inside."""
    flat = values.flatten(1)
    bounded = torch.cat([flat, flat.new_zeros(len(flat), 1)], 1)
    return bounded.amin(1), bounded.amax(1)


def average(values: Tensor, grid: LinearRange, figure: float) -> Ends:
    """The mean over rows of their smallest values, and of their largest.

    As Distiller's AVG, whose rows are the first dimension: of weights the output channels, of
    activations the examples.
    """
    if not values.numel():
        return extremes(values, grid, figure)
    return values.amin(2).mean(1), values.amax(2).mean(1)


def deviations(values: Tensor, grid: LinearRange, figure: float) -> Ends:
    """``mean ± N σ`` (Distiller's N_STD; its σ divides by n − 1, this one by n)."""
    mean = _mean(values)
    reach = figure * _mean((values.flatten(1) - mean[:, None]).square(), _present(values)).sqrt()
    return mean - reach, mean + reach


def aciq_gauss(values: Tensor, grid: LinearRange, figure: float) -> Ends:
    """The optimum of ACIQ for a normal distribution (Banner et al., arXiv:1810.05723)."""
    centre, away = _centred(values, grid)
    deviation = _mean(away.square(), _present(values)).sqrt()
    reach = _factor(gauss_reach, values, grid) * deviation
    return centre - reach, centre + reach


def aciq_laplace(values: Tensor, grid: LinearRange, figure: float) -> Ends:
    """The optimum of ACIQ for a Laplace distribution (Banner et al., arXiv:1810.05723)."""
    centre, away = _centred(values, grid)
    reach = _factor(laplace_reach, values, grid) * _mean(away.abs(), _present(values))
    return centre - reach, centre + reach


def percentile(values: Tensor, grid: LinearRange, figure: float) -> Ends:
    """So many percent of the values stay inside: of magnitudes, or as many on both sides.

    The nearest rank: of ``|w|`` for symmetric grids and values of one sign (arXiv:2004.09602,
    section 4.1); else what goes is dealt out to both sides in equal parts.
    """
    flat, present = values.flatten(1), _present(values)
    kept = present.sum(1)
    if not flat.shape[1]:
        return extremes(values, grid, figure)
    magnitudes = flat.abs().sort(1).values  # zeros stand first
    rank = flat.shape[1] - kept + (figure / 100 * kept).ceil().long() - 1
    reach = magnitudes.gather(1, rank.clamp(0, flat.shape[1] - 1)[:, None])[:, 0]
    ordered = flat.masked_fill(~present, torch.inf).sort(1).values
    beyond = ((100 - figure) / 200 * kept).floor().long()
    last = (kept - 1).clamp(min=0)
    ends = [ordered.gather(1, i[:, None])[:, 0] for i in (beyond.clamp(max=last), last - beyond)]
    about_zero = _one_sided(values) | grid.is_symmetric | (kept == 0)
    return torch.where(about_zero, -reach, ends[0]), torch.where(about_zero, reach, ends[1])


def smallest_error(values: Tensor, grid: LinearRange, figure: float) -> Ends:
    """The smallest mean square error of all that is tried, for each channel.

    Tried are the other rules, both ends drawn in together (to 1/64, evenly in the logarithm), and
    near the best of these finer factors, for each end alone where the grid is not symmetric.
    """
    flat = values.flatten(1)
    peak = flat.abs().amax(1).clamp(min=1e-300) if flat.shape[1] else flat.new_ones(len(flat))
    scaled = (flat / peak[:, None]).float()  # squares of 1e30 are beyond float32
    low, high = (end / peak for end in extremes(values, grid, figure))
    error = squared_error(scaled, low, high, grid)
    candidates = [
        tuple(end.double() / peak for end in _bounded(name, values, grid, clip.figure or 0.0))
        for name, clip in CLIPS.items()
        if clip.ends not in (extremes, smallest_error)
    ]
    candidates += [(low * factor, high * factor) for factor in COARSE]
    best = low, high, error
    for low, high in candidates:
        best = _better(scaled, best, low, high, grid)
    for step in FINE:
        for low, high in _near(best[0], best[1], step, both=grid.is_symmetric):
            best = _better(scaled, best, low, high, grid)
    return best[0] * peak, best[1] * peak


COARSE = [64.0 ** -(i / 24) for i in range(1, 25)]
FINE = (math.log(64) / 24, math.log(64) / 120)
"""Half-widths, in the logarithm, of what is searched round the best: a step of what was before."""


def _near(low: Tensor, high: Tensor, width: float, *, both: bool) -> Iterator[Ends]:
    for i in (-4, -3, -2, -1, 1, 2, 3, 4):
        factor = math.exp(i * width / 5)
        yield low * factor, high * factor
        if not both:
            yield low * factor, high
            yield low, high * factor


def _better(
    scaled: Tensor,
    best: tuple[Tensor, Tensor, Tensor],
    low: Tensor,
    high: Tensor,
    grid: LinearRange,
) -> tuple[Tensor, Tensor, Tensor]:
    """The best so far, or these ends where their error is smaller."""
    low, high = low.clamp(min=-1), high.clamp(max=1)
    error = squared_error(scaled, low, high, grid)
    wins = error < best[2]
    return (
        torch.where(wins, low, best[0]),
        torch.where(wins, high, best[1]),
        torch.where(wins, error, best[2]),
    )


def squared_error(values: Tensor, low: Tensor, high: Tensor, grid: LinearRange) -> Tensor:
    """``Σ (w − value(w))²`` of each channel on the grid with these ends.

    Args:
        values: ``[channels, n]``, so small that squares are finite.
        low: ``[channels]``, at most 0.
        high: at least 0.
        grid: whose ranges they are.
    """
    scale, lowest, highest = (table[:, None] for table in grid.ranges(low.float(), high.float()))
    scale = torch.where(scale > 0, scale, 1.0)
    nearest = torch.clamp(torch.round(values / scale), lowest, highest) * scale
    return (nearest - values).square().sum(1, dtype=torch.float64)


CLIPS: dict[str, Clip] = {
    "none": Clip(extremes),
    "average": Clip(average),
    "sigma": Clip(deviations, 3.0),
    "aciq-gauss": Clip(aciq_gauss),
    "aciq-laplace": Clip(aciq_laplace),
    "percentile": Clip(percentile, 99.9),
    "mse": Clip(smallest_error),
}
"""Name → where a grid ends; see `clip_ends`."""


def _factor(reach: Callable[[int], float], values: Tensor, grid: LinearRange) -> Tensor:
    """For each channel: half a distribution has twice the steps that its mirror image would."""
    whole, half = reach(grid.steps), reach(2 * grid.steps)
    one = _one_sided(values) & (not grid.is_symmetric)
    return torch.where(one, half, whole).double()


def _centred(values: Tensor, grid: LinearRange) -> tuple[Tensor, Tensor]:
    """The middle of each channel's distribution, and how far values are from it, ``[c, n]``."""
    middle = _mean(values)
    middle = torch.where(_one_sided(values) | grid.is_symmetric, 0.0, middle)
    return middle, values.flatten(1) - middle[:, None]


def _present(values: Tensor) -> Tensor:
    return values.flatten(1) != 0


def _mean(values: Tensor, present: Tensor | None = None) -> Tensor:
    """Of what is not zero, for each channel; 0 where there is nothing."""
    flat = values.flatten(1)
    present = flat != 0 if present is None else present
    return (flat * present).sum(1) / present.sum(1).clamp(min=1)


def _one_sided(values: Tensor) -> Tensor:
    flat = values.flatten(1)
    return (flat >= 0).all(1) | (flat <= 0).all(1)
