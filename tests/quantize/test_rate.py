"""Bits as a term of the loss."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.pack import pack_model_bytes
from laconic.prune import Prune
from laconic.quantize import EntropyPenalty, Spaced, total_bits
from laconic.quantize.rate import prices
from laconic.represent import represent


def layer_of(codes, spacing=0.5):
    codes = torch.as_tensor(codes, dtype=torch.float32)
    layer = nn.Linear(codes.shape[1], codes.shape[0], bias=False)
    with torch.no_grad():
        layer.weight.copy_(codes * spacing)
    represent(layer, Spaced(spacing))
    return layer


def sparse(rows, columns, share, seed=0):
    drawn = torch.Generator().manual_seed(seed)
    present = torch.rand(rows, columns, generator=drawn) < share
    signs = torch.randint(0, 2, (rows, columns), generator=drawn) * 2 - 1
    return (present * signs).float()


def test_many_integers_cost_what_their_entropy_says():
    codes = sparse(100, 100, 0.1)
    share = float((codes != 0).float().mean())
    entropy = -(share * math.log2(share / 2) + (1 - share) * math.log2(1 - share))
    assert total_bits(layer_of(codes)) == pytest.approx(codes.numel() * entropy, rel=0.01)


def test_a_file_is_about_as_long_as_the_penalty_says():
    layer = layer_of(sparse(300, 200, 0.05))
    coded = len(pack_model_bytes(layer, program=False))
    assert total_bits(layer) / 8 == pytest.approx(coded, rel=0.05)


def test_at_integers_penalty_and_bits_agree():
    layer = layer_of(torch.tensor([[0.0, 3.0, -1.0, 0.0, 1.0, 0.0]]))
    assert float(EntropyPenalty(1.0)(layer).detach()) == pytest.approx(total_bits(layer), rel=1e-5)


def test_every_weight_is_drawn_to_zero_and_a_larger_one_never_less_than_not():
    layer = layer_of(torch.tensor([[0.0, 3.0, -1.0, 0.0, 1.0, 0.0, 0.0, -7.0]]))
    EntropyPenalty(1.0)(layer).backward()
    latent = layer.parametrizations.weight.original
    moving = latent != 0
    assert (latent.grad.sign() == latent.sign())[moving].all()


def test_values_at_one_and_two_do_not_confirm_themselves():
    """Where nearly all are ±1, a histogram would make a zero dear; the slope stays upward."""
    _, first, more = prices(torch.ones(1000))
    assert float(first) > 0
    assert float(more) > 0


def test_the_gradient_of_the_spacing_makes_integers_smaller():
    layer = layer_of(torch.tensor([[0.0, 3.0, -1.0, 0.0]]))
    EntropyPenalty(1.0)(layer).backward()
    assert layer.parametrizations.weight[0].log_spacing.grad < 0  # a larger one has fewer bits


def test_another_weight_costs_more_in_an_empty_row():
    codes = torch.zeros(20, 30)
    codes[:5] = sparse(5, 30, 0.5)
    zero, first, _ = prices(codes.abs(), rows=True)
    price = zero + first
    assert float(price[10].mean()) > 3 + float(price[2].mean())
    assert zero.shape == (20, 30)
    filters = codes[:, :, None, None].expand(20, 30, 3, 3)
    assert prices(filters.abs(), rows=True)[0].shape == (20, 30, 1, 1)


def test_rows_that_are_empty_cost_fewer_bits_with_frequencies_of_their_own():
    codes = torch.zeros(40, 30)
    codes[:4] = sparse(4, 30, 0.6)
    layer = layer_of(codes)
    assert total_bits(layer, rows=True) < 0.6 * total_bits(layer)


def test_lambda_rises_along_the_ramp():
    penalty = EntropyPenalty(1e-3, ramp=0.5)
    seen = []
    for step in (0, 25, 50, 99):
        penalty.before_step(nn.Identity(), SimpleNamespace(step=step, steps=100))
        seen.append(penalty.present)
    assert seen == pytest.approx([0.0, 5e-4, 1e-3, 1e-3])


def test_pruned_weights_get_no_gradient():
    layer = nn.Linear(30, 4, bias=False)
    represent(layer, Prune(0.5))
    zeros = layer.weight == 0
    represent(layer, Spaced(0.01))
    EntropyPenalty(1.0)(layer).backward()
    gradient = layer.parametrizations.weight.original.grad
    assert not gradient[zeros].any()
    assert gradient[~zeros].all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0,), "strength 0 is not positive; 1e-5 a bit is usual"),
        ((math.inf,), "strength inf is not positive"),
        ((1e-5, 1.5), r"ramp 1.5 is outside \[0, 1\]: a part of the training"),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_meant_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        EntropyPenalty(*arguments)


def test_a_network_without_a_grid_is_refused():
    with pytest.raises(UsageError, match="no weight is on a grid that is Spaced"):
        EntropyPenalty(1.0)(nn.Linear(2, 2))
