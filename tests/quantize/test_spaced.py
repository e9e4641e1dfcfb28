"""Multiples of a spacing, and the spacing's own gradient."""

import math

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.quantize import Spaced
from laconic.represent import represent


def fitted(weight, spacing):
    step = Spaced(spacing)
    step.fit(weight)
    return step


def test_codes_have_no_end():
    weight = torch.tensor([0.0, 0.24, -0.26, 1000.3])
    step = fitted(weight, 0.5)
    assert step.codes(weight).tolist() == [0, 0, -1, 2001]
    assert step(weight).tolist() == [0.0, 0.0, -0.5, 1000.5]


def test_the_gradient_of_the_spacing_is_that_of_learned_step_sizes():
    weight = torch.tensor([0.2, -0.9, 2.3, 7.0])
    step = fitted(weight, 0.5)
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0])
    (step(weight.requires_grad_()) * upstream).sum().backward()
    position = weight.detach() / 0.5
    by_spacing = (upstream * (position.round() - position)).sum()
    # The parameter is the logarithm: its gradient is Δ times that of Δ.
    torch.testing.assert_close(step.log_spacing.grad, 0.5 * by_spacing)
    assert weight.grad.tolist() == upstream.tolist()


def test_training_fits_weight_and_spacing_together():
    target = torch.tensor([[0.3, -0.6, 0.9, 0.0]])
    layer = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(target)
    step = represent(layer, Spaced(0.27))
    before = float((layer.weight.detach() - target).abs().max())
    optimizer = torch.optim.Adam(layer.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        (layer.weight - target).square().sum().backward()
        optimizer.step()
    assert float((layer.weight.detach() - target).abs().max()) < before / 4
    assert float(step.present) != pytest.approx(0.27)


@pytest.mark.parametrize("spacing", [0.0, -1.0, math.inf, math.nan, 1e-40])
def test_a_spacing_that_is_no_positive_number_is_refused(spacing):
    with pytest.raises(UsageError, match=r"spacing .* is not a positive number; 0\.01 is usual"):
        Spaced(spacing)


def test_codes_that_no_float_tells_apart_are_refused():
    layer = nn.Linear(3, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1e30, 0.0, 1.0]]))
    with pytest.raises(UsageError, match=r"Linear\.weight: the largest magnitude 1e\+30 is 1e\+32"):
        represent(layer, Spaced(0.01))


def test_multiples_beyond_the_dtype_are_refused():
    with pytest.raises(
        UsageError, match=r"multiples of 40000 near 64992 are beyond torch\.float16"
    ):
        fitted(torch.tensor([65000.0], dtype=torch.float16), 40000.0)
