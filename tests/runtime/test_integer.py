"""Integer-only inference against the network that rounds in floats."""

import numpy as np
import pytest
import torch
from torch import nn

from laconic.container import LacFile
from laconic.container import program as program_section
from laconic.errors import UnsupportedError
from laconic.pack import pack_model_bytes
from laconic.pack.qdq import with_integer_weights
from laconic.quantize import Static, Uniform, attach, calibrate, quantize_biases
from laconic.represent import represent_layers, weights
from laconic.runtime.integer import IntegerExecutor, Scaled, fixed_point, rescaled
from laconic.surgery import fold_batchnorm
from laconic.zoo.lenet import LeNet5
from laconic.zoo.resnet import ResNet
from laconic.zoo.tasks import digits


def integer_form(net, example):
    """The executor of a network's file, and the name of its input."""
    with LacFile(pack_model_bytes(net, example_input=example)) as file:
        program = program_section.decode(file.section("program"), list(file.entries), 0)
        quantized = with_integer_weights(program, file)
        names = [n for n in quantized.program.free_names() if n not in quantized.arrays]
        tensors = {**quantized.arrays, **{name: file.array(name) for name in names}}
    return IntegerExecutor(quantized.program, tensors), program.inputs[0].name


def quantized(net, batches, bits=8):
    represent_layers(net, {name: Uniform(8, axis=0) for name in weights(net)})
    attach(net, "*", lambda: Static(bits=bits))
    calibrate(net, batches)
    quantize_biases(net)
    return net.eval()


def agreement(net, x):
    executor, name = integer_form(net, x[:1])
    found = executor.run({name: x.numpy()})[0]
    assert found.dtype == np.int64
    with torch.no_grad():
        expected = net(x).numpy()
    return float((found.argmax(1) == expected.argmax(1)).mean())


def test_a_multiplier_is_an_integer_of_31_bits_and_a_shift():
    for factor in (1e-9, 0.000123, 0.5, 0.99999999999, 1.0, 77.7):
        multiplier, shift = fixed_point(factor)
        assert 2**30 <= multiplier < 2**31
        assert multiplier * 2.0**-shift == pytest.approx(factor, rel=2e-9)


def test_channels_come_to_one_scale_each_by_its_own_multiplier():
    codes = np.arange(-12, 12).reshape(2, 3, 4)
    scale = np.array([0.5, 0.01, 3.0])
    found = rescaled(Scaled(codes, scale), np.asarray(0.001))
    expected = codes * scale[:, None] / 0.001
    assert np.abs(found - expected).max() <= 0.5
    with pytest.raises(UnsupportedError, match="a sum does not fit into 31 bits"):
        rescaled(Scaled(np.array([2**40]), np.asarray(1.0)), np.asarray(0.5))


@pytest.mark.parametrize(
    ("exponent", "expected"), [(-31, [1, -1]), (-32, [0, 0]), (-33, [0, 0]), (-80, [0, 0])]
)
def test_the_scale_of_a_dead_channel_is_next_to_nothing(exponent, expected):
    codes = np.array([2**31 - 1, 1 - 2**31])
    found = rescaled(Scaled(codes, np.float64(2.0**exponent)), np.asarray(1.0))
    assert found.tolist() == expected


@pytest.mark.parametrize("bits", [8, 4])
def test_lenet_on_digits_has_the_same_argmax_as_in_floats(bits):
    torch.manual_seed(0)
    task, net = digits(), LeNet5()
    x = torch.cat([inputs for inputs, _ in task.batches("test")])
    batches = [inputs for inputs, _ in task.batches("train", seed=0)][:8]
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for inputs, labels in task.batches("train", seed=1):
        optimizer.zero_grad()
        task.loss(net(inputs), labels).backward()
        optimizer.step()
    assert agreement(quantized(net, batches, bits), x) >= 0.999


def test_shortcuts_strides_and_means_are_integers_too():
    torch.manual_seed(0)
    net, x = ResNet(8), torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    net.train()
    with torch.no_grad():
        net(x)  # statistics of its norms
        fold_batchnorm(net.eval(), x[:2])
    assert agreement(quantized(net, [x]), x) >= 0.98


def test_sequences_are_integers_too():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 5))  # as many as are in a row
    x = torch.randn(32, 5, 6, generator=torch.Generator().manual_seed(0))
    net = quantized(net, [x])
    executor, name = integer_form(net, x[:1])
    found = executor.run({name: x.numpy()})[0] * float(executor.unit)
    with torch.no_grad():
        expected = net(x).numpy()
    assert np.abs(found - expected).max() <= 0.01 * np.abs(expected).max()


def test_floats_on_the_way_are_refused():
    net = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2))
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    net = quantized(net, [x])
    executor, name = integer_form(net, x[:1])
    with pytest.raises(UnsupportedError, match="Sigmoid has no form in integers"):
        executor.run({name: x.numpy()})
    with pytest.raises(UnsupportedError, match="the program has no QuantizeLinear"):
        integer_form(nn.Linear(4, 2), x[:1])


@pytest.mark.slow
def test_resnet_20_has_the_same_argmax_as_in_floats():
    from laconic.studies.second_order import pretrained
    from laconic.zoo.tasks import cifar10

    task, net = cifar10(), pretrained("resnet20", ResNet(20))
    batches = task.batches("train", seed=0)
    training = [next(batches)[0] for _ in range(3)]
    x = torch.cat([inputs for inputs, _ in task.batches("test")])[:500]
    fold_batchnorm(net, x[:2])
    assert agreement(quantized(net, training), x) >= 0.998
