"""A small problem that trains in milliseconds."""

import pytest
import torch
from torch import nn

from laconic.train.array_task import ArrayTask


def blobs_task(batch_size: int = 16) -> ArrayTask:
    """200 points in three clouds; 150 of them train."""
    generator = torch.Generator().manual_seed(7)
    labels = torch.arange(200) % 3
    centres = 2.0 * torch.randn(3, 8, generator=generator)
    points = centres[labels] + torch.randn(200, 8, generator=generator)
    return ArrayTask(
        points, labels, points[:50], labels[:50], validation_fraction=0.25, batch_size=batch_size
    )


def small_network(seed: int = 0) -> nn.Sequential:
    """8 → 16 → 3, the same weights for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))


@pytest.fixture
def task() -> ArrayTask:
    return blobs_task()


@pytest.fixture
def network() -> nn.Sequential:
    return small_network()
