"""Packed networks that are made once."""

import pytest
import torch
from torch import nn

from laconic import zoo
from laconic.pack import pack
from laconic.train.array_task import ArrayTask


def images_task() -> ArrayTask:
    """Random images of 28×28 with ten labels."""
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(20, 1, 28, 28, generator=generator), torch.arange(20) % 10
    return ArrayTask(images, labels, images, labels, validation_fraction=0.5)


def pack_zoo(name: str, folder):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = zoo.resolve_model(f"zoo:{name}")
    pack(model, folder / f"{name}.lac", example_input=images_task().example_input)
    return folder / f"{name}.lac"


@pytest.fixture(scope="session")
def lenet5(tmp_path_factory):
    """LeNet-5 as it is drawn, packed."""
    return pack_zoo("lenet5", tmp_path_factory.mktemp("lenet5"))


@pytest.fixture(scope="session")
def lenet300(tmp_path_factory):
    """LeNet-300-100 as it is drawn, packed."""
    return pack_zoo("lenet-300-100", tmp_path_factory.mktemp("lenet300"))


class Tied(nn.Module):
    """Two layers with one weight, and biases that are zero by chance; normalised in between."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.normal = nn.BatchNorm1d(8)
        self.second.weight = self.first.weight
        for layer in (self.first, self.second):
            nn.init.zeros_(layer.bias)

    def forward(self, rows):
        return self.second(self.normal(self.first(rows)).relu())


@pytest.fixture(scope="session")
def tied(tmp_path_factory):
    """A network with tied weights, equal biases and running statistics, packed."""
    path = tmp_path_factory.mktemp("tied") / "x.lac"
    torch.manual_seed(0)
    pack(Tied(), path, example_input=torch.ones(1, 8))
    return path


@pytest.fixture
def images():
    return images_task()
