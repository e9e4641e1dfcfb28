"""ESE's chain (arXiv:1612.00694): balanced pruning of an LSTM, then 12 bits, then a file."""

import pytest
import torch
from torch import nn

from laconic.container import LacFile
from laconic.recipe import Stage
from laconic.runtime import load
from laconic.zoo.language import NextToken

PROCESSORS, SPARSITY = 4, 0.75
WEIGHTS = ("lstm.weight_ih_l0", "lstm.weight_hh_l0")


class Language(nn.Module):
    """Twelve words, 16 units."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 16)
        self.lstm = nn.LSTM(16, 16, batch_first=True)
        self.decoder = nn.Linear(16, 12)

    def forward(self, words):
        return self.decoder(self.lstm(self.embedding(words))[0])


def text():
    """A word is mostly the one before it plus three."""
    generator = torch.Generator().manual_seed(0)
    steps = torch.where(torch.rand(900, generator=generator) < 0.9, 3, 5)
    return steps.cumsum(0) % 12


FIT = Stage("fit", {"epochs": 2, "learning_rate": 0.02, "clip_norm": 5.0})
BALANCED = {"sparsity": SPARSITY, "processors": PROCESSORS, "layers": "lstm*"}
STAGES = (
    FIT,
    Stage("prune-balanced", BALANCED),
    FIT,
    Stage("uniform", {"bits": 12, "layers": "lstm*"}),
    FIT,
)


@pytest.fixture(scope="module")
def done(tmp_path_factory, runner):
    torch.manual_seed(0)
    task = NextToken(text(), text()[:200], text()[:200], length=10, batch_size=10)
    return runner(tmp_path_factory.mktemp("ese"), STAGES, model=Language(), task=task)


def loads(weight):
    """Non-zeros of each processor, which has every fourth row."""
    return [int((weight[number::PROCESSORS] != 0).sum()) for number in range(PROCESSORS)]


def test_every_processor_has_the_same_load_after_every_stage(done):
    for receipt in done.receipts[1:]:
        tensors = {tensor.name: tensor for tensor in receipt.tensors}
        assert [tensors[name].nonzeros for name in WEIGHTS] == [256, 256]
    with LacFile(done.output) as file:
        for name in WEIGHTS:
            assert loads(file.array(name)) == [64] * PROCESSORS


def test_weights_are_twelve_bits_and_what_is_left_of_the_bytes_falls(done):
    bytes_of = [
        sum(tensor.size_bytes for tensor in receipt.tensors if tensor.name in WEIGHTS)
        for receipt in done.receipts
    ]
    assert bytes_of[1] < 0.4 * bytes_of[0]
    assert bytes_of[3] < 0.7 * bytes_of[2]
    with LacFile(done.output) as file:
        for name in WEIGHTS:
            assert [str(step) for step in done.model.lstm.parametrizations[name[5:]]] == [
                f"PruneBalanced(sparsity={SPARSITY}, processors={PROCESSORS})",
                "Uniform(bits=12, axis=None, clip='none')",
            ]
            codes = file.array(name) / abs(file.array(name)).max()
            assert len(set(codes[codes != 0].tolist())) > 100


def test_the_runtime_computes_what_torch_does_and_the_network_still_knows(done):
    words = done.task.test[:30].reshape(3, 10)
    with torch.no_grad():
        wanted = done.model.eval()(words)
    (found,) = load(done.output).run(words.numpy())
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=1e-4, atol=1e-4)
    assert done.receipts[-1].metric["test"] < 2.5  # a guess has 12
