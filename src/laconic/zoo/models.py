"""The networks that laconic knows by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from laconic.zoo.lenet import LeNet5, LeNet300, WideLeNet5
from laconic.zoo.lstm import LanguageLSTM
from laconic.zoo.resnet import ProjectionResNet, ResNet
from laconic.zoo.vgg import SmallVGG

MODELS: dict[str, Callable[[], nn.Module]] = {
    "lenet-300-100": LeNet300,
    "lenet5": LeNet5,
    "lenet5-wide": WideLeNet5,
    "resnet20": partial(ResNet, 20),
    "resnet32": partial(ResNet, 32),
    "resnet44": partial(ResNet, 44),
    "resnet56": partial(ResNet, 56),
    "resnet110": partial(ResNet, 110),
    "resnet20-wide": partial(ResNet, 20, width=2),
    "resnet20-projection": ProjectionResNet,
    "ptb-lstm": LanguageLSTM,
    "vgg-small": SmallVGG,
}
"""Name → a call that makes the network, with fresh weights from torch's global generator."""
