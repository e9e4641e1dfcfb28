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
