"""Networks whose time is measured; their weights are drawn, as time does not depend on training.

ResNet-50 (arXiv:1512.03385, table 1; the stride in the 3×3 convolution), VGG-16 (arXiv:1409.1556,
column D) and MobileNet-v2 (arXiv:1801.04381, table 2) at 224×224, 1000 classes; a linear layer, a
step of an LSTM and a binary convolution alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions around a shortcut; four times as wide outside as inside."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.narrow = convolution(channels_in, width, 1)
        self.middle = convolution(width, width, 3, stride)
        self.widen = convolution(width, 4 * width, 1)
        self.shortcut = (
            nn.Identity()
            if channels_in == 4 * width and stride == 1
            else convolution(channels_in, 4 * width, 1, stride)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, in, h, w] to [batch, 4 width, h / stride, w / stride]."""
        inner = functional.relu(self.middle(functional.relu(self.narrow(maps))))
        return functional.relu(self.widen(inner) + self.shortcut(maps))


class InvertedResidual(nn.Module):
    """A 1×1 expansion, a depthwise 3×3 and a linear 1×1; a shortcut where the shape stays."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * channels_in
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [convolution(channels_in, inner, 1), nn.ReLU6()]
        layers += [convolution(inner, inner, 3, stride, groups=inner), nn.ReLU6()]
        self.layers = nn.Sequential(*layers, convolution(inner, channels_out, 1))
        self.has_shortcut = stride == 1 and channels_in == channels_out

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, in, h, w] to [batch, out, h / stride, w / stride]."""
        found: Tensor = self.layers(maps)
        return maps + found if self.has_shortcut else found


class Averaged(nn.Module):
    """Features, their mean over the image, a linear layer."""

    def __init__(self, features: nn.Module, channels: int, classes: int = 1000) -> None:
        super().__init__()
        self.features = features
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, 3, h, w] to [batch, classes]."""
        scores: Tensor = self.classifier(self.features(images).mean((2, 3)))
        return scores


class LstmStep(nn.Module):
    """Two LSTM layers over a sequence, with their states as inputs and outputs."""

    def __init__(self, size: int = 650) -> None:
        super().__init__()
        self.lstm = nn.LSTM(size, size, 2)

    def forward(self, step: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Step [time, batch, size]; hidden and cell [2, batch, size]."""
        outputs, (hidden, cell) = self.lstm(step, (hidden, cell))
        return outputs, hidden, cell


class BinaryConvolution(nn.Module):
    """Signs of the input convolved with signs, times a scale for each output (XNOR-Net)."""

    def __init__(self, channels: int = 256) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        weight = self.convolution.weight.data
        scale = weight.abs().mean((1, 2, 3), keepdim=True)
        self.convolution.weight.data = torch.where(weight >= 0, scale, -scale)

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, h, w], the same."""
        found: Tensor = self.convolution(torch.where(maps >= 0, 1.0, -1.0))
        return found


def convolution(
    channels_in: int, channels_out: int, size: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution that keeps the image's size (divided by the stride), and BatchNorm."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
    )


def resnet50() -> nn.Module:
    """3, 4, 6 and 3 bottlenecks of width 64, 128, 256 and 512."""
    layers: list[nn.Module] = [convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for group, blocks in enumerate((3, 4, 6, 3)):
        width = 64 << group
        for block in range(blocks):
            layers.append(Bottleneck(channels, width, 2 if group and block == 0 else 1))
            channels = 4 * width
    return Averaged(nn.Sequential(*layers), channels)


def vgg16() -> nn.Module:
    """Thirteen 3×3 convolutions in five groups, three linear layers."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(512 * 7 * 7, 4096), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000))


def mobilenet_v2() -> nn.Module:
    """Seventeen inverted residuals of width 16 to 320."""
    layers: list[nn.Module] = [convolution(3, 32, 3, 2), nn.ReLU6()]
    channels = 32
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip
    for expansion, width, count, stride in rows:
        for block in range(count):
            step = stride if block == 0 else 1
            layers.append(InvertedResidual(channels, width, step, expansion))
            channels = width
    layers += [convolution(channels, 1280, 1), nn.ReLU6()]
    return Averaged(nn.Sequential(*layers), 1280)
