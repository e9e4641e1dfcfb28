"""Pruning of whole blocks."""

import pytest
import torch
from masking import gaussian, masked
from torch import nn

from laconic.errors import UsageError
from laconic.prune import PruneBlocks
from laconic.represent import represent_layers


def blocks_of(weight, rows, columns):
    matrix = weight.flatten(1)
    return matrix.unfold(0, rows, rows).unfold(1, columns, columns).flatten(2)


@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (2, 6), (8, 12)], ids=str)
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.75])
def test_the_number_of_blocks_that_go_is_exact_and_the_rest_is_whole(shape, sparsity):
    blocks = blocks_of(masked(PruneBlocks(sparsity, *shape), gaussian(16, 24)), *shape)
    whole, gone = (blocks != 0).all(2), (blocks == 0).all(2)
    assert bool((whole | gone).all())
    assert int(gone.sum()) == round(sparsity * gone.numel())


def test_the_blocks_of_the_smallest_sums_go():
    weight = gaussian(16, 24)
    kept = blocks_of(masked(PruneBlocks(0.5, 4, 2), weight), 4, 2).any(2)
    sums = blocks_of(weight.abs(), 4, 2).sum(2)
    assert sums[kept].min() > sums[~kept].max()


def test_whole_kernels_of_a_convolution_can_go():
    weight = gaussian(6, 4, 3, 3)
    kept = masked(PruneBlocks(0.5, rows=1, columns=9), weight).flatten(2).any(2)
    norms = weight.abs().sum((2, 3))
    assert int(kept.sum()) == 12
    assert norms[kept].min() > norms[~kept].max()


def test_of_equal_sums_the_block_of_the_lower_index_goes_first():
    result = masked(PruneBlocks(0.5, 2, 2), torch.ones(4, 4))
    assert result.tolist() == [[0] * 4] * 2 + [[1] * 4] * 2


def test_blocks_that_are_zero_already_go_first_whatever_the_scores_are():
    weight = torch.tensor([[0.0, 0.0, 5.0, 1.0]])
    step = PruneBlocks(0.5, 1, 2).by(torch.tensor([[1.0, 1.0, -8.0, -9.0]]))
    assert masked(step, weight).tolist() == weight.tolist()


@pytest.mark.parametrize("shape", [(0, 4), (4, -1)], ids=str)
def test_a_block_without_a_weight_is_refused(shape):
    message = f"a block of {shape[0]} x {shape[1]} weights is none"
    with pytest.raises(UsageError, match=message):
        PruneBlocks(0.5, *shape)


def test_blocks_that_do_not_fill_the_weight_are_refused_with_the_figures():
    with pytest.raises(UsageError) as refusal:
        represent_layers(
            nn.ModuleDict({"conv": nn.Conv2d(2, 6, 3)}), {"conv.weight": PruneBlocks(0.5, 4, 6)}
        )
    assert str(refusal.value) == (
        "conv.weight: a matrix of 6 x 18 weights cannot be cut into blocks of 4 x 6; choose a "
        "shape that divides it, or leave this layer out"
    )


def test_a_sparsity_that_leaves_no_block_is_refused():
    with pytest.raises(UsageError, match="of 4 blocks rounds to 4 zeros, which is all"):
        masked(PruneBlocks(0.9, 2, 2), torch.ones(4, 4))


@pytest.mark.parametrize("shape", [(4, 1), (1, 9)], ids=["4x1 blocks", "whole kernels"])
def test_packed_blocks_are_smaller_than_a_dense_weight(shape, packed_bytes):
    assert packed_bytes(PruneBlocks(0.75, *shape)) < 0.4 * packed_bytes(None)


def test_a_block_of_zeros_counts_less_than_live_weights_of_negative_scores():
    step = PruneBlocks(0.5, rows=1, columns=4)
    weight = torch.ones(2, 4)
    weight[0, :3] = 0
    step.by(torch.tensor([[-1.0, -1.0, -1.0, -7.0], [-2.0] * 4])).fit(weight)
    assert step.mask.tolist() == [[False] * 4, [True] * 4]


def test_negative_scores_of_whole_blocks_keep_their_order():
    step = PruneBlocks(0.5, rows=1, columns=2)
    step.by(torch.tensor([[-1.0, -3.0, -2.0, -1.0, 4.0, -9.0, 0.0, 1.0]])).fit(torch.ones(1, 8))
    assert step.mask.tolist() == [[False, False, True, True, False, False, True, True]]
