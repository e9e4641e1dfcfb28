"""Norms that push weights, or whole groups of them, to zero."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Regulariser(ABC):
    """A norm of a weight, as a term of the loss and as the proximal step that lowers it.

    As a term, plus a threshold at the end, it is what the papers train; the gradient makes values
    small but never zero. The proximal step (Parikh, Boyd, Proximal Algorithms, 2014, section 6.5)
    gives exact zeros.
    """

    @abstractmethod
    def value(self, weight: Tensor) -> Tensor:
        """The norm, a scalar; its gradient at zero is zero."""

    @abstractmethod
    def shrink(self, weight: Tensor, threshold: float) -> Tensor:
        """The minimiser v of ``½‖v − weight‖² + threshold · value(v)``; shape of `weight`."""


class L1(Regulariser):
    """``Σ|w|`` (Tibshirani, 1996): single weights become zero.

    Examples:
        >>> L1().shrink(torch.tensor([3.0, -0.5, -2.0]), 1.0)
        tensor([ 2.,  0., -1.])
    """

    def value(self, weight: Tensor) -> Tensor:
        """The sum of magnitudes."""
        return weight.abs().sum()

    def shrink(self, weight: Tensor, threshold: float) -> Tensor:
        """``sign(w) · max(|w| − t, 0)``."""
        return weight.sign() * (weight.abs() - threshold).clamp(min=0) + 0.0


class GroupLasso(Regulariser):
    """``Σ_g ‖w_g‖₂`` over groups of weights (Yuan, Lin, 2006): whole groups become zero.

    Groups are not weighted by their size, as in the papers on networks. A subclass says over
    which dimensions a group extends.
    """

    @abstractmethod
    def dims(self, weight: Tensor) -> tuple[int, ...]:
        """The dimensions along which weights are of one group."""

    def value(self, weight: Tensor) -> Tensor:
        """The sum of Euclidean norms."""
        return norms_of(weight, self.dims(weight)).sum()

    def shrink(self, weight: Tensor, threshold: float) -> Tensor:
        """``w_g · max(1 − t/‖w_g‖, 0)`` for each group."""
        norms = norms_of(weight, self.dims(weight))
        tiny = torch.finfo(weight.dtype).tiny
        return weight * (1 - threshold / norms.clamp(min=tiny)).clamp(min=0) + 0.0


def norms_of(weight: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The Euclidean norm of each group, the other dimensions kept with size 1."""
    # Not a square root of a sum of squares: its gradient at 0 is NaN, this one's is 0.
    norms: Tensor = torch.linalg.vector_norm(weight, dim=dims, keepdim=True)
    return norms


class Filters(GroupLasso):
    """A group for each filter or neuron: all that comes into it (rows of the weight).

    Filter-wise structured sparsity (Wen et al., arXiv:1608.03665, equation 2); of linear layers
    DropNeuron's ``li`` (arXiv:1606.07326), which source 1 writes with the weight transposed.

    Examples:
        >>> Filters().value(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor(5.)
    """

    def dims(self, weight: Tensor) -> tuple[int, ...]:
        """All but the first."""
        return tuple(range(1, weight.ndim))


class Channels(GroupLasso):
    """A group for each input channel or neuron: all that goes out of it (columns of the weight).

    Channel-wise structured sparsity (arXiv:1608.03665, equation 2); of linear layers DropNeuron's
    ``lo`` (arXiv:1606.07326).

    Examples:
        >>> Channels().value(torch.tensor([[3.0, 0.0], [4.0, 0.0]]))
        tensor(5.)
    """

    def dims(self, weight: Tensor) -> tuple[int, ...]:
        """All but the second."""
        return (0, *range(2, weight.ndim))


class Shapes(GroupLasso):
    """A group for each place in a filter, over all filters (arXiv:1608.03665, equation 3).

    What is zero leaves every filter with the same smaller shape: columns of the matrix that a
    convolution is lowered to. Of a linear layer the same as `Channels`.
    """

    def dims(self, weight: Tensor) -> tuple[int, ...]:
        """The first."""
        return (0,)


class Depth(GroupLasso):
    """A group for each layer, all its weights (arXiv:1608.03665, equation 4).

    For layers that a shortcut goes round: elsewhere a layer of zeros cuts the network in two.
    """

    def dims(self, weight: Tensor) -> tuple[int, ...]:
        """All."""
        return tuple(range(weight.ndim))


REGULARISERS: dict[str, Regulariser] = {
    "l1": L1(),
    "filters": Filters(),
    "channels": Channels(),
    "shapes": Shapes(),
    "depth": Depth(),
    "li": Filters(),
    "lo": Channels(),
}
"""Name in a recipe → regulariser; li and lo are DropNeuron's names of two of them."""
