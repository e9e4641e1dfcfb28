"""Which weights go, and how many."""

import math

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Prune, smallest
from laconic.represent import represent


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pruned(weight, sparsity):
    step = Prune(sparsity)
    step.fit(weight)
    return step(weight)


@pytest.mark.parametrize(
    ("count", "sparsity"),
    [
        (count, sparsity)
        for count in [1, 7, 100, 1001]
        for sparsity in [0.0, 0.1, 0.5, 0.915, 0.999]
        if round(sparsity * count) < count
    ],
)
def test_the_number_of_zeros_is_exact(count, sparsity):
    result = pruned(gaussian(count), sparsity)
    assert int((result == 0).sum()) == round(sparsity * count)


@pytest.mark.parametrize(("sparsity", "shape"), [(0.999, (8, 4)), (0.6, (1, 1)), (0.915, (1, 5))])
def test_a_sparsity_that_rounds_to_every_weight_is_refused(sparsity, shape):
    count = shape[0] * shape[1]
    with pytest.raises(UsageError, match=f"{sparsity} of {count} weights rounds to {count} zeros"):
        pruned(gaussian(*shape), sparsity)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (4, 4)], ids=str)
def test_where_nothing_is_left_to_lose_pruning_loses_nothing(shape):
    assert pruned(torch.zeros(shape), 0.999).tolist() == torch.zeros(shape).tolist()


def test_the_smallest_magnitudes_go_whatever_their_sign():
    weight = torch.tensor([[0.1, -3.0], [2.0, -0.2]])
    assert pruned(weight, 0.5).tolist() == [[0.0, -3.0], [2.0, 0.0]]


def test_no_kept_weight_is_smaller_than_a_pruned_one():
    weight = gaussian(50, 20)
    result = pruned(weight, 0.8)
    assert weight[result == 0].abs().max() <= weight[result != 0].abs().min()
    assert torch.equal(result[result != 0], weight[result != 0])


def test_of_equal_magnitudes_the_lower_index_goes_first():
    weight = torch.tensor([1.0, -1.0, 1.0, -1.0, 0.5])
    assert pruned(weight, 0.6).tolist() == [0.0, 0.0, 1.0, -1.0, 0.0]


def test_zeros_that_are_there_already_count_and_stay():
    weight = torch.tensor([0.0, 5.0, 0.0, 1.0, 2.0, 0.0])
    assert pruned(weight, 0.5).tolist() == [0.0, 5.0, 0.0, 1.0, 2.0, 0.0]
    step = Prune(0.2)
    step.fit(weight)
    assert step(torch.ones(6)).tolist() == [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]


def test_a_pruned_weight_gets_no_gradient():
    weight = gaussian(30).requires_grad_()
    step = Prune(0.5)
    step.fit(weight.detach())
    slope = gaussian(30, seed=1)
    (step(weight) * slope).sum().backward()
    assert torch.equal(weight.grad, torch.where(step.mask, slope, 0.0))
    assert int((weight.grad == 0).sum()) == 15


@pytest.mark.parametrize("later", [0.5, 0.95], ids=["for less", "for more"])
def test_pruning_again_revives_nothing(later):
    layer = nn.Linear(20, 20)
    represent(layer, Prune(0.9))
    zero = layer.weight.detach() == 0
    represent(layer, Prune(later))
    assert bool((layer.weight.detach()[zero] == 0).all())
    assert int((layer.weight == 0).sum()) == round(max(0.9, later) * 400)


def test_a_weight_that_training_brings_to_negative_zero_becomes_zero():
    step = Prune(0.5)
    step.fit(torch.tensor([1.0, 2.0]))
    assert not bool(torch.signbit(step(torch.tensor([1.0, -0.0]))).any())


@pytest.mark.parametrize(
    ("sparsity", "message"),
    [
        (1.2, "sparsity 1.2 is outside [0, 1); did you mean 0.12?"),
        (90, "sparsity 90 is outside [0, 1); did you mean 0.9?"),
        (99.5, "sparsity 99.5 is outside [0, 1); did you mean 0.995?"),
        (-0.3, "sparsity -0.3 is outside [0, 1); did you mean 0.3?"),
        (1.0, "sparsity 1 is outside [0, 1); did you mean 0.1?"),
        (math.nan, "sparsity nan is outside [0, 1); did you mean 0.9?"),
        (1000, "sparsity 1000 is outside [0, 1); did you mean 0.9?"),
    ],
)
def test_what_is_no_fraction_is_refused_with_the_likely_meaning(sparsity, message):
    with pytest.raises(UsageError) as refusal:
        Prune(sparsity)
    assert str(refusal.value) == message


def test_a_step_that_is_not_fitted_says_what_to_call():
    with pytest.raises(UsageError, match=r"Prune\(sparsity=0.5\) has no mask yet: call fit"):
        Prune(0.5)(torch.ones(3))


@pytest.mark.parametrize("count", [0, 1, 5, 9, 10])
def test_smallest_marks_exactly_as_many_as_asked(count):
    scores = torch.tensor([3.0, 1.0, 2.0, 2.0, 2.0, 5.0, 0.0, 2.0, 9.0, 2.0])
    expected = sorted(range(10), key=lambda i: (float(scores[i]), i))[:count]
    assert torch.nonzero(smallest(scores, count)).flatten().tolist() == sorted(expected)
