"""One codebook for several weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from laconic.errors import UsageError
from laconic.share.codebook import Codebook


def plan_jointly(steps: Mapping[str, Codebook], weights: Mapping[str, Tensor]) -> None:
    """Choose one codebook for several weights; the next `fit` of each step takes its part.

    Choi, El-Khamy, Lee, arXiv:1612.01543: the weights of all layers are clustered
    together, which with importances gives more values to the layers that matter more. They train
    these values together; here each weight has its own copy, which training moves on, as a file
    stores each weight's table anyway (only the values that the weight has).

    Args:
        steps: weight name → a step that is not fitted; all alike. What `by` gave each counts.
        weights: name → the values that will be restricted.

    Raises:
        UsageError: the steps differ, importances that cannot be meant, or a weight of which
            everything would become zero, by name.

    Examples:
        >>> from laconic.share import Share
        >>> steps = {"a": Share(bits=1), "b": Share(bits=1)}
        >>> plan_jointly(steps, {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([2.0, 3.0])})
        >>> steps["a"].fit(torch.tensor([1.0, 0.0]))
        >>> steps["a"].codebook.item()
        2.0
    """
    first, *others = steps.values()
    for step in others:
        if str(step) != str(first):
            raise UsageError(f"one codebook for several weights is one step's, not {first}, {step}")
    if len({step.is_weighed for step in steps.values()}) > 1:
        raise UsageError(
            "some of the weights have importances and some have none; give all or none"
        )
    weighed = first.is_weighed
    flat = {name: weights[name].float().flatten().cpu().numpy() for name in steps}
    kept = {name: values != 0 for name, values in flat.items()}
    pooled = np.concatenate([values[kept[name]] for name, values in flat.items()])
    importances = [
        step.importances(weights[name], kept[name], name) for name, step in steps.items()
    ]
    own = np.concatenate([h for h in importances if h is not None]) if weighed else None
    if own is not None and own.size and not own.any():
        raise UsageError(f"all importances of {', '.join(steps)} are 0; leave them out")
    if not len(pooled):
        return
    places, centroids = first.cluster(pooled, own, sum(map(len, flat.values())))
    start = 0
    for name, step in steps.items():
        stop = start + int(kept[name].sum())
        part = places[start:stop]
        if part.size and not part.any():
            raise UsageError(
                f"{name}: every weight would become zero under {step} over all these layers "
                "together; leave this layer out, or ask for less"
            )
        assignments = np.zeros(kept[name].shape, np.int32)
        assignments[kept[name]] = part
        step.plan(torch.from_numpy(assignments).reshape(weights[name].shape), centroids)
        start = stop
