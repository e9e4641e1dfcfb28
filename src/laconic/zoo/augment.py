"""Random and fixed changes to a batch of images, for `ArrayTask`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped, UInt8


def shift(
    images: Shaped[Tensor, "batch channels h w"], pixels: int, generator: Generator
) -> Shaped[Tensor, "batch channels h w"]:
    """Moves each image by −pixels … pixels along both axes, at random; zeros move in.

    The same as padding by `pixels` zeros and cropping at random, which is how papers on CIFAR-10
    put it (arXiv:1512.03385, section 4.2, with 4 pixels).

    Examples:
        >>> image = torch.tensor([[[[1, 2], [3, 4]]]])
        >>> shift(image, 1, Generator().manual_seed(0)).tolist()
        [[[[0, 3], [0, 0]]]]
    """
    count, channels, height, width = images.shape
    padded = functional.pad(images, (pixels,) * 4)
    offsets = torch.randint(2 * pixels + 1, (2, count, 1, 1, 1), generator=generator)
    rows = offsets[0] + torch.arange(height)[:, None]
    columns = offsets[1] + torch.arange(width)
    example = torch.arange(count)[:, None, None, None]
    channel = torch.arange(channels)[:, None, None]
    return padded[example, channel, rows, columns]


def flip(
    images: Shaped[Tensor, "batch channels h w"], generator: Generator
) -> Shaped[Tensor, "batch channels h w"]:
    """Mirrors each image left to right with probability 1/2.

    Examples:
        >>> flip(torch.tensor([[[[1, 2]]], [[[3, 4]]]]), Generator().manual_seed(1)).tolist()
        [[[[1, 2]]], [[[4, 3]]]]
    """
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def normalizer(
    mean: Sequence[float], deviation: Sequence[float]
) -> Callable[[UInt8[Tensor, "b c h w"]], Float[Tensor, "b c h w"]]:
    """(images / 255 − mean) / deviation, with one mean and deviation a channel.

    Examples:
        >>> normalizer([0.5], [0.25])(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).tolist()
        [[[[-2.0, 2.0]]]]
    """
    means = torch.tensor(mean)[:, None, None]
    deviations = torch.tensor(deviation)[:, None, None]

    def normalize(images: Tensor) -> Tensor:
        return (images.float() / 255 - means) / deviations

    return normalize
