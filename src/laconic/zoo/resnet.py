"""Residual networks for CIFAR-10 (He et al., arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from laconic.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Float


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a parameter-free shortcut (the paper's option A).

    Where the block halves the image, the shortcut takes every second pixel and fills the new
    channels with zeros, half of them before and half after the old ones.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.stride = stride
        before, rest = divmod(channels_out - channels_in, 2)
        self.pad = nn.ConstantPad3d((0, 0, 0, 0, before, before + rest), 0.0)

    def forward(self, maps: Float[Tensor, "batch in h w"]) -> Float[Tensor, "batch out h2 w2"]:
        """relu(bn2(conv2(relu(bn1(conv1(maps))))) + shortcut(maps))."""
        residual = functional.relu(self.bn1(self.conv1(maps)))
        residual = self.bn2(self.conv2(residual))
        return functional.relu(residual + self._shortcut(maps))

    def _shortcut(self, maps: Tensor) -> Tensor:
        if self.stride == 1:
            return maps
        return self.pad(maps[..., :: self.stride, :: self.stride])  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """CIFAR ResNet of `depth` = 6n + 2 layers: three groups of n blocks with 16, 32, 64 channels.

    With a `width` of 2 or more every layer but the first input and the classes has so many times
    the channels, as WRPN (arXiv:1709.01134) widens networks of low precision.

    Parameters: 269,722 at depth 20, 464,154 at 32, 658,586 at 44, 853,018 at 56, 1,727,962 at 110.
    Convolutions and the last layer start as He et al. draw them (arXiv:1502.01852). Module names
    are those of the weights published by akamaster/pytorch_resnet_cifar10, which expect RGB / 255
    less the mean (.485, .456, .406), over the deviation (.229, .224, .225).

    Raises:
        UsageError: the depth is not 6n + 2, or the width is below 1.

    Examples:
        >>> import torch
        >>> ResNet(20)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, depth: int, width: int = 1) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if blocks < 1 or rest:
            raise UsageError(
                f"no CIFAR ResNet has depth {depth}; the depth is 6n + 2: 8, 14, 20, 32, …"
            )
        if width < 1:
            raise UsageError(
                f"width {width} leaves no channel; 1 is the paper's, 2 is twice as wide"
            )
        first, second, third = 16 * width, 32 * width, 64 * width
        self.conv1 = nn.Conv2d(3, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.layer1 = _group(BasicBlock, first, first, blocks, stride=1)
        self.layer2 = _group(BasicBlock, first, second, blocks, stride=2)
        self.layer3 = _group(BasicBlock, second, third, blocks, stride=2)
        self.linear = nn.Linear(third, 10)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch 10"]:
        """Images → logits."""
        maps = functional.relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        return self.linear(maps.mean((2, 3)))  # type: ignore[no-any-return]


class ProjectionBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut with a 1×1 convolution (the paper's option B)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample = nn.Sequential()
        if stride != 1:
            self.downsample.append(nn.Conv2d(channels_in, channels_out, 1, stride, bias=False))
            self.downsample.append(nn.BatchNorm2d(channels_out))

    def forward(self, maps: Float[Tensor, "batch in h w"]) -> Float[Tensor, "batch out h2 w2"]:
        """relu(bn2(conv2(relu(bn1(conv1(maps))))) + downsample(maps))."""
        residual = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(maps)))))
        return functional.relu(residual + self.downsample(maps))


class ProjectionResNet(nn.Module):
    """ResNet-20 with projections: 272,474 parameters, named as Distiller's published files.

    They expect RGB in [0, 1], less 0.5, over 0.5.

    Examples:
        >>> import torch
        >>> ProjectionResNet()(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _group(ProjectionBlock, 16, 16, 3, stride=1)
        self.layer2 = _group(ProjectionBlock, 16, 32, 3, stride=2)
        self.layer3 = _group(ProjectionBlock, 32, 64, 3, stride=2)
        self.fc = nn.Linear(64, 10)

    def forward(self, images: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch 10"]:
        """Images → logits."""
        maps = functional.relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        return self.fc(maps.mean((2, 3)))  # type: ignore[no-any-return]


def _group(
    block: type[nn.Module], channels_in: int, channels_out: int, blocks: int, stride: int
) -> nn.Sequential:
    first = block(channels_in, channels_out, stride)
    rest = [block(channels_out, channels_out, 1) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
