"""What is left makes up for what goes, as Optimal Brain Surgeon has it."""

import pytest
import torch

from laconic.errors import UsageError
from laconic.solve import compensate, inverse_hessian


def gaussian(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def hessian(columns, rows=60, seed=0):
    inputs = gaussian(rows, columns, seed=seed) @ gaussian(columns, columns, seed=seed + 1)
    return inputs.T @ inputs / rows


def one_after_the_other(row, matrix, gone):
    """The paper's update for each of `gone` in turn, with its row and column eliminated."""
    inverse, row, predicted = torch.linalg.inv(matrix), row.clone(), 0.0
    for place in gone:
        pivot, column = inverse[place, place].clone(), inverse[:, place].clone()
        predicted += float(row[place] ** 2 / (2 * pivot))
        row = row - row[place] / pivot * column
        inverse = inverse - torch.outer(column, column) / pivot
    return row, predicted


def test_all_at_once_is_one_after_the_other_in_any_order():
    matrix, row = hessian(7), gaussian(7, seed=9)
    mask = torch.tensor([True, False, True, True, False, False, True])
    found = compensate(row[None], matrix[None], mask[None])[0]
    for order in ([1, 4, 5], [5, 1, 4]):
        expected, _ = one_after_the_other(row, matrix, order)
        torch.testing.assert_close(found, torch.where(mask, expected, 0.0), rtol=1e-8, atol=1e-10)
        assert float(expected[~mask].abs().max()) < 1e-9


def test_the_predicted_rise_of_a_quadratic_loss_is_exact():
    matrix, row = hessian(7), gaussian(7, seed=9)
    mask = torch.tensor([True, False, True, True, False, False, True])
    change = compensate(row[None], matrix[None], mask[None])[0] - row
    _, predicted = one_after_the_other(row, matrix, [4, 1, 5])
    assert float(change @ matrix @ change / 2) == pytest.approx(predicted, rel=1e-6)


def test_nothing_with_these_zeros_is_better():
    matrix, row = hessian(6), gaussian(6, seed=2)
    mask = torch.tensor([True, True, False, True, False, True])
    found = compensate(row[None], matrix[None], mask[None])[0]
    lowest = (found - row) @ matrix @ (found - row)
    for seed in range(20):
        other = found + 0.01 * gaussian(6, seed=seed) * mask
        assert (other - row) @ matrix @ (other - row) > lowest
    assert bool((found[~mask] == 0).all())


def test_outputs_of_a_group_share_its_hessian_and_keep_the_shape():
    weight, mask = gaussian(4, 2, 3).float(), gaussian(4, 2, 3, seed=1) > 0
    matrices = torch.stack([hessian(6), hessian(6, seed=5)])
    found = compensate(weight, matrices, mask)
    assert found.shape == weight.shape
    assert found.dtype == torch.float32
    for output in range(4):
        matrix = matrices[output // 2]
        alone = compensate(weight[output : output + 1], matrix[None], mask[output : output + 1])
        assert torch.equal(found[output : output + 1], alone)


def test_outputs_of_a_layer_stay_nearer_than_without():
    inputs = gaussian(200, 8) @ gaussian(8, 8, seed=1)
    weight = gaussian(5, 8, seed=2)
    mask = weight.abs() > weight.abs().median()
    moved = compensate(weight, (inputs.T @ inputs)[None], mask)
    error = (inputs @ (moved - weight).T).square().mean()
    assert error < 0.7 * (inputs @ (weight * mask - weight).T).square().mean()


def test_all_kept_and_all_gone():
    weight, matrix = gaussian(2, 3), hessian(3)[None]
    kept = torch.ones(2, 3, dtype=torch.bool)
    assert torch.equal(compensate(weight, matrix, kept), weight)
    assert torch.equal(compensate(weight, matrix, ~kept), torch.zeros(2, 3, dtype=torch.float64))


def test_what_does_not_belong_together_is_refused_with_the_shapes():
    with pytest.raises(UsageError, match=r"weight \[2, 3\], mask \[2, 3\] and Hessian \[1, 4, 4\]"):
        compensate(torch.zeros(2, 3), torch.zeros(1, 4, 4), torch.ones(2, 3, dtype=torch.bool))


def test_a_hessian_that_cannot_be_inverted_is_refused():
    with pytest.raises(UsageError, match="not positive definite: give more examples, or more damp"):
        compensate(torch.ones(1, 2), torch.ones(1, 2, 2), torch.ones(1, 2, dtype=torch.bool))


def test_the_recursion_gives_the_inverse():
    vectors = gaussian(30, 6)
    direct = torch.linalg.inv(vectors.T @ vectors / 30 + 1e-4 * torch.eye(6).double())
    found = inverse_hessian(vectors, alpha=1e-4)
    torch.testing.assert_close(found, direct, rtol=1e-6, atol=1e-8)


def test_an_alpha_that_is_not_positive_is_refused():
    with pytest.raises(UsageError, match="alpha 0 is not positive; the paper takes 1e-8 to 1e-4"):
        inverse_hessian(gaussian(3, 2), alpha=0)
