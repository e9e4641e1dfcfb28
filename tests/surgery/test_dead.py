"""What computes nothing is found and removed; what still gives a constant stays."""

import pytest
import torch
from torch import nn

from laconic import zoo
from laconic.errors import UsageError
from laconic.surgery import Groups, dead_units, recalibrate, remove_dead, remove_layers


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def resnet():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return zoo.resolve_model("resnet20").eval()


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_channels_that_nobody_reads_go():
    model = resnet()
    with torch.no_grad():
        model.layer1[0].conv2.weight[:, [2, 5]] = 0
        model.layer3[1].conv2.weight[:, 10:30] = 0
    before = model(noise(2, 3, 32, 32))
    assert dead_units(model, Groups(model, noise(1, 3, 32, 32))) == {
        "layer1.0.conv1": [2, 5], "layer3.1.conv1": list(range(10, 30))
    }  # fmt: skip
    remove_dead(model, noise(2, 3, 32, 32))
    assert model.layer1[0].conv1.out_channels == 14
    assert model.layer3[1].conv1.out_channels == 44
    assert torch.allclose(model(noise(2, 3, 32, 32)), before, atol=1e-5)


def test_a_filter_of_zeros_stays_where_its_normalisation_gives_a_constant():
    model = resnet()
    with torch.no_grad():
        model.layer1[0].conv1.weight[[1, 4]] = 0
        model.layer1[0].bn1.bias[1], model.layer1[0].bn1.bias[4] = 0.5, -0.5
    before = model(noise(2, 3, 32, 32))
    remove_dead(model, noise(2, 3, 32, 32))
    assert model.layer1[0].conv1.out_channels == 15  # ReLU makes zero of -0.5
    assert torch.allclose(model(noise(2, 3, 32, 32)), before, atol=1e-5)


def test_whole_layers_of_zeros_go_and_their_constant_stays():
    model = resnet()
    with torch.no_grad():
        model.layer2[1].conv2.weight.zero_()
        model.layer2[1].bn2.bias.normal_()
    before, count = model(noise(2, 3, 32, 32)), parameters(model)
    (cut,) = remove_dead(model, noise(2, 3, 32, 32))
    assert cut.identities == ["layer2.1.conv2", "layer2.1.conv1", "layer2.1.bn1"]
    assert parameters(model) == count - 2 * 32 * 32 * 9 - 64
    assert torch.allclose(model(noise(2, 3, 32, 32)), before, atol=1e-5)


def test_a_network_without_zeros_stays_as_it_is():
    model = resnet()
    count = parameters(model)
    assert remove_dead(model, noise(1, 3, 32, 32)) == []
    assert parameters(model) == count


def test_a_residual_block_can_go_whole():
    model = resnet()
    remove_layers(model, noise(1, 3, 32, 32), ["layer1.1", "layer3.2"])
    assert isinstance(model.layer1[1], nn.Identity)
    assert model(noise(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("layer2.0", r"layer2.0 takes \[1, 16, 32, 32\] and gives \[1, 32, 16, 16\]; only"),
        ("layer9", "no module 'layer9' takes and gives a tensor; there are: conv1, bn1"),
    ],
    ids=["a block that halves the image", "no such block"],
)
def test_a_block_that_cannot_go_is_refused(path, message):
    with pytest.raises(UsageError, match=message):
        remove_layers(resnet(), noise(1, 3, 32, 32), [path])


def test_statistics_are_those_of_the_examples():
    model = resnet().train()
    images = noise(24, 3, 32, 32)
    assert recalibrate(model, images.split(8)) == 19
    maps = torch.nn.functional.conv2d(images, model.conv1.weight, padding=1)
    assert torch.allclose(model.bn1.running_mean, maps.mean((0, 2, 3)), atol=1e-5)
    assert model.training
    assert model.bn1.momentum == 0.1


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (nn.Linear(2, 2), [noise(2, 2)], "no BatchNorm layer with running statistics"),
        (nn.BatchNorm1d(2), [], "there is no input to measure BatchNorm statistics on"),
    ],
    ids=["no such layer", "no input"],
)
def test_nothing_to_measure_is_refused(model, inputs, message):
    with pytest.raises(UsageError, match=message):
        recalibrate(model, inputs)
