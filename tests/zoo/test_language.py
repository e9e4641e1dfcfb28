"""Texts as numbers of words, the task of the next word, and its network."""

import gzip
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

from laconic import runtime
from laconic.container import LacFile
from laconic.errors import DataError, UsageError
from laconic.measure.file import score_file
from laconic.pack import pack
from laconic.prune import SCOPES
from laconic.represent import represent_layers, weights
from laconic.train import Task, evaluate, fit
from laconic.zoo.language import NextToken
from laconic.zoo.lstm import LanguageLSTM
from laconic.zoo.tasks import ptb
from laconic.zoo.text import read_ptb

LINES = "the cat sat on the mat\n the dog sat on the <unk> \n"
TEXTS = {"train": LINES * 30, "valid": LINES * 5, "test": "the cat sat\n" * 20}


def write(folder: Path, **texts: str) -> None:
    (folder / "ptb").mkdir(exist_ok=True)
    for name, text in (TEXTS | texts).items():
        (folder / f"ptb/ptb.{name}.txt.gz").write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with tiny texts."""
    monkeypatch.setenv("LACONIC_DATA", str(tmp_path))
    write(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_words_are_numbered_by_frequency_and_then_by_their_letters():
    splits = read_ptb()
    assert splits.words == ["the", "<eos>", "on", "sat", "<unk>", "cat", "dog", "mat"]
    first = " ".join(splits.words[number] for number in splits.train[:9])
    assert first == "the cat sat on the mat <eos> the dog"
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (420, 70, 80)
    assert splits.train.dtype == torch.int64


def test_a_word_that_the_training_text_lacks_is_unknown(folder):
    write(folder, test="the zebra sat\n" * 20)
    splits = read_ptb()
    assert [splits.words[n] for n in splits.test[:4]] == ["the", "<unk>", "sat", "<eos>"]


def test_without_an_unknown_word_it_is_refused_by_name(folder):
    write(folder, train="the cat sat\n" * 30, valid="the dog sat\n" * 20)
    with pytest.raises(DataError, match=r"ptb\.valid\.txt\.gz has the word 'dog', which the train"):
        read_ptb()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no gzip", "is damaged: it is no whole gzipped text"),
        (gzip.compress(b"the cat sat\n" * 99)[:-6], "is damaged: it is no whole gzipped text"),
        (gzip.compress(b"\xff\xfe"), "is damaged: it is no whole gzipped text"),
        (gzip.compress(b""), "is empty; it should hold a sentence a line"),
    ],
    ids=["no gzip file", "cut short", "no text", "empty"],
)
def test_a_damaged_text_is_refused(folder, content, message):
    (folder / "ptb/ptb.train.txt.gz").write_bytes(content)
    with pytest.raises(DataError, match=f"ptb.train.txt.gz {message}"):
        read_ptb()


def test_too_many_words_are_refused(folder):
    write(folder, train=" ".join(map(str, range(10_000))))
    with pytest.raises(DataError, match="has 10001 different words; 10000 are known"):
        read_ptb()


def test_a_missing_text_says_how_to_give_it(folder):
    (folder / "ptb/ptb.valid.txt.gz").unlink()
    with pytest.raises(DataError, match=r"ptb/ptb\.valid\.txt\.gz is missing: .*put it into a fol"):
        read_ptb()


@pytest.mark.usefixtures("folder")
def test_the_task_gives_sequences_and_the_same_one_word_later():
    task = ptb(batch_size=4)
    assert isinstance(task, Task)
    assert task.example_input.shape == (1, 35)
    text = task.train
    seen = []
    for inputs, targets in task.batches("train", seed=3):
        assert inputs.shape == targets.shape
        assert torch.equal(inputs[:, 1:], targets[:, :-1])
        seen.append((inputs, targets))
    assert [len(inputs) for inputs, _ in seen] == [4, 4, 3]
    rows = torch.cat([inputs for inputs, _ in seen])
    expected = text[: 11 * 35].reshape(11, 35)
    assert Counter(map(tuple, rows.tolist())) == Counter(map(tuple, expected.tolist()))


@pytest.mark.usefixtures("folder")
def test_the_seed_alone_decides_the_order():
    task = NextToken(torch.arange(100), torch.arange(9), torch.arange(9), length=4, batch_size=5)

    def first(seed):
        return next(task.batches("train", seed=seed))[0][:, 0].tolist()

    assert first(1) == first(1)
    assert first(1) != first(2)
    fixed = [inputs[:, 0].tolist() for inputs, _ in task.batches("validation", seed=5)]
    assert fixed == [[0, 4]]


class Known(nn.Module):
    """Gives every next token the probability 1/2, 1/4, 1/8 and 1/8."""

    def forward(self, tokens):
        chances = torch.tensor([0.5, 0.25, 0.125, 0.125])
        return chances.log().expand(*tokens.shape, 4)


def test_the_perplexity_is_the_exponential_of_the_mean_nats_of_all_tokens():
    """2^(mean bits): tokens 0, 1, 2, 3 cost 1, 2, 3 and 3 bits."""
    test = torch.tensor([0, 1, 2, 3, 0, 1, 0, 0, 3])
    task = NextToken(test, test, test, length=4, eval_batch_size=1)
    bits = [2, 3, 3, 1, 2, 1, 1, 3]
    assert evaluate(Known(), task, "test") == pytest.approx(2 ** (sum(bits) / 8))


def test_a_hopeless_network_has_a_large_perplexity_not_an_overflow():
    task = NextToken(*[torch.arange(9)] * 3, length=4)
    assert task.from_mean(1e6) == math.exp(700)


@pytest.mark.parametrize("length", [0, 9, 35])
def test_a_text_that_is_too_short_is_refused(length):
    with pytest.raises(UsageError, match=f"9 tokens make no sequence of {length} and the one af"):
        NextToken(*[torch.arange(9)] * 3, length=length)


def test_an_unknown_split_and_an_empty_batch_are_refused():
    with pytest.raises(UsageError, match="no split 'valid'; the splits are train, validation, t"):
        NextToken(*[torch.arange(9)] * 3, length=4).batches("valid")
    with pytest.raises(UsageError, match="batch_size is 0"):
        NextToken(*[torch.arange(9)] * 3, length=4, batch_size=0)


def test_parameters_start_evenly_between_minus_and_plus_a_tenth():
    model = LanguageLSTM(words=50, units=20)
    for parameter in model.parameters():
        assert 0.08 < float(parameter.detach().abs().max()) <= 0.1


@pytest.mark.usefixtures("folder")
def test_a_language_model_is_pruned_by_gates_trained_and_run_from_its_file(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LanguageLSTM(words=8, units=16)
    task = ptb(batch_size=4)
    fit(model, task, epochs=40, learning_rate=0.02)
    dense = evaluate(model, task, "validation")
    assert dense < 3
    scores = {name: value.abs() for name, value in weights(model).items()}
    represent_layers(model, SCOPES["class-distribution"].steps(model, scores, 0.6))
    fit(model, task, epochs=10, learning_rate=0.01)
    pack(model, tmp_path / "x.lac", example_input=task.example_input)
    with LacFile(tmp_path / "x.lac") as file:
        zeros = sum(int((file.array(name) == 0).sum()) for name in weights(model))
    assert zeros == round(0.6 * sum(value.numel() for value in weights(model).values()))
    session = runtime.load(tmp_path / "x.lac")
    assert session.check_probe() < 1e-4
    found = score_file(session, task, "test")
    assert found == pytest.approx(evaluate(model, task, "test"), rel=1e-4)
    assert evaluate(model, task, "validation") < 1.3 * dense


def test_the_published_text_has_the_published_counts(data_folder):
    splits = read_ptb()
    counts = (len(splits.train), len(splits.validation), len(splits.test), len(splits.words))
    assert counts == (929_589, 73_760, 82_430, 10_000)
    assert splits.words[:3] == ["the", "<unk>", "<eos>"]
    sequences = {split: sum(len(t) for _, t in ptb().batches(split)) for split in ("train", "test")}
    assert sequences == {"train": 26_559, "test": 2_355}
