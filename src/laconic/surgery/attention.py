"""Attention whose heads can go: `torch.nn.MultiheadAttention` with separate, plain projections."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from laconic.errors import UnsupportedError


class HeadAttention(nn.Module):
    """Multi-head attention (arXiv:1706.03762, section 3.2) with any number of heads of any size.

    Called as `torch.nn.MultiheadAttention`, whose weights it takes over; that module insists that
    its heads fill the embedding, so that none could be removed. Attention weights are not given:
    the second output is None.
    """

    in_proj_bias = None
    _qkv_same_embed_dim = False
    """So that torch's encoder layers take no short cut past this module."""

    def __init__(self, given: nn.MultiheadAttention) -> None:
        super().__init__()
        if given.bias_k is not None or given.add_zero_attn:
            raise UnsupportedError("an attention with added keys cannot be taken apart")
        if any(parametrize.is_parametrized(module) for module in given.modules()):
            raise UnsupportedError(
                "an attention whose weights are restricted cannot be taken apart: their chains "
                "would be lost; cut, or call unfuse, before pruning and quantizing it"
            )
        self.head_size = given.head_dim
        self.batch_first = given.batch_first
        self.dropout = given.dropout
        features, biased = given.embed_dim, given.in_proj_bias is not None
        self.query = nn.Linear(features, features, bias=biased)
        self.key = nn.Linear(given.kdim or features, features, bias=biased)
        self.value = nn.Linear(given.vdim or features, features, bias=biased)
        self.out = nn.Linear(features, features, bias=given.out_proj.bias is not None)
        with torch.no_grad():
            self._take_over(given)
        self.train(given.training)

    def _take_over(self, given: nn.MultiheadAttention) -> None:
        parts = (self.query, self.key, self.value)
        if given.in_proj_weight is not None:
            matrices = given.in_proj_weight.chunk(3)
        else:
            matrices = (given.q_proj_weight, given.k_proj_weight, given.v_proj_weight)
        for part, matrix in zip(parts, matrices, strict=True):
            part.weight.copy_(matrix)
        if given.in_proj_bias is not None:
            for part, bias in zip(parts, given.in_proj_bias.chunk(3), strict=True):
                part.bias.copy_(bias)
        self.out.load_state_dict(given.out_proj.state_dict())

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        """As torch's; inputs ``[batch, tokens, features]``, or tokens first without batch_first."""
        if not self.batch_first and query.ndim == 3:
            query, key, value = (part.transpose(0, 1) for part in (query, key, value))
        mask = _merged(query.ndim == 3, key_padding_mask, attn_mask, query.dtype)
        q, k, v = (
            layer(part).unflatten(-1, (-1, self.head_size)).transpose(-3, -2)
            for layer, part in ((self.query, query), (self.key, key), (self.value, value))
        )
        rate = self.dropout if self.training else 0.0
        causal = is_causal and mask is None
        mixed = functional.scaled_dot_product_attention(q, k, v, mask, rate, causal)
        result = self.out(mixed.transpose(-3, -2).flatten(-2))
        if not self.batch_first and query.ndim == 3:
            result = result.transpose(0, 1)
        return result, None


def _merged(
    batched: bool, padding: Tensor | None, mask: Tensor | None, dtype: torch.dtype
) -> Tensor | None:
    """One mask to add to the scores, ``[…, tokens, tokens]``; in torch's masks True means out."""
    merged = None
    for part, is_padding in ((mask, False), (padding, True)):
        if part is None:
            continue
        if part.dtype == torch.bool:
            part = torch.zeros_like(part, dtype=dtype).masked_fill(part, -torch.inf)
        if is_padding:
            part = part[:, None, None] if batched else part[None, None]
        elif part.ndim == 3:
            raise UnsupportedError("an attention mask for each head cannot follow removed heads")
        merged = part if merged is None else merged + part
    return merged
