"""N:M sparsity: n of every m stay."""

import pytest
import torch
from masking import gaussian, masked
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Prune, PruneNM
from laconic.represent import represent, represent_layers

RATIOS = [(2, 4), (1, 4), (4, 8), (1, 2), (7, 8)]
of_every = pytest.mark.parametrize(("n", "m"), RATIOS, ids=[f"{n}:{m}" for n, m in RATIOS])


@pytest.mark.parametrize("shape", [(6, 16), (6, 8, 3, 3), (24,)], ids=str)
@of_every
def test_every_group_keeps_exactly_n_of_its_m(n, m, shape):
    result = masked(PruneNM(n, m), gaussian(*shape))
    assert ((result.reshape(-1, m) != 0).sum(1) == n).all()


@of_every
def test_the_largest_of_each_group_stay(n, m):
    weight = gaussian(10, 5 * m)
    kept = masked(PruneNM(n, m), weight).reshape(-1, m) != 0
    groups = weight.abs().reshape(-1, m)
    lowest_kept = torch.where(kept, groups, torch.inf).amin(1)
    highest_pruned = torch.where(kept, -torch.inf, groups).amax(1)
    assert (lowest_kept > highest_pruned).all()


def test_groups_of_a_convolution_lie_along_input_channels_and_kernel():
    weight = torch.arange(1.0, 17.0).reshape(1, 4, 2, 2)
    result = masked(PruneNM(1, 4), weight)
    assert result.flatten().nonzero().flatten().tolist() == [3, 7, 11, 15]


def test_of_equal_magnitudes_the_lower_index_goes_first():
    assert masked(PruneNM(2, 4), torch.ones(1, 8)).tolist() == [[0, 0, 1, 1] * 2]


def test_zeros_that_are_there_already_count():
    weight = torch.tensor([[0.0, 5.0, 0.0, 0.1], [0.0, 0.0, 0.0, 3.0]])
    assert masked(PruneNM(2, 4), weight).tolist() == weight.tolist()


def test_other_scores_than_magnitudes_may_decide():
    step = PruneNM(1, 2).by(torch.tensor([[3.0, 1.0, 0.0, 2.0]]))
    assert masked(step, torch.tensor([[1.0, 9.0, 9.0, 1.0]])).tolist() == [[1, 0, 0, 1]]


@pytest.mark.parametrize("count", [(0, 4), (4, 4), (5, 4), (-1, 4)], ids=str)
def test_keeping_none_or_all_is_refused(count):
    with pytest.raises(UsageError, match=f"{count[0]}:4 keeps {count[0]} of every 4 weights; n mu"):
        PruneNM(*count)


def test_rows_that_cannot_be_cut_are_refused_by_the_layers_name():
    with pytest.raises(UsageError) as refusal:
        represent_layers(nn.ModuleDict({"fc": nn.Linear(10, 3)}), {"fc.weight": PruneNM(2, 4)})
    assert str(refusal.value) == (
        "fc.weight: a row of 10 weights cannot be cut into groups of 4; choose an m that divides "
        "it, or leave this layer out"
    )


def test_what_was_pruned_before_stays_zero():
    layer = nn.Linear(16, 8)
    represent(layer, Prune(0.7))
    zero = layer.weight == 0
    represent(layer, PruneNM(2, 4))
    assert bool((layer.weight[zero] == 0).all())
    assert int((layer.weight.reshape(-1, 4) != 0).sum(1).max()) == 2


def test_a_packed_2_to_4_weight_is_smaller_than_a_dense_one(packed_bytes):
    assert packed_bytes(PruneNM(2, 4)) < 0.65 * packed_bytes(None)


def test_what_is_zero_goes_before_negative_scores():
    step = PruneNM(2, 4).by(torch.tensor([[5.0, -7.0, 0.0, -2.0]]))
    step.fit(torch.tensor([[0.0, 1.0, 0.0, 1.0]]))
    assert step.mask.tolist() == [[False, True, False, True]]
