"""The next word of a text: a task on sequences of equal length."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor
from torch.nn import functional

from laconic.errors import UsageError
from laconic.train.task import Batch, Split

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

LARGEST_NATS = 700.0
"""Beyond it an exponential has no float."""


class NextToken:
    """Predict each token of a text from those before it; the metric is the perplexity.

    A text is cut into sequences of `length` tokens, one after the other; what is left at the end
    is dropped. An input is a sequence, its target the same one token later. Each sequence is an
    example of its own: **the state of a recurrent network starts from zero in each**, and no
    gradient crosses its ends (backpropagation through time is truncated to `length`). Papers on
    Penn Treebank carry the state from one sequence to the next instead, so that their perplexities
    are lower than those here; compare networks under this task with each other.

    `score` gives the mean nats of each sequence, all of one length, so that their mean is the mean
    over all tokens; `from_mean` makes the perplexity of it, ``exp(mean)``.

    Args:
        train: tokens, ``[n]``, whole numbers.
        validation: tokens.
        test: tokens.
        length: tokens of a sequence.
        batch_size: sequences of a training batch, in an order that the seed decides.
        eval_batch_size: sequences of a validation or test batch.

    Raises:
        UsageError: a text is too short for one sequence and the token after it.

    Examples:
        >>> task = NextToken(*[torch.arange(9) % 3] * 3, length=4, batch_size=2)
        >>> inputs, targets = next(task.batches("test"))
        >>> inputs.tolist(), targets.tolist()
        ([[0, 1, 2, 0], [1, 2, 0, 1]], [[1, 2, 0, 1], [2, 0, 1, 2]])
        >>> even = torch.zeros(2, 4, 3)  # the same logit for all three tokens
        >>> round(task.from_mean(float(task.score(even, targets).mean())), 4)
        3.0
    """

    metric: str = "perplexity"
    higher_is_better: bool = False

    def __init__(
        self,
        train: Int64[Tensor, " n"],
        validation: Int64[Tensor, " v"],
        test: Int64[Tensor, " t"],
        *,
        length: int = 35,
        batch_size: int = 20,
        eval_batch_size: int = 50,
    ) -> None:
        for name, size in [("batch_size", batch_size), ("eval_batch_size", eval_batch_size)]:
            if size < 1:
                raise UsageError(f"{name} is {size}; a batch needs at least 1 example")
        for name, text in [("train", train), ("validation", validation), ("test", test)]:
            if not 1 <= length < len(text):
                raise UsageError(
                    f"{name}: {len(text)} tokens make no sequence of {length} and the one after it"
                )
        self.train = train
        self.validation = validation
        self.test = test
        self.length = length
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size

    @property
    def example_input(self) -> Int64[Tensor, "1 length"]:
        """The first training sequence."""
        return self.train[None, : self.length]

    def batches(self, split: Split, *, seed: int = 0) -> Iterator[Batch]:
        """Sequences and the same one token later, ``[batch, length]``; see `Task.batches`.

        Raises:
            UsageError: there is no such split.
        """
        texts = {"train": self.train, "validation": self.validation, "test": self.test}
        if split not in texts:
            raise UsageError(f"there is no split {split!r}; the splits are {', '.join(texts)}")
        count = (len(texts[split]) - 1) // self.length
        order, size = torch.arange(count), self.eval_batch_size
        if split == "train":
            order = torch.randperm(count, generator=Generator().manual_seed(seed))
            size = self.batch_size
        return self._sequences(texts[split], order, size)

    def _sequences(self, text: Tensor, order: Tensor, size: int) -> Iterator[Batch]:
        end = len(order) * self.length
        inputs = text[:end].reshape(-1, self.length)
        targets = text[1 : end + 1].reshape(-1, self.length)
        for rows in order.split(size):  # type: ignore[no-untyped-call]
            yield inputs[rows], targets[rows]

    def loss(self, outputs: Float[Tensor, "batch length words"], targets: Tensor) -> Tensor:
        """Mean cross entropy of a token, in nats; `outputs` are logits."""
        return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten().long())

    def score(
        self, outputs: Float[Tensor, "batch length words"], targets: Tensor
    ) -> Float[Tensor, " batch"]:
        """Mean nats of a token, of each sequence."""
        nats = functional.cross_entropy(outputs.transpose(1, 2), targets.long(), reduction="none")
        return nats.mean(1)

    def from_mean(self, mean: float) -> float:
        """The perplexity, ``exp(mean)``, of the mean nats of all tokens."""
        return math.exp(min(mean, LARGEST_NATS))
