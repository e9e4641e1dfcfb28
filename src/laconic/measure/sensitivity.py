"""How much each layer can lose: a metric against the sparsity of one layer at a time."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from laconic.container.atomic import write_bytes
from laconic.errors import DataError, UsageError
from laconic.measure.records import checked


@dataclass(frozen=True)
class Point:
    """The metric with one layer pruned to one level, everything else untouched."""

    layer: str
    """A weight's name, or a group's."""
    level: float
    """Fraction of zeros, or of filters that are gone."""
    metric: float


@dataclass(frozen=True)
class Sensitivity:
    """What was measured, on the validation split; `points` may be incomplete."""

    identity: dict[str, Any]
    """Model, task, kind (``"weights"`` or ``"filters"``), saliency, levels, examples."""
    metric_name: str
    higher_is_better: bool
    dense: float
    """The metric of the network as it was given."""
    layers: list[str]
    points: list[Point]

    def loss(self, point: Point) -> float:
        """By how much a point is worse than the dense network, in the metric's unit."""
        worse = self.dense - point.metric
        return worse if self.higher_is_better else -worse

    def targets(self, loss: float) -> dict[str, float]:
        """For each layer the largest level up to which it never loses more than `loss`.

        Raises:
            UsageError: no layer can lose anything within `loss`.
            DataError: the analysis is not finished.

        Examples:
            >>> points = [Point("fc1", 0.5, 1.1), Point("fc1", 0.9, 2.5)]
            >>> found = Sensitivity({}, "error_percent", False, 1.0, ["fc1"], points)
            >>> found.targets(0.5)
            {'fc1': 0.5}
        """
        found = {}
        for layer in self.layers:
            own = sorted((p for p in self.points if p.layer == layer), key=lambda p: p.level)
            missing = set(self.identity.get("levels", ())) - {point.level for point in own}
            if not own or missing:
                at = f" at {min(missing):g}" if own else ""
                raise DataError(f"{layer} was not measured{at} yet; let the analysis finish first")
            for point in own:
                if not self.loss(point) <= loss:  # NaN is a loss too
                    break
                found[layer] = point.level
        if not found:
            least = min(self.loss(point) for point in self.points)
            raise UsageError(
                f"no layer stays within a loss of {loss:g}: the least of them loses {least:.3g}; "
                "allow more, or measure lower levels"
            )
        return found


def write_sensitivity(path: str | os.PathLike[str], found: Sensitivity) -> None:
    """Keep it as JSON, whole or not at all."""
    write_bytes(path, (json.dumps(asdict(found), indent=1) + "\n").encode())


def read_sensitivity(path: str | os.PathLike[str]) -> Sensitivity:
    """What `write_sensitivity` wrote.

    Raises:
        DataError: there is no such file, or it is no such result.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        points = [checked(Point(**point)) for point in data["points"]]
        return checked(Sensitivity(**{**data, "points": points}))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; run laconic sensitivity first") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is no result of laconic sensitivity: {error!r}") from error
