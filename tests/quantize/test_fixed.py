"""DoReFa, WRPN, fixed point and narrow floats: values, ranges, gradients."""

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.pack import pack_model_bytes
from laconic.pack.structure import structured
from laconic.pack.torch_bits import bits_of
from laconic.quantize import (
    FORMATS,
    WRPN,
    DoReFa,
    DynamicFixedPoint,
    FixedPoint,
    Follow,
    Narrow,
    Sign,
    Ternary,
    Uniform,
)
from laconic.represent import represent, represent_layers
from laconic.train import Moment


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def moment(done):
    return Moment(done - 1, done, 100, 0, 0.1)


def fitted(step, weight):
    step.fit(weight)
    return step


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_dorefa_by_its_formula(bits):
    """arXiv:1606.06160, equation 9, written as it stands there."""
    weight = gaussian(20, 30)
    levels = 2**bits - 1
    squashed = weight.tanh() / (2 * weight.tanh().abs().max()) + 0.5
    expected = 2 * (torch.round(squashed * levels) / levels) - 1
    step = fitted(DoReFa(bits), weight)
    torch.testing.assert_close(step(weight), expected)
    assert len(step(weight).unique()) == min(2**bits, len(expected.unique()))


def test_one_dorefa_bit_is_the_sign_times_the_mean():
    weight = gaussian(5, 6)
    expected = weight.sign() * weight.abs().mean()
    torch.testing.assert_close(fitted(DoReFa(1), weight)(weight), expected)


def test_the_gradient_of_dorefa_is_that_of_tanh_over_its_maximum():
    weight = gaussian(4, 5).requires_grad_()
    step = fitted(DoReFa(3), weight.detach())
    slope = gaussian(4, 5, seed=1)
    (step(weight) * slope).sum().backward()
    other = weight.detach().clone().requires_grad_()
    reach = other.detach().tanh().abs().max()
    (other.tanh() / reach * slope).sum().backward()
    torch.testing.assert_close(weight.grad, other.grad)


def test_dorefa_follows_the_largest_weight():
    layer = nn.Linear(3, 1, bias=False)
    step = represent(layer, DoReFa(2))
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(torch.tensor([[0.1, 0.2, -2.0]]))
    Follow().after_step(layer, moment(1))
    assert step.reach.item() == pytest.approx(torch.tensor(2.0).tanh().item())


@pytest.mark.parametrize("bits", [2, 4])
def test_wrpn_by_its_formula(bits):
    """arXiv:1709.01134, section 4."""
    weight = gaussian(10, 10)
    top = 2 ** (bits - 1) - 1
    expected = torch.round(weight.clamp(-1, 1) * top) / top
    torch.testing.assert_close(fitted(WRPN(bits), weight)(weight), expected)


def test_fixed_point_has_the_steps_and_the_ends_of_its_format():
    """Q2.5: 8 bits with the sign, from -4 to 4 less a step of 1/32."""
    step = fitted(FixedPoint(2, 5), torch.ones(1))
    assert step(torch.tensor([-9.0, 9.0, 0.04, 1 / 64])).tolist() == [-4.0, 4 - 1 / 32, 1 / 32, 0]
    assert step.codes(torch.tensor([-9.0, 9.0])).tolist() == [-128, 127]
    small = fitted(FixedPoint(-2, 9), torch.ones(1))
    assert small(torch.tensor([-9.0, 9.0])).tolist() == [-0.25, 0.25 - 1 / 512]


def test_an_outlier_saturates_where_the_range_is_fixed():
    weight = torch.tensor([1e30, 0.6, -1e30])
    assert fitted(WRPN(4), weight)(weight).tolist() == pytest.approx([1.0, 4 / 7, -1.0])
    assert fitted(FixedPoint(1, 4), weight)(weight).tolist() == [2 - 1 / 16, 0.625, -2.0]
    assert fitted(Narrow("e5m2"), weight)(weight).tolist() == [57344.0, 0.625, -57344.0]
    assert fitted(DoReFa(2), weight)(weight)[0] == 1


TOO_SMALL = [
    (WRPN(2), "all 6 weights would be 0: the largest magnitude is 0.001, half a step is 0.5"),
    (FixedPoint(2, 5), "magnitude is 0.001, half a step is 0.015625; take more fraction bits"),
    (Narrow("e4m3"), "0.0009, the smallest normal number of e4m3 is 0.015625; take another"),
]


