"""A network and a task that train in milliseconds, as a person's own file would give them.

Used as ``tests/recipe/tiny.py:model`` and ``tests/recipe/tiny.py:task``. Killing a run at a known
place: when the file $TINY_HOLD_FILE exists, the next training batch is not given; the process
writes a byte to the file descriptor $TINY_HOLD_FD and waits to be killed.
"""

import os
import signal
from pathlib import Path

import torch
from torch import nn

from laconic.train.array_task import ArrayTask


class TinyTask(ArrayTask):
    """Three clouds in 16 dimensions: 96 examples train, 32 validate, 60 test; counts readings."""

    def __init__(self):
        generator = torch.Generator().manual_seed(7)
        centres = torch.randn(3, 16, generator=generator)
        labels = torch.arange(188) % 3
        points = centres[labels] + 0.8 * torch.randn(188, 16, generator=generator)
        super().__init__(
            points[:128], labels[:128], points[128:], labels[128:],
            validation_fraction=0.25, batch_size=32,
        )  # fmt: skip
        self.read = []

    def batches(self, split, *, seed=0):
        self.read.append(split)
        if split == "train" and Path(os.environ.get("TINY_HOLD_FILE", "/nonexistent")).exists():
            os.write(int(os.environ["TINY_HOLD_FD"]), b"x")
            signal.pause()
        return super().batches(split, seed=seed)


def task():
    return TinyTask()


def model():
    """643 parameters, 608 of them in two matrices."""
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3))


def convolutions():
    """The task's inputs as images of 4×4: two convolutions with BatchNorm."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 4)),
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 6, 2), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip


def other_model():
    return nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def narrow_model():
    """Takes the task's inputs and has an output too few."""
    return nn.Sequential(nn.Linear(16, 2))
