"""BatchNorm folded into the layer before it."""

import pytest
import torch
from torch import nn

from laconic.errors import UnsupportedError, UsageError
from laconic.prune import Prune
from laconic.quantize import Static, Uniform, attach
from laconic.represent import represent
from laconic.surgery import Cut, apply_cut, cuts, fold_batchnorm
from laconic.zoo.resnet import ResNet


def awake(model):
    """Statistics and affine parameters that matter, as after training."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.1, 3, generator=generator)
            if module.affine:
                module.weight.data.normal_(generator=generator)
                module.bias.data.normal_(generator=generator)
    return model.eval()


def images(channels=3, size=16):
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (nn.Sequential(nn.Conv2d(3, 8, 3, groups=1), nn.BatchNorm2d(8), nn.ReLU()), images()),
        (nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), nn.BatchNorm2d(8, affine=False)), images(4)),
        (nn.Sequential(nn.Linear(5, 8, bias=False), nn.BatchNorm1d(8)), torch.randn(4, 5)),
        (ResNet(8), images()),
    ],
    ids=["a convolution", "a depthwise one without γ", "a linear layer", "ResNet-8"],
)
def test_the_folded_network_computes_the_same(model, example):
    awake(model)
    with torch.no_grad():
        before = model(example)
        cut = fold_batchnorm(model, example)
        after = model(example)
    assert (before - after).abs().max() <= 1e-5 * before.abs().max()
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms == []
    assert cuts(model) == [cut]


def test_a_fold_is_done_again_on_a_fresh_network_from_json():
    model, fresh = awake(ResNet(8)), ResNet(8)
    cut = fold_batchnorm(model, images())
    apply_cut(fresh, Cut.from_json(cut.as_json()))
    fresh.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(fresh.eval()(images()), model(images()))


def test_pruned_zeros_stay_under_their_mask():
    model = awake(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    represent(model[0], Prune(0.75))
    with torch.no_grad():
        before = model(images())
        fold_batchnorm(model, images())
        assert (before - model(images())).abs().max() <= 1e-5 * before.abs().max()
    assert int((model[0].weight == 0).sum()) == round(0.75 * model[0].weight.numel())


def test_a_grid_on_the_weight_is_refused_by_name():
    model = awake(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    represent(model[0], Uniform(bits=4))
    with pytest.raises(UnsupportedError, match=r"^0\.weight: Uniform\(bits=4.* fold BatchNorm bef"):
        fold_batchnorm(model, images())
    assert isinstance(model[1], nn.BatchNorm2d)


def test_a_mask_on_the_bias_is_refused_by_name():
    model = awake(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    represent(model[0], Prune(0.5), "bias")
    with pytest.raises(
        UnsupportedError, match=r"^0\.bias: Prune\(sparsity=0\.5.* restricts it, and"
    ):
        fold_batchnorm(model, images())


def test_quantized_activations_are_refused_by_name():
    model = awake(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    attach(model, "0", Static)
    with pytest.raises(UnsupportedError, match=r"^0: it has an input_quantizer, .* fold BatchNor"):
        fold_batchnorm(model, images())


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.conv(self.norm(self.conv(x))))


class ReadTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x):
        inner = self.conv(x)
        return self.norm(inner) + inner


def test_layers_that_are_called_or_read_twice_are_refused_by_name():
    with pytest.raises(UnsupportedError, match=r"^conv: .* calls conv 2 times"):
        fold_batchnorm(awake(Twice()), images())
    with pytest.raises(UnsupportedError, match=r"^conv and norm are not one layer: folded"):
        fold_batchnorm(awake(ReadTwice()), images())


def test_nothing_to_fold_is_an_error():
    with pytest.raises(UsageError, match="no BatchNorm with running statistics stands right behi"):
        fold_batchnorm(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)), images())
