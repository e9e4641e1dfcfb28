"""The recurrent language model on which compression papers report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

INITIAL = 0.1


class LanguageLSTM(nn.Module):
    """Embedding, two LSTM layers and a linear layer over the words; 4,653,200 parameters.

    The "small" network of Zaremba, Sutskever, Vinyals, arXiv:1409.2329, section 4.1: 200 units in
    each of two layers, an embedding of as many, no dropout, parameters drawn evenly from [-0.1,
    0.1]. PyTorch has two biases a gate where one would do. The state starts from zero in each call.

    Args:
        words: of the vocabulary.
        units: of the embedding and of each layer.
        layers: of the LSTM.

    Examples:
        >>> import torch
        >>> LanguageLSTM(words=9, units=4)(torch.zeros(2, 5, dtype=torch.int64)).shape
        torch.Size([2, 5, 9])
    """

    def __init__(self, words: int = 10_000, units: int = 200, layers: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, units)
        self.lstm = nn.LSTM(units, units, layers, batch_first=True)
        self.decoder = nn.Linear(units, words)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -INITIAL, INITIAL)

    def forward(self, tokens: Int64[Tensor, "batch length"]) -> Float[Tensor, "batch length words"]:
        """Tokens → logits of each next token."""
        hidden, _ = self.lstm(self.embedding(tokens))
        return self.decoder(hidden)  # type: ignore[no-any-return]
