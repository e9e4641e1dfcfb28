"""Networks that others wrote are cut as they are: transformers' classes, random weights."""

import sys
import warnings
from pathlib import Path

import pytest
import torch
from check_surgery import check_surgery, stir_norms

sys.path.insert(0, str(Path(__file__).parent))
# Importing it warns of what is not installed.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import foreign

pytestmark = pytest.mark.filterwarnings("ignore")
"""What other people's code warns of is not ours to mend."""


def cut(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, example = make()
    stir_norms(model)
    return model, check_surgery(model, example)


@pytest.mark.parametrize("name", foreign.QUICK)
def test_a_foreign_network_computes_what_it_does_with_zeros(name):
    cut(foreign.QUICK[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", foreign.SLOW)
def test_another_foreign_network_computes_what_it_does_with_zeros(name):
    cut(foreign.SLOW[name])


def test_heads_of_gpt2_go_with_their_part_of_the_fused_projection():
    model, made = cut(foreign.gpt2)
    assert model.transformer.h[0].attn.c_attn.weight.shape == (32, 72)
    assert model.transformer.h[0].attn.c_proj.weight.shape == (24, 32)
    assert made.attributes["transformer.h.0.attn.split_size"] == 24
