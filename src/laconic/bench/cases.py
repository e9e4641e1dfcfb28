"""What is timed, and what the times must be: each network with its settings and goals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from laconic.bench import networks, restrict
from laconic.zoo import MODELS

BATCHES = (1, 32)
THREADS = (1, 2)


@dataclass(frozen=True)
class Setting:
    """A restriction of the weights, and how many times faster than its rivals it must be."""

    name: str
    sparsity: float
    least: float | None = None
    """Rivals' time over ours, of the faster of the float32 rivals; below 1: we may be slower."""
    least_int8: float | None = None
    """The same against the fastest 8-bit rival."""
    batches: tuple[int, ...] = BATCHES
    """At which the goals hold."""
    most_bytes: float | None = None
    """Memory of the weights, in bytes a non-zero."""


@dataclass(frozen=True)
class Case:
    """A network and what is done to it; the rivals run it dense."""

    name: str
    title: str
    build: Callable[[], nn.Module]
    shapes: Callable[[int], tuple[tuple[int, ...], ...]]
    """Batch → the shape of each input."""
    settings: tuple[Setting, ...]
    is_pointwise: bool = False
    """Only 1×1 convolutions are pruned."""
    is_shared: bool = False
    """Non-zeros take 31 values: with 0, a codebook of 5 bits."""
    has_int8: bool = False
    """Rivals also run it quantized to 8 bits."""
    has_dynamic_batch: bool = True
    """One file for every batch; otherwise one for each."""
    batches: tuple[int, ...] = BATCHES

    def inputs(self, batch: int) -> list[Tensor]:
        """Values of a normal distribution, the same each time."""
        generator = torch.Generator().manual_seed(batch)
        return [torch.randn(shape, generator=generator) for shape in self.shapes(batch)]

    def model(self) -> nn.Module:
        """The dense network, with the same weights each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made = self.build().eval()
        restrict.settle(made, self.inputs(8 if self.has_dynamic_batch else 1))
        return made

    def restricted(self, setting: Setting) -> nn.Module:
        """The network under a setting."""
        made = self.model()
        generator = torch.Generator().manual_seed(1)
        if setting.sparsity:
            for weight in restrict.weights(made, self.is_pointwise):
                restrict.prune_at_random(weight.data, setting.sparsity, generator)
                if self.is_shared:
                    restrict.share(weight.data)
        return made


def images(size: int, channels: int = 3) -> Callable[[int], tuple[tuple[int, ...], ...]]:
    """Shapes of a batch of square images."""
    return lambda batch: ((batch, channels, size, size),)


def rows(size: int) -> Callable[[int], tuple[tuple[int, ...], ...]]:
    """Shapes of a batch of vectors."""
    return lambda batch: ((batch, size),)


def states(size: int) -> Callable[[int], tuple[tuple[int, ...], ...]]:
    """One step of two LSTM layers, and their states."""
    return lambda batch: ((1, batch, size), (2, batch, size), (2, batch, size))


CIFAR = (
    Setting("90 % zeros", 0.9, 5, 2),
    Setting("80 % zeros", 0.8, 3.2),
    Setting("70 % zeros", 0.7, 2.2),
    Setting("50 % zeros", 0.5, 1.5),
    Setting("dense", 0.0, 1 / 1.2),
)
DENSE = Setting("dense", 0.0, 1 / 1.3)
IMAGENET = (Setting("90 % zeros", 0.9, 3.5), Setting("80 % zeros", 0.8, 2.2), DENSE)
CASES = {
    case.name: case
    for case in (
        Case("resnet56", "ResNet-56 at 32×32", MODELS["resnet56"], images(32), CIFAR,
             has_int8=True),
        Case("resnet50", "ResNet-50 at 224×224", networks.resnet50, images(224), IMAGENET,
             has_int8=True),
        Case("vgg16", "VGG-16 at 224×224", networks.vgg16, images(224), IMAGENET),
        Case("mobilenet-v2", "MobileNet-v2 at 224×224", networks.mobilenet_v2, images(224),
             (Setting("85 % zeros in 1×1", 0.85, 2), DENSE), is_pointwise=True),
        Case("linear", "Linear 4096×9216", partial(nn.Linear, 9216, 4096), rows(9216),
             (Setting("91 % zeros, 5 bits", 0.91, 6, batches=(1,), most_bytes=3.2),),
             is_shared=True),
        # One step of one sequence, as text is made word by word, is batch 1; the goal names no
        # batch, so it is asked of 32 sequences side by side too.
        Case("lstm", "LSTM 2×650, one step", networks.LstmStep, states(650),
             (Setting("90 % zeros", 0.9, 4),), has_dynamic_batch=False),
        Case("binary", "Binary 3×3, 256→256, 14×14", networks.BinaryConvolution, images(14, 256),
             (Setting("binary", 0.0, 8),)),
    )
}  # fmt: skip
SHORT_CASES = {
    case.name: case
    for case in (
        Case("resnet20", "ResNet-20 at 32×32", MODELS["resnet20"], images(32),
             (Setting("90 % zeros", 0.9), Setting("dense", 0.0)), batches=(2,)),
        Case("linear", "Linear 256×512", partial(nn.Linear, 512, 256), rows(512),
             (Setting("91 % zeros, 5 bits", 0.91),), is_shared=True, batches=(2,)),
        Case("lstm", "LSTM 2×32, one step", partial(networks.LstmStep, 32), states(32),
             (Setting("90 % zeros", 0.9),), has_dynamic_batch=False, batches=(2,)),
        Case("binary", "Binary 3×3, 32→32, 7×7", partial(networks.BinaryConvolution, 32),
             images(7, 32), (Setting("binary", 0.0),), batches=(2,)),
    )
}  # fmt: skip
"""Small enough for seconds in all; without goals."""