@pytest.mark.parametrize(("step", "message"), TOO_SMALL, ids=["wrpn", "fixed point", "float8"])
def test_a_layer_that_would_vanish_is_refused_by_name(step, message):
    network = nn.Sequential(nn.Linear(3, 2))
    size = 0.0009 if isinstance(step, Narrow) else 0.001
    nn.init.constant_(network[0].weight, size)
    with pytest.raises(UsageError, match=rf"0\.weight: all 6 weights.*{message[-40:]}"):
        represent_layers(network, {"0.weight": step})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DoReFa(0), r"bits 0 is outside 1\.\.16"),
        (lambda: DoReFa(17), r"bits 17 is outside 1\.\.16"),
        (lambda: WRPN(1), r"bits 1 is outside 2\.\.16"),
        (lambda: FixedPoint(8, 8), r"Q8\.8 has 17 bits with its sign, outside 2\.\.16"),
        (lambda: FixedPoint(3, -3), r"Q3\.-3 has 1 bits with its sign"),
        (lambda: DynamicFixedPoint(1), r"bits 1 is outside 2\.\.16"),
        (lambda: DynamicFixedPoint(10, 9), r"update_bits 9 is outside 10\.\.24"),
        (lambda: DynamicFixedPoint(overflow=1.0), r"overflow 1 is outside \[0, 1\)"),
        (lambda: DynamicFixedPoint(every=0), "every is 0 updates; at least 1 is needed"),
        (lambda: Narrow("float8"), "no format is named 'float8'; there are: bfloat16, float16"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_meant_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_a_range_beyond_the_dtype_is_refused():
    with pytest.raises(UsageError, match=r"reaches from -262144 to 261888, beyond torch\.float16"):
        FixedPoint(18, -8).fit(torch.ones(2, dtype=torch.float16))


def dynamic(values, **arguments):
    layer = nn.Linear(len(values), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([values]))
    return layer, represent(layer, DynamicFixedPoint(**arguments))


def test_the_first_range_is_the_smallest_power_of_two_without_overflow():
    _, step = dynamic([0.3, -0.7, 0.1])
    assert step.exponent == 0
    assert step.scale.item() == 2.0**-9
    _, step = dynamic([0.3, -1.1, 0.1])
    assert step.exponent == 1


def test_a_range_that_overflows_is_doubled_and_one_half_empty_is_halved():
    """arXiv:1412.7024, section 5: by powers of two, when it is time."""
    layer, step = dynamic([0.3, -0.7, 0.1], every=10)
    original = layer.parametrizations.weight.original
    with torch.no_grad():
        original.mul_(2)
    Follow().after_step(layer, moment(9))
    assert step.exponent == 0, "looked too early"
    with torch.no_grad():
        original.copy_(torch.tensor([[0.6, -1.4, 0.2]]))
    Follow().after_step(layer, moment(10))
    assert step.exponent == 1
    assert original.tolist() == [pytest.approx([0.6, -1.4, 0.2], abs=2.0**-10)]
    with torch.no_grad():
        original.mul_(0.1)
    Follow().after_step(layer, moment(20))
    assert step.exponent == 0
    Follow().after_step(layer, moment(30))
    assert step.exponent == -1


def test_some_overflow_is_allowed():
    layer, step = dynamic([0.4] * 99 + [5.0], overflow=0.02)
    assert step.exponent == -1
    assert layer.weight[0, -1].item() == pytest.approx(0.5, abs=2.0**-9)


def test_updates_are_kept_on_a_finer_grid_than_propagation():
    layer, step = dynamic([0.3001, -0.7003, 0.1], bits=4, update_bits=8)
    Follow().after_step(layer, moment(1))
    finer = layer.parametrizations.weight.original * 2**7
    assert torch.equal(finer, finer.round())
    assert not torch.equal(layer.parametrizations.weight.original, layer.weight)
    assert step.scale.item() == 2.0**-3


@pytest.mark.parametrize("name", FORMATS)
def test_narrow_values_are_numbers_of_the_format(name):
    weight = gaussian(50, 40)
    values = fitted(Narrow(name), weight)(weight)
    assert torch.equal(values, values.to(FORMATS[name]).float())
    assert torch.equal(values, weight.to(FORMATS[name]).float() + 0.0)


def test_the_gradient_of_a_narrow_float_stops_where_it_saturates():
    weight = torch.tensor([500.0, 448.0, 0.1, -449.0], requires_grad=True)
    fitted(Narrow("e4m3"), weight.detach())(weight).sum().backward()
    assert weight.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("shape", [(40, 50), (700, 200)], ids=["small", "large"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_keeps_narrow_values_in_as_few_bytes_as_the_format_has(name, shape):
    """Of values that nothing compresses: random bits; float32 keeps them as well as their dtype."""
    width = FORMATS[name].itemsize
    bits = torch.randint(0, 256, (shape[0], shape[1] * width), dtype=torch.uint8,
                         generator=torch.Generator().manual_seed(1))  # fmt: skip
    values = bits.view(FORMATS[name])
    values = torch.where(torch.isfinite(values.float()), values.float(), 0.0)
    assert torch.equal(fitted(Narrow(name), values)(values), values + 0.0)
    count = values.numel()
    stored = structured("w", *bits_of("w", values))
    assert stored.payload_bytes <= width * count * 1.01 + 300
    fastest = structured("w", *bits_of("w", values), "fastest")
    assert fastest.payload_bytes <= width * count * 1.01 + 600


def test_a_packed_model_takes_half_the_bytes_and_a_quarter():
    sizes = {}
    for name in (None, "bfloat16", "e4m3"):
        layer = nn.Linear(128, 64, bias=False)
        with torch.no_grad():
            layer.weight.copy_(gaussian(64, 128) * 0.05)
        if name:
            represent(layer, Narrow(name))
        sizes[name] = len(pack_model_bytes(layer, program=False))
    assert sizes["bfloat16"] < 0.5 * sizes[None]
    assert sizes["e4m3"] < 0.25 * sizes[None]


def test_signs_and_dorefa_values_take_their_bits_in_a_file():
    count = 64 * 256
    for step, bits in (
        (Sign(), 1),
        (Ternary(), 1.6),
        (DoReFa(1), 1),
        (DoReFa(2), 2),
        (Uniform(2), 1.6),
    ):
        layer = nn.Linear(256, 64, bias=False)
        with torch.no_grad():
            layer.weight.copy_(gaussian(64, 256) * 0.05)
        represent(layer, step)
        assert len(pack_model_bytes(layer, program=False)) <= bits * count / 8 * 1.02 + 150, step
