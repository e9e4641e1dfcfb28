"""A small VGG for CIFAR-10."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Float


class SmallVGG(nn.Module):
    """Six 3×3 convolutions in three pairs of 16, 32 and 64 maps, then 1024 → 256 → 10.

    The layout of VGG (Simonyan, Zisserman, arXiv:1409.1556) for images of 32×32: each pair ends in
    2×2 max pooling, and ReLUs follow all layers but the last. BatchNorm, which VGG-16 did not have,
    follows each convolution, so that it trains in a few epochs; 337,274 parameters.

    Examples:
        >>> import torch
        >>> SmallVGG()(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        for number, (maps_in, maps) in enumerate(
            [(3, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64)], 1
        ):
            self.add_module(f"conv{number}", nn.Conv2d(maps_in, maps, 3, padding=1, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(maps))
        self.fc1 = nn.Linear(1024, 256)
        self.fc2 = nn.Linear(256, 10)

    def forward(self, images: Float[Tensor, "batch 3 32 32"]) -> Float[Tensor, "batch 10"]:
        """Images → logits."""
        maps = images
        for number in range(1, 7):
            maps = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(maps))
            maps = functional.relu(maps)
            if number % 2 == 0:
                maps = functional.max_pool2d(maps, 2)
        hidden = functional.relu(self.fc1(maps.flatten(1)))
        return self.fc2(hidden)  # type: ignore[no-any-return]
