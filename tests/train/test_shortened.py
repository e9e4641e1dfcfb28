"""A task of which a part alone is seen."""

import copy

import torch

from laconic.train import ArrayTask, Shortened


def test_a_copy_ends_where_the_original_does():
    rows, labels = torch.eye(8), torch.arange(8) % 2
    task = ArrayTask(rows, labels, rows, labels, validation_fraction=0.25, batch_size=2)
    twin = copy.deepcopy(Shortened(task, train_batches=2, validation_examples=1))
    assert len(list(twin.batches("train"))) == 2
    assert [len(targets) for _, targets in twin.batches("validation")] == [1]


def test_each_split_ends_where_it_was_told_to():
    rows, labels = torch.eye(8), torch.arange(8) % 2
    task = ArrayTask(rows, labels, rows, labels, validation_fraction=0.25, batch_size=2)
    short = Shortened(task, test_examples=3)
    seen = [[len(targets) for _, targets in short.batches(s)] for s in ("validation", "test")]
    assert [sum(counts) for counts in seen] == [2, 3]
