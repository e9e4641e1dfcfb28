"""Learned rounding."""

import pytest
import torch

from laconic.errors import UsageError
from laconic.solve import learn_rounding


def problem(columns=24, outputs=6, seed=0):
    drawn = torch.Generator().manual_seed(seed)
    mix = torch.randn(columns, columns, generator=drawn, dtype=torch.float64)
    inputs = torch.randn(4 * columns, columns, generator=drawn, dtype=torch.float64) @ mix
    hessian = (inputs.T @ inputs / len(inputs))[None]
    weight = torch.randn(outputs, columns, generator=drawn)
    return weight, hessian


def loss(change, hessian):
    change = change.double()
    return float(((change @ hessian[0]) * change).sum())


def test_every_value_is_one_of_its_neighbours_and_outputs_move_less():
    weight, hessian = problem()
    low, high = weight.floor(), weight.floor() + 1
    found = learn_rounding(weight, hessian, low, high, steps=400, learning_rate=0.05)
    assert ((found == low) | (found == high)).all()
    assert loss(found - weight, hessian) < 0.6 * loss(weight.round() - weight, hessian)


def test_it_is_never_worse_than_the_nearest_value():
    weight, hessian = problem(columns=3, outputs=1)
    found = learn_rounding(weight, hessian, weight.floor(), weight.floor() + 1, steps=1)
    assert loss(found - weight, hessian) <= loss(weight.round() - weight, hessian)


def test_a_value_without_a_neighbour_stays():
    weight, hessian = problem()
    low, high = weight.floor(), weight.floor() + 1
    high[:, ::2] = low[:, ::2]
    found = learn_rounding(weight, hessian, low, high, steps=50)
    assert torch.equal(found[:, ::2], low[:, ::2])


def test_shapes_that_do_not_fit_are_refused():
    weight, hessian = problem()
    with pytest.raises(
        UsageError, match=r"weight \[6, 23\] and Hessian \[1, 24, 24\] do not belong"
    ):
        learn_rounding(weight[:, 1:], hessian, weight[:, 1:], weight[:, 1:])
