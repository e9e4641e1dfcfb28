"""Which weights are of one class."""

import pytest
import torch
from torch import nn

from laconic.prune import Prune, weight_classes
from laconic.represent import represent, weights


def covered(model):
    """Weight → how often each of its rows stands in a class."""
    rows = {name: torch.zeros(len(value)) for name, value in weights(model).items()}
    for parts in weight_classes(model).values():
        for part in parts:
            part.of(rows[part.weight]).add_(1)
    return rows


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.out = nn.Linear(4, 4), nn.Linear(4, 4)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.own_attention = SelfAttention()
        self.torch_attention = nn.MultiheadAttention(4, 2)
        self.hidden = nn.Linear(4, 8)


def language_model(kind):
    return nn.ModuleDict(
        {
            "embedding": nn.Embedding(9, 4),
            "recurrent": kind(4, 3, num_layers=2, bidirectional=True),
            "decoder": nn.Linear(6, 9),
        }
    )


@pytest.mark.parametrize(
    ("kind", "gates"), [(nn.LSTM, "ifgo"), (nn.GRU, "rzn")], ids=["LSTM", "GRU"]
)
def test_each_gate_of_each_matrix_is_a_class_in_the_order_of_its_rows(kind, gates):
    model = language_model(kind)
    expected = [
        f"recurrent.weight_{which}_l{layer}{direction}[{gate}]"
        for layer in (0, 1)
        for direction in ("", "_reverse")
        for which in ("ih", "hh")
        for gate in gates
    ]
    classes = weight_classes(model)
    assert list(classes) == ["embedding.weight", *expected, "decoder.weight"]
    (part,) = classes[f"recurrent.weight_hh_l1_reverse[{gates[1]}]"]
    assert part == ("recurrent.weight_hh_l1_reverse", 3, 6)


def test_the_forget_gate_of_an_lstm_is_the_part_that_forgets():
    """Where its rows see a large negative sum, f = 0: the cell before does not matter."""
    torch.manual_seed(0)
    cell, state = nn.LSTMCell(2, 3), torch.zeros(1, 3)
    (part,) = weight_classes(cell)["weight_ih[f]"]

    def after(before):
        return cell(torch.ones(1, 2), (state, state + before))[1]

    assert not torch.equal(after(0.0), after(5.0))
    with torch.no_grad():
        part.of(cell.weight_ih).fill_(-100.0)
    assert torch.equal(after(0.0), after(5.0))


@pytest.mark.parametrize(
    "model",
    [language_model(nn.LSTM), language_model(nn.RNN), Block(), nn.LSTM(4, 6, proj_size=2)],
    ids=["LSTM", "RNN", "attention", "LSTM with projections"],
)
def test_every_row_of_every_weight_is_in_exactly_one_class(model):
    assert all(bool((rows == 1).all()) for rows in covered(model).values())


def test_the_matrices_of_an_attention_are_one_class():
    classes = weight_classes(Block())
    assert {name: [part.weight for part in parts] for name, parts in classes.items()} == {
        "own_attention": ["own_attention.query.weight", "own_attention.out.weight"],
        "torch_attention": [
            "torch_attention.in_proj_weight",
            "torch_attention.out_proj.weight",
        ],
        "hidden.weight": ["hidden.weight"],
    }


def test_of_attentions_within_each_other_the_outermost_is_the_class():
    class EncoderAttention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.dense = SelfAttention(), nn.Linear(4, 4)

    assert list(weight_classes(nn.Sequential(EncoderAttention()))) == ["0"]


def test_a_restricted_recurrent_layer_has_the_same_classes():
    model = language_model(nn.LSTM)
    before = set(weight_classes(model))
    represent(model["recurrent"], Prune(0.5), "weight_hh_l0")
    assert set(weight_classes(model)) == before


def test_weights_may_be_chosen_by_name():
    names = ["decoder.weight", "embedding.weight"]
    assert list(weight_classes(language_model(nn.GRU), names)) == names
