"""A later stage may not give a weight more values than an earlier one left it."""

import pytest
import torch
from torch import nn

from laconic.errors import StageError
from laconic.prune import Prune
from laconic.quantize import Affine, Uniform
from laconic.recipe import guard
from laconic.represent import represent
from laconic.share import Share


def stages(*steps):
    """A network on which each step was a stage, and what the guard remembers before the last."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 32))
    before = None
    for step in steps:
        before = guard.snapshot(network)
        represent(network[0], step)
    return network, before


FINER = {
    "more bits": ([Uniform, 3], [Uniform, 8], "Uniform(bits=3, axis=None, clip='none')", 8, 256),
    "a scale for each channel": (
        [Uniform, 3],
        [Uniform, 3, 0],
        "axis=None, clip='none')",
        8,
        8 * 32,
    ),
    "more centroids": ([Share, 2], [Share, 4], "Share(bits=2, start='linear')", 4, 16),
}


@pytest.mark.parametrize(
    ("first", "second", "grid", "had", "has"), FINER.values(), ids=FINER.keys()
)
def test_a_finer_grid_in_place_of_a_coarser_one_is_refused(first, second, grid, had, has):
    network, before = stages(first[0](*first[1:]), second[0](*second[1:]))
    with torch.no_grad():
        network[0].bias += 1  # four centroids are a codebook of four again: let something change
    with pytest.raises(StageError) as caught:
        guard.check(before, network, "stage 2 (finer)")
    message = str(caught.value)
    assert message.startswith("stage 2 (finer) undid an earlier stage: ")
    assert f"{grid} let 0.weight take {had} values, now {second[0].__name__}(" in message
    assert f"lets it take {has}; ask for as few or fewer" in message


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((Uniform(8), Uniform(3)), id="fewer bits"),
        pytest.param((Uniform(3), Affine(8)), id="a finer grid after a coarser one that stays"),
        pytest.param((Share(2), Uniform(8)), id="centroids on a grid"),
        pytest.param((Uniform(3), Prune(0.5)), id="pruning on a grid"),
        pytest.param((Prune(0.5), Share(3)), id="the first grid"),
    ],
)
def test_a_stage_that_leaves_a_weight_no_more_values_passes(steps):
    network, before = stages(*steps)
    guard.check(before, network, "stage 2")
