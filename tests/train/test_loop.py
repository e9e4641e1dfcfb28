"""Gradients clipped to a norm, and how steps are numbered where epochs differ in length."""

import math

import pytest
import torch
from tests.train.conftest import blobs_task, small_network
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Gradual, Prune
from laconic.represent import represent
from laconic.train import fit


class Uneven:
    """A task whose epochs have these numbers of batches, of 16 examples each."""

    def __init__(self, *lengths):
        self.task, self.lengths, self.given = blobs_task(), lengths, 0
        self.metric, self.higher_is_better = self.task.metric, self.task.higher_is_better
        self.loss, self.score = self.task.loss, self.task.score

    def batches(self, split, *, seed=0):
        batches = list(self.task.batches(split, seed=seed))
        # `fit` counts the first epoch before it begins.
        length = self.lengths[max(0, self.given - 1)]
        self.given += 1
        return iter((batches * 2)[:length])


class Recorder:
    """Writes down every moment."""

    configuration: dict = {}  # noqa: RUF012

    def __init__(self):
        self.moments = []

    def before_step(self, model, moment):
        pass

    def after_step(self, model, moment):
        self.moments.append((moment.step, moment.done))


def test_the_last_batch_of_a_short_epoch_stands_for_the_numbers_that_are_left():
    recorder = Recorder()
    fit(small_network(), Uneven(4, 2, 1), epochs=3, callbacks=[recorder])
    assert recorder.moments == [
        (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 8), (8, 12),
    ]  # fmt: skip


def test_surplus_batches_of_a_long_epoch_have_no_number():
    recorder = Recorder()
    fit(small_network(), Uneven(2, 4, 2), epochs=3, callbacks=[recorder])
    assert recorder.moments == [
        (0, 1), (1, 2), (2, 3), (3, 4), (4, 4), (4, 4), (4, 5), (5, 6),
    ]  # fmt: skip


@pytest.mark.parametrize("lengths", [(6, 2, 1), (6, 9, 9), (6, 1, 6)], ids=str)
@pytest.mark.parametrize("end", [1.0, 0.75, 13], ids=["at the end", "before", "in the last epoch"])
def test_gradual_pruning_ends_exactly_whatever_the_length_of_later_epochs(lengths, end):
    model = small_network()
    represent(model[0], Prune(0.75))
    gradual = Gradual({"0.weight": 0.75}, end=end, frequency=4)
    fit(model, Uneven(*lengths), epochs=3, learning_rate=0.05, callbacks=[gradual])
    assert int((model[0].weight == 0).sum()) == 96


def moved(clip_norm):
    """By how much one step of SGD at a rate of 1 moves a layer."""
    network = nn.Linear(8, 3)
    with torch.no_grad():
        network.weight.zero_(), network.bias.zero_()
    task = blobs_task(batch_size=1000)
    fit(
        network, task, epochs=1, learning_rate=1.0, optimizer="sgd", momentum=0.0,
        clip_norm=clip_norm,
    )  # fmt: skip
    return torch.cat([network.weight.detach().flatten(), network.bias.detach()])


def test_gradients_larger_than_the_norm_are_scaled_down_to_it():
    free, clipped = moved(None), moved(0.01)
    assert float(clipped.norm()) == pytest.approx(0.01, rel=1e-4)
    torch.testing.assert_close(clipped / clipped.norm(), free / free.norm(), rtol=1e-4, atol=1e-6)


def test_gradients_below_the_norm_are_left_alone():
    assert torch.equal(moved(1e6), moved(None))


@pytest.mark.parametrize("clip_norm", [0.0, -1.0, math.inf, math.nan], ids=str)
def test_a_norm_that_cannot_be_meant_is_refused(clip_norm):
    with pytest.raises(UsageError, match=r"clip_norm \S+ is not a positive number; 5 is usual"):
        fit(small_network(), blobs_task(), epochs=1, clip_norm=clip_norm)
