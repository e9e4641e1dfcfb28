"""What calibration remembers of the values that come to a quantizer: their range."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.quantize.clipping import LinearRange, clip_ends

SAMPLE = 2**14
"""About so many values of a batch does a clip look at; a layer has millions."""


class Observer(ABC):
    """Sees batches of values, and then says from where to where a grid should reach."""

    def __init__(self) -> None:
        self.batches = 0
        self.low, self.high = 0.0, 0.0

    def see(self, values: Tensor) -> None:
        """One batch of any shape.

        Raises:
            UsageError: a value is NaN or infinite.
        """
        if not values.numel():
            return
        low, high = (float(end) for end in torch.aminmax(values.detach()))
        if not (low > -torch.inf and high < torch.inf):  # NaN compares false
            bad = int((~torch.isfinite(values)).sum())
            raise UsageError(f"{bad} of {values.numel()} values are NaN or infinite")
        self._see(values.detach(), low, high)
        self.batches += 1

    @abstractmethod
    def _see(self, values: Tensor, low: float, high: float) -> None:
        """A batch without NaN, and its ends."""

    def range(self) -> tuple[float, float]:
        """The smallest and the largest value, as this observer takes them.

        Raises:
            UsageError: nothing was seen, or all values were the same.
        """
        if not self.batches:
            raise UsageError("no value came here in calibration")
        if self.low == self.high:
            raise UsageError(
                f"all values were {self.low:g} in calibration; a constant has no range: leave this "
                "layer out, or calibrate on examples that reach it"
            )
        return self.low, self.high


class MinMax(Observer):
    """The smallest and the largest value of all batches.

    Examples:
        >>> observer = MinMax()
        >>> observer.see(torch.tensor([-1.0, 2.0]))
        >>> observer.see(torch.tensor([0.0, 5.0]))
        >>> observer.range()
        (-1.0, 5.0)
    """

    def _see(self, values: Tensor, low: float, high: float) -> None:
        self.low = low if not self.batches else min(self.low, low)
        self.high = high if not self.batches else max(self.high, high)


class MovingAverage(Observer):
    """Exponential moving averages of the batches' smallest and largest values.

    Jacob et al., arXiv:1712.05877, section 3.1: "aggregates ranges via exponential moving averages
    with the smoothing parameter being close to 1". The first batch begins it.

    Args:
        decay: weight of what was; 0.9 forgets half in seven batches.
    """

    def __init__(self, decay: float = 0.9) -> None:
        super().__init__()
        self.decay = decay

    def _see(self, values: Tensor, low: float, high: float) -> None:
        kept = self.decay if self.batches else 0.0
        self.low = kept * self.low + (1 - kept) * low
        self.high = kept * self.high + (1 - kept) * high


class Clipped(Observer):
    """A range that leaves outliers out, by a rule of `laconic.quantize.clipping`.

    It looks at a sample of each batch: the same random places of each example, drawn with a fixed
    seed (evenly spaced ones would fall on one column of pixels where their distance is a multiple
    of the width).

    Args:
        clip: a key of `CLIPS`, with its figure where it has one: ``"percentile:99.99"``.
        grid: what the range is for; some rules weigh its rounding against what they clip.
    """

    def __init__(self, clip: str, grid: LinearRange) -> None:
        super().__init__()
        self.clip = clip
        self.grid = grid
        self.sample: list[Tensor] = []

    def _see(self, values: Tensor, low: float, high: float) -> None:
        self.low = low if not self.batches else min(self.low, low)
        self.high = high if not self.batches else max(self.high, high)
        rows = values.float().reshape(len(values), -1) if values.ndim else values.reshape(1, 1)
        count = max(1, SAMPLE // len(rows))
        if count < rows.shape[1]:
            drawn = torch.randperm(rows.shape[1], generator=torch.Generator().manual_seed(0))
            rows = rows[:, drawn[:count].to(rows.device)]
        self.sample.append(rows.cpu().clone())

    def range(self) -> tuple[float, float]:
        """The ends that the rule gives; see `Observer.range`."""
        super().range()
        width = min(part.shape[1] for part in self.sample)
        values = torch.cat([part[:, :width] for part in self.sample])[None]
        low, high = clip_ends(self.clip, values, self.grid)
        return float(low), float(high)
