"""The metric of a network on a split."""

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Prune
from laconic.represent import represent
from laconic.train import evaluate
from laconic.train.array_task import ArrayTask


@pytest.fixture
def signs() -> ArrayTask:
    """The class is the sign of the first number; 10 test rows, 7 of them in one batch."""
    inputs = torch.linspace(-1, 1, 40)[:, None] * torch.ones(1, 2)
    labels = (inputs[:, 0] > 0).long()
    return ArrayTask(
        inputs, labels, inputs[::4], labels[::4], validation_fraction=0.25, eval_batch_size=7
    )


class Sign(nn.Module):
    """Right but for inputs below -0.9, of which the test split has one in ten."""

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, inputs):
        wrong = inputs[:, 0] < -0.9
        right = torch.stack([-inputs[:, 0], inputs[:, 0]], 1)
        return torch.where(wrong[:, None], right.flip(1), right) + self.offset


def test_the_metric_is_the_mean_over_examples_and_not_over_batches(signs):
    assert evaluate(Sign(), signs, "test") == 10.0


@pytest.mark.parametrize("split", ["train", "validation"])
def test_each_split_is_scored(signs, split):
    rows = signs._train_rows if split == "train" else signs._validation_rows
    wrong = float((signs.train_inputs[rows, 0] < -0.9).double().mean())
    assert evaluate(Sign(), signs, split) == pytest.approx(100 * wrong)


def test_evaluation_runs_in_eval_mode_without_gradient_and_puts_the_modes_back(signs):
    seen = []

    class Watch(nn.Sequential):
        def forward(self, inputs):
            seen.append((self.training, torch.is_grad_enabled()))
            return super().forward(inputs)

    model = Watch(nn.Linear(2, 2), nn.Dropout())
    model[1].eval()
    evaluate(model, signs, "test")
    assert set(seen) == {(False, False)}
    assert model.training
    assert not model[1].training
    assert torch.is_grad_enabled()


def test_restricted_weights_are_what_is_scored(signs):
    model = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-1.0, 0.0], [3.0, -2.0]]))
    assert evaluate(model, signs, "test") == 0.0
    represent(model, Prune(0.75))
    with torch.no_grad():
        model.parametrizations.weight.original.mul_(-1)
    assert evaluate(model, signs, "test") == 100.0


def test_an_empty_split_is_an_error(signs):
    class Empty(ArrayTask):
        def batches(self, split, *, seed=0):
            return iter(())

    signs.__class__ = Empty
    with pytest.raises(UsageError, match="the split 'validation' has no examples"):
        evaluate(Sign(), signs, "validation")


def test_a_score_that_is_not_one_number_an_example_is_an_error(signs):
    class Mean(ArrayTask):
        def score(self, outputs, targets):
            return super().score(outputs, targets).mean()

    signs.__class__ = Mean
    with pytest.raises(UsageError, match=r"gave the shape \[\] for 7 examples; .* \[7\]"):
        evaluate(Sign(), signs, "test")


def test_an_unknown_split_is_an_error(signs):
    with pytest.raises(UsageError, match="no split 'valid'"):
        evaluate(Sign(), signs, "valid")
