"""Rounding with feedback."""

import itertools

import pytest
import torch

from laconic.errors import UsageError
from laconic.quantize import Uniform
from laconic.solve import BLOCK, Feedback


def hessian_of(columns, groups=1, seed=0):
    drawn = torch.Generator().manual_seed(seed)
    mix = torch.randn(groups, columns, columns, generator=drawn, dtype=torch.float64)
    inputs = torch.randn(groups, 4 * columns, columns, generator=drawn, dtype=torch.float64) @ mix
    return inputs.mT @ inputs / (4 * columns)


def loss(change, hessian):
    rows = change.double().reshape(len(hessian), -1, hessian.shape[1])
    return float(((rows @ hessian) * rows).sum())


def by_hand(weight, hessian):
    """The paper's algorithm for one output, with H⁻¹ shrunk after each column (OBQ, equation 2)."""
    order = hessian.diagonal().argsort(descending=True).tolist()
    row, inverse = weight.double().clone(), torch.linalg.inv(hessian)
    left = sorted(order)
    for place in order:
        at = left.index(place)
        rounded = row[place].round()
        error = (row[place] - rounded) / inverse[at, at]
        for other, column in zip(left, inverse[at], strict=True):
            row[other] -= error * column
        row[place] = rounded
        inverse = inverse - torch.outer(inverse[:, at], inverse[at]) / inverse[at, at]
        keep = [number for number in range(len(left)) if number != at]
        inverse = inverse[keep][:, keep]
        left.pop(at)
    return row


def test_it_does_what_the_paper_does_column_by_column():
    hessian = hessian_of(7)
    weight = 3 * torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    found = Feedback(hessian).round(weight, torch.round)
    for row, wanted in zip(found, weight, strict=True):
        assert row.tolist() == by_hand(wanted, hessian[0]).tolist()


def test_blocks_change_nothing():
    columns = BLOCK + 40
    hessian = hessian_of(columns)
    weight = 3 * torch.randn(2, columns, generator=torch.Generator().manual_seed(1))
    found = Feedback(hessian).round(weight, torch.round)
    wanted = by_hand(weight[0], hessian[0])
    assert (found[0] == wanted).float().mean() > 0.98  # ties of rounding alone


def test_outputs_move_less_than_with_rounding_to_nearest():
    hessian = hessian_of(48, groups=2)
    weight = torch.randn(10, 48, generator=torch.Generator().manual_seed(1)).reshape(10, 3, 4, 4)
    step = Uniform(3, axis=0)
    step.fit(weight)
    found = Feedback(hessian).round(weight, step)
    assert torch.equal(step(found), found)
    assert loss(found - weight, hessian) < 0.6 * loss(step(weight) - weight, hessian)


def test_it_is_near_the_best_of_all_roundings():
    hessian = hessian_of(6)
    weight = torch.rand(1, 6, generator=torch.Generator().manual_seed(2))
    choices = itertools.product((0.0, 1.0), repeat=6)
    best = min(loss(torch.tensor([choice]) - weight, hessian) for choice in choices)
    found = Feedback(hessian).round(weight, lambda column: column.round().clamp(0, 1))
    assert best <= loss(found - weight, hessian) < 2 * best


def test_pruned_weights_stay_zero_and_no_output_moves_more_than_by_rounding():
    hessian = hessian_of(20)
    weight = torch.randn(4, 20, generator=torch.Generator().manual_seed(1))
    kept = weight.abs() > 0.5
    pruned = weight * kept
    found = Feedback(hessian).round(pruned, torch.round, kept)
    assert not found[~kept].any()
    for row, plain, before in zip(found, pruned.round(), pruned, strict=True):
        assert loss(row - before, hessian) <= loss(plain - before, hessian)


def test_conditional_curvatures_multiply_to_the_determinant():
    hessian = hessian_of(9, groups=2)
    logarithms = Feedback(hessian).curvatures().double().log().sum(1)
    torch.testing.assert_close(logarithms, torch.logdet(hessian), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 5), (3, 6), ()], ids=str)
def test_a_weight_of_another_shape_is_refused(shape):
    with pytest.raises(UsageError, match="a Hessian of 2 groups of 6 columns do not belong"):
        Feedback(hessian_of(6, groups=2)).round(torch.zeros(shape), torch.round)


def test_a_singular_hessian_is_refused_with_the_cure():
    with pytest.raises(UsageError, match="give more examples, or more damping"):
        Feedback(torch.zeros(1, 3, 3))
