"""Equal work for every processor."""

import pytest
import torch
from masking import gaussian, masked
from torch import nn

from laconic.errors import UsageError
from laconic.prune import PruneBalanced
from laconic.represent import represent_layers


def counts(weight, processors):
    return [int((weight[number::processors] != 0).sum()) for number in range(processors)]


@pytest.mark.parametrize("processors", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.87, 0.97])
def test_counts_differ_by_at_most_one_and_the_total_is_exact(sparsity, processors):
    weight = gaussian(120, 7) * torch.arange(1, 121)[:, None]
    found = counts(masked(PruneBalanced(sparsity, processors), weight), processors)
    assert max(found) - min(found) <= 1
    assert sum(found) == 840 - round(sparsity * 840)
    assert found == sorted(found, reverse=True)


def test_rows_that_do_not_divide_evenly_are_balanced_too():
    found = counts(masked(PruneBalanced(0.6, 4), gaussian(10, 9)), 4)
    assert found == [9, 9, 9, 9]


def test_each_processor_keeps_its_largest_weights():
    weight = gaussian(40, 6)
    result = masked(PruneBalanced(0.7, 4), weight)
    for number in range(4):
        own, kept = weight[number::4].abs(), result[number::4] != 0
        assert own[kept].min() > own[~kept].max()


def test_one_processor_is_plain_magnitude_pruning():
    weight = gaussian(20, 8)
    pruned = masked(PruneBalanced(0.6, 1), weight)
    assert pruned[pruned != 0].abs().min() > weight[pruned == 0].abs().max()


def test_of_equal_magnitudes_the_lower_index_goes_first():
    assert masked(PruneBalanced(0.5, 2), torch.ones(2, 4)).tolist() == [[0, 0, 1, 1]] * 2


def test_a_processor_that_has_fewer_weights_than_its_share_keeps_those():
    weight = torch.tensor([[0.0, 0.0, 0.0, 1.0], [5.0, 6.0, 7.0, 8.0]])
    assert masked(PruneBalanced(0.5, 2), weight).tolist() == [[0, 0, 0, 1], [0, 0, 7, 8]]


def test_rows_that_cannot_be_balanced_are_refused_with_the_figures():
    with pytest.raises(UsageError) as refusal:
        represent_layers(
            nn.ModuleDict({"fc": nn.Linear(4, 3)}), {"fc.weight": PruneBalanced(0.1, 2)}
        )
    assert str(refusal.value) == (
        "fc.weight: processor 2 of 2 has 4 of 12 weights (3 rows) but its share at sparsity 0.1 "
        "is 5; choose a number that divides 3, or a higher sparsity"
    )


def test_no_processor_at_all_is_refused():
    with pytest.raises(UsageError, match="dealt out to 0 processors; 1 or more are needed"):
        PruneBalanced(0.5, 0)


def test_packed_balanced_zeros_are_smaller_than_a_dense_weight(packed_bytes):
    assert packed_bytes(PruneBalanced(0.75, 8)) < 0.4 * packed_bytes(None)


def test_what_is_zero_goes_before_negative_scores():
    step = PruneBalanced(0.5, processors=1).by(torch.tensor([[5.0, -7.0, 0.0, -2.0]]))
    step.fit(torch.tensor([[0.0, 1.0, 0.0, 1.0]]))
    assert step.mask.tolist() == [[False, True, False, True]]
