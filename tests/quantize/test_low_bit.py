"""Learned ranges, few bits, signs: values and gradients as the papers write them."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from laconic import runtime
from laconic.errors import UnsupportedError, UsageError
from laconic.pack import pack_model_bytes
from laconic.pack.torch_program import capture
from laconic.quantize.activation import attach, detach
from laconic.quantize.calibrate import calibrate
from laconic.quantize.learned_range import PACT, AlphaDecay, LearnedStep
from laconic.quantize.low_bit import (
    DoReFaActivation,
    DoReFaGradient,
    SignActivation,
    WRPNActivation,
    Xnor,
    quantized_gradient,
)
from laconic.quantize.lsq import LSQ
from laconic.represent import plain_state, represent
from laconic.runtime.executor import NumpyExecutor
from laconic.runtime.native_executor import NativeExecutor


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def calibrated(quantizer, values):
    quantizer.see(values)
    quantizer.settle()
    return quantizer


def test_pact_has_the_gradients_of_equation_3():
    x = torch.tensor([-1.0, 0.2, 1.9, 2.0, 7.0], requires_grad=True)
    quantizer = PACT(bits=2, start=2.0)
    (quantizer(x) * torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])).sum().backward()
    assert x.grad.tolist() == [0, 2, 4, 0, 0]
    assert float(quantizer.alpha.grad) == 24
    torch.testing.assert_close(quantizer(x).detach(), torch.tensor([0.0, 0, 2, 2, 2]))


def test_alpha_begins_at_the_largest_value_or_where_it_is_told_and_decays():
    assert float(calibrated(PACT(), torch.tensor([-3.0, 2.5])).alpha.detach()) == 2.5
    net = nn.Sequential(nn.Linear(3, 2))
    attach(net, "*", lambda: PACT(start=10.0))
    penalty = AlphaDecay(0.5)(net)
    penalty.backward()
    assert float(penalty.detach()) == 50
    assert float(net[0].input_quantizer.alpha.grad) == 10
    with pytest.raises(UsageError, match="no layer has a PACT"):
        AlphaDecay({"1": 0.5})(net)
    detach(net)
    with pytest.raises(UsageError, match="no layer has a PACT"):
        AlphaDecay(0.5)(net)
    with pytest.raises(UsageError, match="no value above 0 came here in calibration"):
        calibrated(PACT(), torch.tensor([-3.0, -2.5]))
    with pytest.raises(UsageError, match="start 0 is not a positive number"):
        PACT(start=0.0)


def test_a_state_dict_has_the_scale_of_the_alpha_of_that_moment():
    quantizer = PACT(bits=2, start=3.0)
    with torch.no_grad():
        quantizer.alpha.fill_(6.0)
    assert float(quantizer.state_dict()["scale"]) == 2.0
    assert float(plain_state(quantizer)["scale"]) == 2.0


def by_hand(x, step, low, high, count):
    """Equation 3 and section 2.2 of arXiv:1902.08153, one value at a time."""
    total = 0.0
    for value in x.flatten().tolist():
        v = value / step
        total += low if v <= low else high if v >= high else round(v) - v
    return total / np.sqrt(count * high)


def test_a_learned_step_has_the_gradients_of_equation_3():
    x = (gaussian(4, 5) * 3).requires_grad_()
    quantizer = calibrated(LearnedStep(bits=3), x.detach())
    step = float(quantizer.step.detach())
    assert step == pytest.approx(2 * x.abs().mean().item() / np.sqrt(3))
    quantizer(x).sum().backward()
    assert float(quantizer.step.grad) == pytest.approx(by_hand(x, step, -4, 3, 5), rel=1e-5)
    v = x.detach() / step
    assert torch.equal(x.grad, ((v >= -4) & (v <= 3)).float())
    assert int(quantizer.zero_point) == 4
    unsigned = calibrated(LearnedStep(bits=3), x.detach().relu())
    assert int(unsigned.zero_point) == 0
    assert unsigned(x.detach() * 100).max().item() == pytest.approx(7 * float(unsigned.scale))


def test_lsq_weights_have_the_same_gradients_and_their_step_is_trained():
    layer = nn.Linear(5, 4, bias=False)
    with torch.no_grad():
        layer.weight.copy_(gaussian(4, 5))
    weight = layer.weight.detach().clone()
    step = represent(layer, LSQ(bits=3))
    s = float(step.scale.detach())
    assert s == pytest.approx(2 * float(weight.abs().mean()) / np.sqrt(3))
    layer.weight.sum().backward()
    assert float(step.scale.grad) == pytest.approx(by_hand(weight, s, -4, 3, 20), rel=1e-4)
    assert step.scale in set(layer.parameters())
    with torch.no_grad():
        step.scale.mul_(1.5)
    assert torch.equal(step.values(step.codes(weight)), layer.weight.detach())


def test_a_learned_step_does_not_begin_where_all_weights_of_one_magnitude_are_0():
    weight = torch.tensor([[0.5, -0.5], [0.5, 0.0]])
    step = LSQ(bits=2)
    step.fit(weight)  # the paper's first step is 1: ±½ rounds to 0
    assert torch.equal(step(weight).detach(), weight)


def test_few_bits_are_evenly_from_0_to_1_and_the_gradient_stays_inside():
    x = torch.tensor([-0.1, 0.0, 0.4, 1.0, 1.1], requires_grad=True)
    y = DoReFaActivation(bits=2)(x)
    torch.testing.assert_close(y.detach(), torch.tensor([0, 0, 1 / 3, 1, 1]))
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]
    assert torch.equal(WRPNActivation(bits=2)(x), y)


def test_quantized_gradients_are_on_2_to_the_k_values_and_right_in_the_mean():
    torch.manual_seed(0)
    gradient = gaussian(2, 6) * torch.tensor([[1.0], [1e-3]])
    drawn = torch.stack([quantized_gradient(gradient, 3) for _ in range(4000)])
    largest = gradient.abs().amax(1, keepdim=True)
    steps = (drawn / (2 * largest) + 0.5) * 3
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    # Its end may be reached by the noise alone, and is then cut off there.
    inner = gradient.abs() < 0.8 * largest
    error = ((drawn.mean(0) - gradient) / largest).abs()
    assert float(error[inner].max()) < 0.03
    x = gaussian(3, 4).requires_grad_()
    quantizer = DoReFaGradient(bits=2)
    (quantizer(x) * gaussian(3, 4, seed=1)).sum().backward()
    assert len((x.grad[0] / x.grad[0].abs().max()).round(decimals=4).unique()) <= 4
    assert quantizer.eval()(x) is x


def test_signs_have_no_zero_and_their_gradient_ends_at_one():
    x = torch.tensor([-1.5, -1.0, -0.0, 0.0, 0.5, 1.5], requires_grad=True)
    y = SignActivation()(x)
    y.sum().backward()
    assert y.tolist() == [-1, -1, 1, 1, 1, 1]
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 0]


class Alone(nn.Module):
    def __init__(self):
        super().__init__()
        values = gaussian(64)
        self.parts = nn.ModuleList(
            [
                PACT(bits=3, start=2.0), calibrated(LearnedStep(bits=5), values),
                DoReFaActivation(bits=4), SignActivation(), PACT(bits=8, start=1.5), PACT(10, 1.0),
            ]
        )  # fmt: skip

    def forward(self, x):
        return torch.cat([part(x) for part in self.parts], 1)


def test_programs_compute_what_torch_computes_bit_for_bit():
    module, x = Alone().eval(), gaussian(16, 32, seed=3) * 2
    program = capture(module, x[:2])
    tensors = {name: value.numpy() for name, value in plain_state(module).items()}
    with torch.no_grad():
        expected = module(x).numpy() + 0.0
    for engine in (NumpyExecutor, NativeExecutor):
        (found,) = engine(program, tensors).run({"x": x.numpy()})
        np.testing.assert_array_equal(found + 0.0, expected, str(engine))
    # α and s of learned ranges are no tensors of a file; their scales are.
    assert [name for name in tensors if name.endswith(("alpha", "step"))] == []


def signed(conv):
    """Weights ±α, one α a filter: E|w| (arXiv:1603.05279, equation 6)."""
    with torch.no_grad():
        alpha = conv.weight.abs().mean((1, 2, 3), keepdim=True)
        conv.weight.copy_(torch.where(conv.weight >= 0, alpha, -alpha))
    return conv


def test_xnor_is_equation_11_with_the_magnitude_of_what_is_there_at_borders():
    torch.manual_seed(0)
    conv = signed(nn.Conv2d(6, 4, 3, stride=2, padding=1))
    x = gaussian(2, 6, 7, 7)
    signs = torch.where(x >= 0, 1.0, -1.0)
    magnitude = x.abs().mean(1, keepdim=True)
    box = torch.ones(1, 1, 3, 3)
    total = functional.conv2d(magnitude, box, stride=2, padding=1)
    present = functional.conv2d(torch.ones_like(magnitude), box, stride=2, padding=1)
    expected = functional.conv2d(signs, conv.weight, stride=2, padding=1) * (total / present)
    expected = expected + conv.bias[:, None, None]
    net = nn.Sequential(conv)
    attach(net, "*", Xnor)
    with torch.no_grad():
        torch.testing.assert_close(net(x), expected)
    assert int(present.min()) < 9
    assert net[0].input_quantizer.magnitude is None


def test_a_border_of_constant_inputs_is_exact():
    """|x| = c everywhere: sign(x) · c is x, so K must be c at the border too."""
    conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    x = torch.where(gaussian(1, 2, 5, 5) >= 0, 0.7, -0.7)
    net = nn.Sequential(signed(conv))
    with torch.no_grad():
        expected = net(x)
        attach(net, "*", Xnor)
        torch.testing.assert_close(net(x), expected)


def test_a_binary_network_runs_in_the_runtime_with_its_k():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.BatchNorm2d(8), signed(nn.Conv2d(8, 16, 3, padding=1, bias=False)), nn.MaxPool2d(2),
        nn.Flatten(), nn.BatchNorm1d(144), nn.Linear(144, 3),
    ).eval()  # fmt: skip
    with torch.no_grad():  # else half of the signs stand on sums that are exactly 0
        net[4].bias.fill_(0.01)
    attach(net, "1", Xnor)
    attach(net, "5", Xnor)
    x = gaussian(3, 8, 6, 6)
    session = runtime.load(pack_model_bytes(net, example_input=x[:1]))
    with torch.no_grad():
        expected = net(x).numpy()
    np.testing.assert_allclose(session.run(x.numpy())[0], expected, rtol=1e-4, atol=1e-5)


def test_k_of_layers_without_one_is_refused():
    grouped = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2))
    attach(grouped, "*", Xnor)
    with pytest.raises(UnsupportedError, match="K needs one group, no dilation and a padding of"):
        grouped(gaussian(1, 4, 5, 5))
    line = nn.Sequential(nn.Conv1d(4, 4, 3))
    attach(line, "*", Xnor)
    with pytest.raises(UnsupportedError, match="K is of Conv2d and Linear"):
        line(gaussian(1, 4, 5))


def test_a_network_of_four_bits_trains_its_steps():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    attach(net, "*", lambda: LearnedStep(bits=4))
    x = gaussian(64, 6)
    calibrate(net, [x])
    before = float(net[2].input_quantizer.step.detach())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    labels = (x[:, 0] > 0).long()
    first = functional.cross_entropy(net(x), labels).item()
    for _ in range(20):
        optimizer.zero_grad()
        functional.cross_entropy(net(x), labels).backward()
        optimizer.step()
    assert functional.cross_entropy(net(x), labels).item() < first
    assert float(net[2].input_quantizer.step.detach()) != before
