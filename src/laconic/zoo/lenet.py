"""The two networks for MNIST on which compression papers report (LeCun et al., 1998)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Float


class LeNet300(nn.Module):
    """LeNet-300-100: fully connected 784 → 300 → 100 → 10 with ReLU; 266,610 parameters.

    The network of table 2 in "Learning both weights and connections" (arXiv:1506.02626).

    Examples:
        >>> import torch
        >>> LeNet300()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, 10)

    def forward(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch 10"]:
        """Images → logits."""
        hidden = functional.relu(self.fc1(images.flatten(1)))
        hidden = functional.relu(self.fc2(hidden))
        return self.fc3(hidden)  # type: ignore[no-any-return]


class LeNet5(nn.Module):
    """LeNet-5 as Caffe ships it: 20 and 50 kernels of 5×5, then 500 and 10; 431,080 parameters.

    Source: ``examples/mnist/lenet_train_test.prototxt`` of BVLC/caffe, the network of table 3 in
    arXiv:1506.02626. As there, convolutions have no padding and **no ReLU**: each is followed by
    2×2 max pooling alone, and the single ReLU stands between the fully connected layers. Weights
    start as PyTorch draws them, not by Caffe's "xavier" filler.

    Examples:
        >>> import torch
        >>> LeNet5()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(800, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch 10"]:
        """Images → logits."""
        maps = functional.max_pool2d(self.conv1(images), 2)
        maps = functional.max_pool2d(self.conv2(maps), 2)
        hidden = functional.relu(self.fc1(maps.flatten(1)))
        return self.fc2(hidden)  # type: ignore[no-any-return]


class WideLeNet5(nn.Module):
    """LeNet-5 with 32 and 64 maps and 512 neurons; 1,663,370 parameters.

    The network of DropNeuron (arXiv:1606.07326) and of TensorFlow's old MNIST tutorial: 5×5
    convolutions that keep the size, each with ReLU and 2×2 max pooling, then 3136 → 512 → 10.

    Args:
        dropout: part of the 512 neurons that a training step leaves out.

    Examples:
        >>> import torch
        >>> WideLeNet5()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 64, 5, padding=2)
        self.fc1 = nn.Linear(3136, 512)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(512, 10)

    def forward(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch 10"]:
        """Images → logits."""
        maps = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        maps = functional.max_pool2d(functional.relu(self.conv2(maps)), 2)
        hidden = functional.relu(self.fc1(maps.flatten(1)))
        return self.fc2(self.dropout(hidden))  # type: ignore[no-any-return]
