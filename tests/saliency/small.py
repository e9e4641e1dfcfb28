"""Tiny tasks and networks in float64, so that identities hold to the last digits."""

import torch
from torch import nn
from torch.nn import functional

from laconic.saliency import Data
from laconic.train.array_task import ArrayTask


def gaussian(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


class Regression:
    """Half the squared distance to the targets, averaged over examples, which come in order."""

    def __init__(self, inputs, targets, batch_size):
        self.inputs, self.targets, self.batch_size = inputs, targets, batch_size

    def batches(self, split, *, seed=0):
        assert split == "train"
        yield from zip(
            self.inputs.split(self.batch_size), self.targets.split(self.batch_size), strict=True
        )

    def loss(self, outputs, targets):
        return (outputs - targets).square().sum(1).mean() / 2


def data(*shape, classes=4, count=8, batch_size=3):
    """Class numbers as targets; the examples are those of `seen`."""
    inputs, targets = gaussian(12, *shape), torch.arange(12) % classes
    task = ArrayTask(inputs, targets, inputs, targets, validation_fraction=0.25,
                     batch_size=batch_size)  # fmt: skip
    return Data(task, count=count)


def regression(inputs, targets, batch_size=5):
    """All rows, in their order."""
    return Data(Regression(inputs, targets, batch_size), count=len(inputs))


def seen(data):
    """All examples that a saliency looks at, in one batch."""
    inputs, targets = zip(*data.batches(), strict=True)
    return torch.cat(inputs), torch.cat(targets)


class Net(nn.Module):
    """Convolution, BatchNorm, grouped convolution, linear; ReLU by function call."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2, groups=2)
        self.fc1 = nn.Linear(24, 5)
        self.fc2 = nn.Linear(5, 4)

    def gates(self, gates, name, maps):
        return maps * gates[name] if name in gates else maps

    def forward(self, images, gates=()):
        """`gates` multiply what comes out of each ReLU, ``[batch, channels, 1, 1]``."""
        maps = self.gates(gates, "conv1.weight", functional.relu(self.bn1(self.conv1(images))))
        maps = self.gates(gates, "conv2.weight", functional.relu(self.conv2(maps)))
        hidden = functional.relu(self.fc1(maps.flatten(1)))
        return self.fc2(self.gates(gates, "fc1.weight", hidden))


def net():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = Net().double()
        model.bn1.running_mean.normal_()
        model.bn1.running_var.uniform_(0.5, 2)
        nn.init.normal_(model.bn1.bias)
        return model.eval()


def net_data(count=8):
    return data(3, 6, 6, count=count)
