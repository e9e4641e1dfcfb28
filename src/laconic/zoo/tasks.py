"""The tasks that laconic knows by name; data are read when a task is made, not before."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

from laconic.errors import DataError
from laconic.train.array_task import ArrayTask
from laconic.train.task import Task
from laconic.zoo.augment import flip, normalizer, shift
from laconic.zoo.data import read_cifar10, read_mnist
from laconic.zoo.language import NextToken
from laconic.zoo.text import read_ptb


def digits(*, batch_size: int = 32) -> ArrayTask:
    """scikit-learn's 1,797 handwritten digits of 8×8, enlarged to 28×28 so that LeNets fit.

    The pixels 0 … 16 become 0 … 1 and are interpolated bilinearly. Of each class a quarter, fixed
    for good, is the test split; a fifth of the rest (15 % of all) is the validation split.
    Nothing is downloaded.

    Raises:
        DataError: scikit-learn, which brings the images, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            'the task digits reads scikit-learn\'s images; run: pip install "laconic[zoo]"'
        ) from error
    bundled = load_digits()
    small = torch.tensor(bundled.images, dtype=torch.float32)[:, None] / 16
    images = functional.interpolate(small, size=(28, 28), mode="bilinear")
    labels = torch.tensor(bundled.target, dtype=torch.int64)
    is_test = _quarter_of_each_class(labels)
    return ArrayTask(
        images[~is_test],
        labels[~is_test],
        images[is_test],
        labels[is_test],
        validation_fraction=0.2,
        batch_size=batch_size,
    )


def mnist(*, batch_size: int = 64, shift_pixels: int = 0) -> ArrayTask:
    """MNIST: 55,000 training, 5,000 validation and 10,000 test images.

    Inputs are (pixel / 255 − 0.1307) / 0.3081, the mean and deviation of the training pixels.
    With `shift_pixels` above 0, each training image moves by up to so many pixels along both
    axes; 0 is no augmentation, as in the papers on LeNet that laconic reproduces.

    Raises:
        DataError: a file is missing or damaged; the message says how to get it.
    """

    def augment(images: Tensor, generator: Generator) -> Tensor:
        return shift(images, shift_pixels, generator)

    return ArrayTask(
        *read_mnist(),
        validation_fraction=5_000 / 60_000,
        batch_size=batch_size,
        augment=augment if shift_pixels else None,
        transform=normalizer([0.1307], [0.3081]),
    )


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's colours."""
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Colours from −1 to 1, as Distiller's networks take them."""


def cifar10(
    *,
    batch_size: int = 128,
    colours: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET,
) -> ArrayTask:
    """CIFAR-10: 45,000 training, 5,000 validation and 10,000 test images.

    Training images are shifted by up to 4 pixels and mirrored at random (arXiv:1512.03385,
    section 4.2). Mean and deviation are ImageNet's, as the published ResNet weights expect them.
    Those weights were trained on all 50,000 images, so they have seen the validation split.

    Args:
        batch_size: of training.
        colours: mean and deviation of red, green and blue in [0, 1].

    Raises:
        DataError: a file is missing or damaged; the message says how to get it.
    """

    def augment(images: Tensor, generator: Generator) -> Tensor:
        return flip(shift(images, 4, generator), generator)

    return ArrayTask(
        *read_cifar10(),
        validation_fraction=5_000 / 50_000,
        batch_size=batch_size,
        augment=augment,
        transform=normalizer(*map(list, colours)),
    )


def ptb(*, batch_size: int = 20, length: int = 35) -> NextToken:
    """Penn Treebank, word by word: 26,559 training, 2,107 validation, 2,355 test sequences.

    Sequences of 35 words in batches of 20, as the "small" network of arXiv:1409.2329 is trained;
    unlike there each begins with a state of zero (see `NextToken`). Validation and test texts are
    the published ones.

    Raises:
        DataError: a file is missing or damaged; the message says how to get it.
    """
    text = read_ptb()
    return NextToken(text.train, text.validation, text.test, length=length, batch_size=batch_size)


TASKS: dict[str, Callable[[], Task]] = {
    "digits": digits,
    "mnist": mnist,
    "cifar10": cifar10,
    "ptb": ptb,
}
"""Name → a call that makes the task."""


def _quarter_of_each_class(labels: Tensor) -> Tensor:
    """True for a quarter of each class, drawn once and for all by seed 0; shape of `labels`."""
    order = torch.randperm(len(labels), generator=Generator().manual_seed(0))
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        rows = order[labels[order] == label]
        chosen[rows[: len(rows) // 4]] = True
    return chosen
