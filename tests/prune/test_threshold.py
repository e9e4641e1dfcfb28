"""What lies below a threshold goes."""

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Threshold
from laconic.represent import represent


def test_weights_at_the_threshold_stay():
    step = Threshold(0.5)
    step.fit(torch.tensor([0.49, 0.5, -0.5, -0.49]))
    assert step.mask.tolist() == [False, True, True, False]


def test_a_threshold_of_nothing_holds_the_zeros_that_are_there_even_all():
    step = Threshold(0.0)
    step.fit(torch.tensor([0.0, 1e-30, -0.0]))
    assert step.mask.tolist() == [False, True, False]
    step = Threshold(0.0)
    step.fit(torch.zeros(3))
    assert step.mask.tolist() == [False] * 3


def test_a_threshold_above_every_weight_names_the_layer_and_the_largest():
    layer = nn.Linear(3, 1)
    nn.init.constant_(layer.weight, 0.25)
    with pytest.raises(
        UsageError, match=r"Linear\.weight: all 3 weights are below 0\.5, the largest is 0\.25"
    ):
        represent(layer, Threshold(0.5))


@pytest.mark.parametrize("below", [-0.1, float("nan"), float("inf")])
def test_a_threshold_that_is_none_is_refused(below):
    with pytest.raises(UsageError, match="a threshold is 0 or a positive number"):
        Threshold(below)


def test_of_signed_scores_those_below_the_threshold_go():
    step = Threshold(0.0).by(torch.tensor([-1.0, 0.0, 2.0, 3.0]))
    step.fit(torch.tensor([5.0, 5.0, 5.0, 0.0]))
    assert step.mask.tolist() == [False, True, True, False]


@pytest.mark.parametrize("below", [0.0, 0.05])
def test_scores_that_are_all_negative_are_refused_with_the_layer_and_the_largest(below):
    layer = nn.Linear(3, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.25, -2.0, 3.0]]))
    step = Threshold(below).by(-layer.weight.detach().abs())
    with pytest.raises(
        UsageError,
        match=rf"Linear\.weight: all 3 weights are below {below:g}, the largest is -0\.25; .*"
        "scores that are not all negative",
    ):
        represent(layer, step)
