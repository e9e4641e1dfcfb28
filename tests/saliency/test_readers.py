"""Inputs of recurrent layers, embeddings and attention: as those of cells and linear layers."""

import pytest
import torch
from small import data, gaussian
from torch import nn

from laconic.errors import UnsupportedError
from laconic.saliency import OBS, Data, FisherChannels, Wanda, input_hessians
from laconic.solve import compensate
from laconic.train.array_task import ArrayTask

CELLS = {nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell, nn.RNN: nn.RNNCell}
TIME, SIZE, HIDDEN = 5, 3, 4


class Whole(nn.Module):
    """Two layers in both directions, computed by one kernel; the last outputs of one place."""

    def __init__(self, kind, batch_first=True, started=False):
        super().__init__()
        self.rows = kind(SIZE, HIDDEN, 2, bidirectional=True, batch_first=batch_first).double()
        self.started = started

    def start(self, batch):
        count = 2 if isinstance(self.rows, nn.LSTM) else 1
        state = tuple(gaussian(4, batch, HIDDEN, seed=seed) for seed in range(count))
        return state if count == 2 else state[0]

    def forward(self, inputs):
        given = inputs if self.rows.batch_first else inputs.transpose(0, 1)
        state = self.start(len(inputs)) if self.started else None
        outputs = self.rows(given, state)[0]
        return (outputs if self.rows.batch_first else outputs.transpose(0, 1))[:, 2]


class Unrolled(nn.Module):
    """The same, a cell at a time."""

    def __init__(self, whole):
        super().__init__()
        self.whole = [whole]  # not a part of this network
        self.cells = nn.ModuleDict()
        for layer in (0, 1):
            for end in ("", "_reverse"):
                width = SIZE if layer == 0 else 2 * HIDDEN
                cell = CELLS[type(whole.rows)](width, HIDDEN).double()
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    setattr(cell, name, getattr(whole.rows, f"{name}_l{layer}{end}"))
                self.cells[f"l{layer}{end}"] = cell

    def forward(self, inputs):
        states = self.whole[0].start(len(inputs)) if self.whole[0].started else None
        for layer in (0, 1):
            sides = []
            for side, end in enumerate(("", "_reverse")):
                place = 2 * layer + side
                state = None
                if states is not None:
                    pair = isinstance(states, tuple)
                    state = tuple(s[place] for s in states) if pair else states[place]
                outputs = {}
                order = range(TIME) if not end else reversed(range(TIME))
                for time in order:
                    state = self.cells[f"l{layer}{end}"](inputs[:, time], state)
                    outputs[time] = state[0] if isinstance(state, tuple) else state
                sides.append(torch.stack([outputs[time] for time in range(TIME)], 1))
            inputs = torch.cat(sides, -1)
        return inputs[:, 2]


