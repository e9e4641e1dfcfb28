"""Weights and what masks leave of them."""

import torch


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def masked(step, weight):
    """The weight under a mask that was chosen from it."""
    step.fit(weight)
    return step(weight)
