"""Torch's attention with its heads apart."""

import pytest
import torch
from check_surgery import check_surgery
from torch import nn

from laconic.errors import UnsupportedError
from laconic.prune import Prune
from laconic.represent import represent
from laconic.surgery import Groups, HeadAttention, unfuse


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("batch_first", [True, False], ids=["batch first", "tokens first"])
@pytest.mark.parametrize("sizes", [{}, {"kdim": 6, "vdim": 10}], ids=["one size", "other sizes"])
@pytest.mark.parametrize("bias", [True, False], ids=["biases", "no biases"])
def test_it_computes_what_torch_computes(batch_first, sizes, bias):
    given = nn.MultiheadAttention(8, 2, bias=bias, batch_first=batch_first, **sizes).eval()
    query, key, value = noise(3, 5, 8), noise(3, 5, sizes.get("kdim", 8)), noise(3, 5, sizes.get("vdim", 8))  # noqa: E501  # fmt: skip
    wanted, _ = given(query, key, value)
    found, weights = HeadAttention(given)(query, key, value)
    assert weights is None
    assert torch.allclose(found, wanted, atol=1e-6)


def test_masks_mean_what_they_mean_to_torch():
    given = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    tokens = noise(3, 5, 8)
    causal = torch.ones(5, 5).triu(1).bool()
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]])
    masks = {"attn_mask": causal, "key_padding_mask": padding}
    wanted, _ = given(tokens, tokens, tokens, need_weights=False, **masks)
    found, _ = HeadAttention(given)(tokens, tokens, tokens, **masks)
    assert torch.allclose(found, wanted, atol=1e-6)
    with pytest.raises(UnsupportedError, match="an attention mask for each head cannot"):
        HeadAttention(given)(tokens, tokens, tokens, attn_mask=torch.zeros(6, 5, 5))


class Classifier(nn.Module):
    """A transformer as torch ships it."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(16, 3)

    def forward(self, tokens):
        return self.out(self.encoder(tokens).mean(1))


def test_heads_of_torchs_own_transformer_go():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Classifier().eval()
    before = model(noise(2, 5, 16))
    cut = unfuse(model)
    assert cut.unfused == ["encoder.layers.0.self_attn", "encoder.layers.1.self_attn"]
    assert torch.allclose(model(noise(2, 5, 16)), before, atol=1e-5)
    sizes = {name: group.size for name, group in Groups(model, noise(2, 5, 16)).items()}
    assert sizes == {
        f"encoder.layers.{place}.{name}": size
        for place in (0, 1)
        for name, size in {"self_attn.query": 4, "linear1": 32}.items()
    }
    check_surgery(model, noise(2, 5, 16))
    assert model.encoder.layers[0].self_attn.query.out_features == 12
    assert unfuse(model).unfused == []


def test_added_keys_are_refused():
    with pytest.raises(UnsupportedError, match="an attention with added keys cannot be taken"):
        HeadAttention(nn.MultiheadAttention(8, 2, add_bias_kv=True))


def test_restricted_attention_is_refused_because_its_chain_would_be_lost():
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    represent(model.self_attn, Prune(0.5), "in_proj_weight")
    with pytest.raises(UnsupportedError, match="chains would be lost; cut, or call unfuse, before"):
        unfuse(model)