@pytest.mark.parametrize("kind", CELLS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("started", [False, True], ids=["from zero", "from a state"])
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
def test_a_recurrent_layer_has_the_inputs_of_its_cells(kind, started, batch_first):
    whole = Whole(kind, batch_first, started)
    unrolled = Unrolled(whole)
    examples = data(TIME, SIZE)
    rows = gaussian(2, TIME, SIZE)
    torch.testing.assert_close(whole(rows), unrolled(rows))
    found = Wanda().scores(whole, data=examples)
    expected = Wanda().scores(unrolled, data=examples)
    assert len(found) == len(expected) == 8
    for name, scores in expected.items():
        _, cell, key = name.split(".")
        torch.testing.assert_close(found[f"rows.{key}_{cell}"], scores, rtol=1e-9, atol=1e-12)


class OneHot(nn.Module):
    """A linear layer in an embedding's place."""

    def __init__(self, embedding):
        super().__init__()
        self.layer = nn.Linear(7, 4, bias=False)
        self.layer.weight = nn.Parameter(embedding.weight.detach().mT)

    def forward(self, tokens):
        return self.layer(nn.functional.one_hot(tokens, 7).float()).sum(1)


class Embedded(nn.Module):
    """Words, then their sum."""

    def __init__(self, tied=False):
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.last = nn.Linear(4, 7, bias=False) if tied else nn.Identity()
        if tied:
            self.last.weight = self.words.weight

    def forward(self, tokens):
        return self.last(self.words(tokens).sum(1))


def token_data():
    tokens = torch.randint(7, (12, 6), generator=torch.Generator().manual_seed(0)).clamp(max=5)
    targets = torch.arange(12) % 4
    return Data(ArrayTask(tokens, targets, tokens, targets, validation_fraction=0.25), count=9)


def test_an_embedding_is_scored_as_the_linear_layer_of_one_hot_words():
    model = Embedded()
    found = Wanda().scores(model, data=token_data())["words.weight"]
    expected = Wanda().scores(OneHot(model.words), data=token_data())["layer.weight"].mT
    torch.testing.assert_close(found, expected)
    assert bool((found[6] == 0).all())  # a word that never comes
    assert bool((found[:6] > 0).all())


def test_a_weight_of_an_embedding_and_of_the_decoder_has_the_inputs_of_both():
    model = Embedded(tied=True)
    found = Wanda().scores(model, data=token_data())["words.weight"]
    tokens = torch.cat([batch for batch, _ in token_data().batches()])
    words = tokens.flatten().bincount(minlength=7)[:, None]
    decoded = model.words(tokens).sum(1).square().sum(0)
    torch.testing.assert_close(
        found, (model.words.weight.abs() * (words + decoded).sqrt()).detach()
    )


def test_what_cannot_be_told_of_an_embedding_is_refused_by_its_name():
    with pytest.raises(UnsupportedError, match=r"^words.weight: OBS.* at the weight of Embedding;"):
        OBS().scores(Embedded(), data=token_data())


class Attended(nn.Module):
    """Attention of a sequence to a part of it, or to itself."""

    def __init__(self, size=4, keys=3):
        super().__init__()
        self.keys = keys
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True, kdim=size).double()

    def forward(self, rows):
        keys = torch.tanh(rows[:, : self.keys, : self.attention.kdim])
        return self.attention(rows, keys, value=rows[:, : self.keys])[0].sum(1)


