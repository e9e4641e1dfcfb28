"""Equally spaced values: formulas, ranges, axes, gradients."""

import pytest
import torch

from laconic.errors import UsageError
from laconic.quantize import Affine, Uniform


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def fitted(step, weight):
    step.fit(weight)
    return step


def test_the_affine_scheme_by_its_formula():
    """arXiv:1712.05877, equations 1 and 12, by hand: a = -1.0, b = 2.0, 2 bits, n = 4 levels.

    s = (b - a) / (n - 1) = 1, z = 1: r = s (q - z) for q in 0..3 is -1, 0, 1, 2.
    """
    step = fitted(Affine(bits=2), torch.tensor([-1.0, 2.0]))
    assert step.scale.tolist() == [1.0]
    assert (step.lowest.tolist(), step.highest.tolist()) == ([-1], [2])
    weight = torch.tensor([-7.0, -0.6, -0.4, 0.6, 1.4, 1.6, 9.0])
    assert step(weight).tolist() == [-1.0, -1.0, 0.0, 1.0, 1.0, 2.0, 2.0]


def test_the_affine_zero_point_is_nudged_to_an_integer():
    """arXiv:1712.05877, section 3: zero must be one of the values, so the range shifts."""
    step = fitted(Affine(bits=2), torch.tensor([-1.2, 1.8]))
    assert step.scale.tolist() == pytest.approx([1.0])
    assert (step.lowest.tolist(), step.highest.tolist()) == ([-1], [2])


@pytest.mark.parametrize("sign", [1, -1], ids=["positive", "negative"])
def test_an_affine_range_of_one_sign_is_widened_to_zero(sign):
    step = fitted(Affine(bits=4), sign * torch.tensor([3.0, 15.0]))
    assert step.scale.tolist() == [1.0]
    assert step(torch.tensor([0.0])).tolist() == [0.0]
    assert step(sign * torch.tensor([3.0, 15.0])).tolist() == [sign * 3.0, sign * 15.0]


@pytest.mark.parametrize("bits", [2, 3, 8, 16])
def test_the_symmetric_scale_reaches_the_largest_magnitude(bits):
    weight = gaussian(30, 30)
    step = fitted(Uniform(bits), weight)
    top = 2 ** (bits - 1) - 1
    assert step.scale.item() == pytest.approx(float(weight.abs().max()) / top)
    codes = step.codes(weight)
    assert int(codes.abs().max()) == top
    assert int(codes.min()) >= -top


def test_two_symmetric_bits_are_ternary():
    step = fitted(Uniform(bits=2), torch.tensor([-2.0, 0.3, 1.1]))
    assert step(torch.tensor([-2.0, 0.3, 1.1, 0.9, -5.0])).tolist() == [-2.0, 0.0, 2.0, 0.0, -2.0]


def test_halfway_goes_to_the_even_code():
    step = fitted(Uniform(bits=3), torch.tensor([3.0]))
    halves = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5])
    assert step.codes(halves).tolist() == [0, 2, 2, 0, -2]


@pytest.mark.parametrize("kind", [Uniform, Affine])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_no_value_inside_the_range_moves_by_more_than_half_a_step(kind, bits):
    weight = gaussian(50, 50)
    step = fitted(kind(bits), weight)
    position = weight / step.scale
    inside = (position >= step.lowest) & (position <= step.highest)
    error = (step(weight) - weight).abs()[inside]
    assert error.max() <= 0.5 * step.scale * (1 + 1e-5)


@pytest.mark.parametrize("kind", [Uniform, Affine])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_per_channel_is_each_channel_by_itself(kind, axis):
    weight = gaussian(3, 4, 5) * torch.logspace(-2, 2, [3, 4, 5][axis]).reshape(
        [-1 if i == axis else 1 for i in range(3)]
    )
    together = fitted(kind(4, axis=axis), weight)
    assert together.scale.shape == (weight.shape[axis],)
    for index, (whole, part) in enumerate(
        zip(together(weight).unbind(axis), weight.unbind(axis), strict=True)
    ):
        assert torch.equal(whole, fitted(kind(4), part)(part)), index


def test_per_channel_scales_keep_small_channels_alive():
    weight = torch.stack([gaussian(10), gaussian(10) * 1e-4])
    assert bool((fitted(Uniform(4), weight)(weight)[1] == 0).all())
    assert int((fitted(Uniform(4, axis=0), weight)(weight)[1] != 0).sum()) >= 7


def test_a_channel_of_zeros_stays_zero():
    weight = torch.stack([gaussian(5), torch.zeros(5)])
    step = fitted(Uniform(4, axis=0), weight)
    assert step(weight)[1].tolist() == [0.0] * 5
    assert step.scale[1] == 1.0


@pytest.mark.parametrize("kind", [Uniform, Affine])
def test_the_gradient_passes_inside_the_range_and_stops_outside(kind):
    """arXiv:1712.05877, section 3 (clamped straight-through estimator)."""
    step = fitted(kind(bits=3), torch.tensor([-3.0, 3.0]))
    reach = float(step.scale)
    low, high = int(step.lowest) * reach, int(step.highest) * reach
    weight = torch.tensor(
        [low - reach, low - 0.4 * reach, low, 0.1, high, high + 0.4 * reach, high + reach],
        requires_grad=True,
    )
    slope = torch.arange(1.0, 8.0)
    (step(weight) * slope).sum().backward()
    assert weight.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0]


@pytest.mark.parametrize("kind", [Uniform, Affine])
def test_quantizing_twice_with_new_scales_changes_nothing(kind):
    weight = gaussian(20, 20)
    once = fitted(kind(5), weight)(weight)
    torch.testing.assert_close(fitted(kind(5), once)(once), once, rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", [Uniform, Affine])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 1}, r"bits 1 is outside 2\.\.16"),
        ({"bits": 17}, r"bits 17 is outside 2\.\.16"),
        ({"bits": 4, "axis": -1}, "axis -1 is negative; count from the front"),
    ],
    ids=["too few bits", "too many bits", "a negative axis"],
)
def test_what_cannot_be_meant_is_refused(kind, arguments, message):
    with pytest.raises(UsageError, match=message):
        kind(**arguments)


@pytest.mark.parametrize("kind", [Uniform, Affine])
def test_an_axis_that_the_weight_lacks_is_refused(kind):
    with pytest.raises(UsageError, match=r"axis 2 does not exist in a shape of \[3, 4\]"):
        kind(4, axis=2).fit(gaussian(3, 4))


def test_a_grid_that_would_reach_infinity_is_refused():
    """The nudged zero point shifts the range up, beyond the largest float32."""
    with pytest.raises(UsageError, match=r"a grid of 2 bits over values from -6e\+37 to 3.4e\+38"):
        Affine(2).fit(torch.tensor([-0.6e38, 3.4e38]))


def test_a_range_wider_than_float32_has_a_finite_scale():
    weight = torch.tensor([-3e38, 3e38])
    step = fitted(Affine(4), weight)
    assert step.scale.item() == pytest.approx(4e37)
    assert bool(torch.isfinite(step(weight)).all())


@pytest.mark.parametrize("kind", [Uniform, Affine])
def test_a_scale_is_never_a_subnormal_number(kind):
    """An engine that flushes subnormal numbers would multiply by 0."""
    weight = torch.tensor([1e-38, -1e-37])
    step = fitted(kind(8), weight)
    assert step.scale.item() == torch.finfo(torch.float32).tiny
    assert step.codes(weight).tolist() == [1, -9]
