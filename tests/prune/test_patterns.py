"""Patterns of 3×3 kernels."""

from itertools import combinations

import pytest
import torch
from masking import gaussian, masked
from torch import nn

from laconic.errors import UsageError
from laconic.prune import PruneBlocks, PrunePatterns
from laconic.represent import represent, represent_layers


def patterns_of(weight):
    return {tuple(kernel.nonzero().flatten().tolist()) for kernel in weight.reshape(-1, 9)}


@pytest.mark.parametrize("entries", [1, 2, 4, 8])
def test_each_kernel_keeps_as_many_entries_and_its_centre(entries):
    kernels = masked(PrunePatterns(entries=entries), gaussian(12, 8, 3, 3)).reshape(-1, 9)
    assert ((kernels != 0).sum(1) == entries).all()
    assert bool((kernels[:, 4] != 0).all())


@pytest.mark.parametrize("patterns", [1, 3, 8])
def test_a_layer_has_no_more_patterns_than_asked(patterns):
    assert len(patterns_of(masked(PrunePatterns(patterns), gaussian(12, 8, 3, 3)))) == patterns


def test_with_all_56_patterns_each_kernel_keeps_its_centre_and_its_three_largest():
    weight = gaussian(12, 8, 3, 3)
    found = masked(PrunePatterns(patterns=56), weight).reshape(-1, 9) != 0
    for kernel, kept in zip(weight.reshape(-1, 9).abs(), found, strict=True):
        others = [place for place in range(9) if place != 4]
        best = max(combinations(others, 3), key=lambda places: float(kernel[list(places)].sum()))
        assert kept.nonzero().flatten().tolist() == sorted([4, *best])


def test_a_kernel_gets_the_pattern_of_the_library_that_keeps_the_most():
    """Three kernels of one natural pattern outvote the fourth, which must choose theirs."""
    corner = torch.tensor([9.0, 8, 7, 0.1, 5, 0.2, 0.3, 0.4, 0.5])
    other = torch.tensor([0.1, 0.2, 0.3, 0.4, 5, 0.6, 7, 8, 9])
    weight = torch.stack([corner, corner, other, corner]).reshape(2, 2, 3, 3)
    result = masked(PrunePatterns(patterns=1), weight)
    assert patterns_of(result) == {(0, 1, 2, 4)}
    assert patterns_of(masked(PrunePatterns(patterns=2), weight)) == {(0, 1, 2, 4), (4, 6, 7, 8)}


def test_the_papers_squares_can_be_given_as_scores():
    """Of two patterns one keeps the larger sum, the other the larger sum of squares."""
    one = torch.tensor([9.0, 9, 9, 0, 9, 0, 0, 0, 0])
    other = torch.tensor([0.0, 0, 0, 0, 9, 0, 9, 9, 9])
    torn = torch.tensor([4.0, 4, 4, 0, 1, 0, 6.5, 2, 2])
    weight = torch.stack([one, one, other, other, torn]).reshape(5, 1, 3, 3)
    by_magnitude = masked(PrunePatterns(patterns=2), weight)[4]
    by_square = masked(PrunePatterns(patterns=2).by(weight.square()), weight)[4]
    assert by_magnitude.flatten().nonzero().flatten().tolist() == [0, 1, 2, 4]
    assert by_square.flatten().nonzero().flatten().tolist() == [4, 6, 7, 8]


def test_kernels_that_are_gone_already_stay_so_and_have_no_vote():
    layer = nn.Conv2d(8, 8, 3)
    represent(layer, PruneBlocks(0.5, 1, 9))
    gone = (layer.weight == 0).flatten(2).all(2)
    represent(layer, PrunePatterns())
    counts = (layer.weight != 0).flatten(2).sum(2)
    assert counts[gone].unique().tolist() == [0]
    assert counts[~gone].unique().tolist() == [4]


def test_a_kernel_of_zeros_does_not_outvote_the_others():
    corner = torch.tensor([9.0, 8, 7, 0.1, 5, 0.2, 0.3, 0.4, 0.5])
    weight = torch.stack([torch.zeros(9)] * 3 + [corner]).reshape(4, 1, 3, 3)
    assert patterns_of(masked(PrunePatterns(patterns=1), weight)) == {(), (0, 1, 2, 4)}


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 4, 5), nn.Linear(3, 3), nn.Conv1d(2, 2, 3)])
def test_a_layer_without_3x3_kernels_is_refused_by_name(layer):
    shape = str(list(layer.weight.shape)).replace("[", r"\[")
    with pytest.raises(UsageError, match=rf"^stem\.weight: a weight of shape {shape} has no 3x3"):
        represent_layers(nn.ModuleDict({"stem": layer}), {"stem.weight": PrunePatterns()})


@pytest.mark.parametrize("arguments", [(0, 4), (8, 0), (8, 9)], ids=str)
def test_a_library_that_cannot_be_is_refused(arguments):
    with pytest.raises(UsageError, match="{} patterns of {} entries; there".format(*arguments)):
        PrunePatterns(*arguments)


def test_packed_patterns_are_smaller_than_a_dense_weight(packed_bytes):
    assert packed_bytes(PrunePatterns()) < 0.6 * packed_bytes(None)


def test_a_pattern_of_live_weights_is_chosen_before_one_of_zeros_whatever_their_scores():
    """The library has the centre with its left and with its right neighbour."""
    weight = torch.ones(4, 1, 3, 3)
    scores = torch.full((4, 9), -9.0)
    scores[0, 3] = scores[1, 3] = -1.0
    scores[2, 5] = -1.0
    weight[3] = 0
    weight[3, 0, 1, 1] = weight[3, 0, 1, 2] = 1.0
    scores[3, 5] = -20.0
    step = PrunePatterns(patterns=2, entries=2).by(scores.reshape(4, 1, 3, 3))
    step.fit(weight)
    assert step.mask[3].flatten().nonzero().flatten().tolist() == [4, 5]