@pytest.mark.parametrize("keys", [3, 5], ids=["fewer keys than queries", "as many"])
@pytest.mark.parametrize("size", [4, 2], ids=["one projection", "three projections"])
def test_an_attention_projects_its_query_its_key_and_its_value(keys, size):
    model, examples = Attended(size, keys), data(5, 4)
    inputs = torch.cat([batch for batch, _ in examples.batches()])
    parts = [inputs, torch.tanh(inputs[:, :keys, :size]), inputs[:, :keys]]
    norms = [part.flatten(0, 1).norm(dim=0) for part in parts]
    if size == 4:
        names = ["attention.in_proj_weight"]
        weight = model.attention.in_proj_weight.detach()
        expected = [weight.abs() * torch.cat([norm.expand(4, 4) for norm in norms])]
    else:
        names = [f"attention.{part}_proj_weight" for part in "qkv"]
        found = [getattr(model.attention, f"{part}_proj_weight").detach() for part in "qkv"]
        expected = [weight.abs() * norm for weight, norm in zip(found, norms, strict=True)]
    scores = Wanda().scores(model, names, examples)
    for name, wanted in zip(names, expected, strict=True):
        torch.testing.assert_close(scores[name], wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("keys", [3, 5], ids=["fewer keys than queries", "as many"])
def test_the_projection_behind_an_attention_gets_its_heads(keys):
    model, examples = Attended(keys=keys), data(5, 4)
    projection = model.attention.out_proj
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows = torch.cat([batch for batch, _ in examples.batches()])
    given = torch.tanh(rows[:, :keys])
    with torch.no_grad():
        outputs, _ = model.attention(rows, given, value=rows[:, :keys])
        heads = (outputs - projection.bias) @ torch.linalg.inv(projection.weight).T
    scores = Wanda().scores(model, ["attention.out_proj.weight"], examples)
    wanted = projection.weight.detach().abs() * heads.flatten(0, 1).norm(dim=0)
    torch.testing.assert_close(scores["attention.out_proj.weight"], wanted, rtol=1e-9, atol=0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


MIXING = gaussian(6, 2, seed=3) @ gaussian(2, 6, seed=4) + 0.1 * gaussian(6, 6, seed=5)


class Last(nn.Module):
    """The last output of an LSTM, of inputs that depend on each other."""

    def __init__(self):
        super().__init__()
        self.rows = nn.LSTM(6, 4, batch_first=True).double()

    def forward(self, inputs):
        return self.rows(inputs @ MIXING)[0][:, -1]


def test_the_update_of_an_lstm_keeps_what_its_gates_add_up_near():
    """Over the inputs that it was made from, better than zeros alone."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Last()
    examples = data(5, 6)
    weight = model.rows.weight_ih_l0.detach()
    mask = weight.abs() > weight.abs().median()
    hessians = input_hessians(model, ["rows.weight_ih_l0"], examples, damping=1e-6)
    moved = compensate(weight, hessians["rows.weight_ih_l0"], mask)
    assert bool((moved[~mask] == 0).all())
    inputs = torch.cat([batch for batch, _ in examples.batches()]).flatten(0, 1) @ MIXING
    lost = ((moved - weight) @ inputs.T).square().sum()
    assert float(lost) < 0.2 * float((weight * ~mask @ inputs.T).square().sum())


def test_a_packed_sequence_is_refused():
    class Packed(Last):
        def forward(self, inputs):
            packed = nn.utils.rnn.pack_padded_sequence(inputs, [5] * len(inputs), True)
            return self.rows(packed)[1][0][0]

    with pytest.raises(UnsupportedError, match="weight_ih_l0: a packed sequence comes into this L"):
        Wanda().scores(Packed(), ["rows.weight_ih_l0"], data(5, 6))


class Reused(nn.Module):
    """An embedding whose weight also gives the outputs; `tied` through a layer of its own."""

    def __init__(self, tied):
        super().__init__()
        self.words = nn.Embedding(6, 4).double()
        self.head = nn.Linear(4, 6, bias=False).double() if tied else None
        if tied:
            self.head.weight = self.words.weight

    def forward(self, words):
        state = self.words.weight.new_zeros(len(words), 4)  # its type alone
        hidden = self.words(words).mean(1) + state
        if self.head is not None:
            return self.head(hidden)
        return nn.functional.linear(hidden, self.words.weight)


def words():
    numbers = torch.arange(24).reshape(12, 2) % 6
    return Data(
        ArrayTask(numbers, numbers[:, 0], numbers, numbers[:, 0], validation_fraction=0.25), count=8
    )


def test_a_weight_that_is_taken_past_its_layer_is_refused_by_name():
    with pytest.raises(
        UnsupportedError,
        match=r"^words\.weight: the network also takes this weight past its layer .* Wanda\(\) "
        "sees a part of its inputs alone",
    ):
        Wanda().scores(Reused(tied=False), data=words())
    assert Wanda().scores(Reused(tied=True), ["words.weight"], words())


class Called(nn.Module):
    """A layer that is called and also applied by hand."""

    def __init__(self):
        super().__init__()
        self.rows = nn.Linear(6, 6).double()
        self.last = nn.Linear(6, 4).double()

    def forward(self, inputs):
        return self.last(self.rows(inputs) @ self.rows.weight.T)


def test_channels_of_a_layer_that_is_applied_by_hand_too_are_refused_by_name():
    with pytest.raises(
        UnsupportedError,
        match=r"^rows\.weight: .* FisherChannels\(.*\) sees a part of its outputs alone",
    ):
        FisherChannels().scores(Called(), ["rows.weight"], data(6))
    assert FisherChannels().scores(Called(), ["last.weight"], data(6))


class Packed(nn.Module):
    """A packed sequence inside of a network."""

    def __init__(self):
        super().__init__()
        self.rows = nn.GRU(SIZE, HIDDEN, batch_first=True).double()

    def forward(self, inputs):
        lengths = torch.full((len(inputs),), TIME)
        packed = nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True)
        return self.rows(packed)[1][0]


def test_a_packed_sequence_is_refused_with_the_whole_name_of_the_weight():
    with pytest.raises(UnsupportedError, match=r"^rows\.weight_ih_l0: a packed sequence comes"):
        Wanda().scores(Packed(), data=data(TIME, SIZE))


class Once(nn.Module):
    """A cell that runs for one step, from nothing."""

    def __init__(self, kind):
        super().__init__()
        self.cell = kind(SIZE, HIDDEN).double()

    def forward(self, inputs):
        state = self.cell(inputs)
        return state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize("kind", [nn.GRUCell, nn.LSTMCell, nn.RNNCell])
def test_a_cell_without_a_state_multiplies_by_zeros(kind):
    scores = Wanda().scores(Once(kind), data=data(SIZE))
    assert bool((scores["cell.weight_hh"] == 0).all())
    assert bool((scores["cell.weight_ih"] > 0).all())
