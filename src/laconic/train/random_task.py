"""A task without data: random inputs, and the outputs that a network gives of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.represent import plain
from laconic.train.task import Batch, Split

SIZES = {"train": 512, "validation": 512, "test": 512}
BATCH = 64


class RandomInputs:
    """How far a network's outputs move, on inputs that are drawn and not seen.

    Inputs are standard normal numbers, in the dtype of the first weight; of a network with
    embeddings, integers below the smallest number of rows. Targets are the outputs of the network
    as it is now. The metric is the squared error of an example's outputs, in percent of how much
    outputs differ from example to example (their mean squared deviation on the training inputs).

    Args:
        model: copied as it computes, without chains, in eval mode.
        shape: of one input, without the batch.

    Raises:
        UsageError: the network does not take such inputs, gives no tensor, or gives the same
            outputs whatever comes in.

    Examples:
        >>> task = RandomInputs(nn.Linear(3, 2), (3,))
        >>> inputs, outputs = next(task.batches("test"))
        >>> inputs.shape, outputs.shape
        (torch.Size([64, 3]), torch.Size([64, 2]))
    """

    metric: str = "output_error_percent"
    higher_is_better: bool = False

    def __init__(self, model: nn.Module, shape: tuple[int, ...]) -> None:
        self.model = plain(model).eval().requires_grad_(False)
        self.shape = shape
        rows = [m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)]
        self.below = min(rows, default=None)
        floats = [p.dtype for p in model.parameters() if p.is_floating_point()]
        self.dtype = floats[0] if floats else torch.float32
        try:
            outputs = [targets.flatten(1) for _, targets in self.batches("train")]
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise UsageError(
                f"the network does not take inputs of shape {list(shape)}: {error}"
            ) from error
        deviations = torch.cat(outputs).double()
        deviations = deviations - deviations.mean(0)
        self.energy = float(deviations.square().sum(1).mean())
        if not self.energy > 0:
            raise UsageError("the network gives the same outputs for all random inputs")

    @property
    def example_input(self) -> Tensor:
        """The first training input, with a batch of 1."""
        return next(self.batches("train"))[0][:1]

    def batches(self, split: Split, *, seed: int = 0) -> Iterator[Batch]:
        """Inputs of a split, each split and each seed of ``train`` with draws of its own."""
        number = (*SIZES,).index(split) + (3 * seed if split == "train" else 0)
        generator = torch.Generator().manual_seed(number % 2**63)
        for _ in range(SIZES[split] // BATCH):
            size = (BATCH, *self.shape)
            if self.below is None:
                inputs = torch.randn(size, generator=generator).to(self.dtype)
            else:
                inputs = torch.randint(self.below, size, generator=generator)
            with torch.no_grad():
                outputs = self.model(inputs)
            yield inputs, outputs

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error."""
        return (outputs - targets).float().square().mean()

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The squared error of each example, in percent of the energy."""
        return 100 * (outputs - targets).float().flatten(1).square().sum(1) / self.energy
