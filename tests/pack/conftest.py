"""Small networks that the tests of this room share."""

import pytest
import torch
from torch import Tensor, nn


class Normed(nn.Module):
    """Convolution without bias, BatchNorm with statistics of its own, a strided second one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 3, 3, stride=2)
        self.head = nn.Linear(3, 5)

    def forward(self, image: Tensor) -> Tensor:
        hidden = torch.relu(self.bn1(self.conv1(image)))
        return self.head(self.conv2(hidden[:, :, ::2]).mean((2, 3)))


@pytest.fixture
def normed() -> Normed:
    """A network with non-trivial BatchNorm statistics, in training mode."""
    torch.manual_seed(0)
    network = Normed()
    for _ in range(3):
        network(torch.randn(8, 2, 9, 9) * 3 + 1)
    return network


@pytest.fixture
def image() -> Tensor:
    """What `Normed` takes."""
    return torch.randn(1, 2, 9, 9, generator=torch.Generator().manual_seed(1))
