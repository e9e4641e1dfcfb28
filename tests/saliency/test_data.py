"""The examples that a saliency may look at, and what every saliency shares."""

import pytest
import torch
from small import Regression, data, gaussian
from torch import nn

from laconic.errors import PatternError, UsageError
from laconic.saliency import SALIENCIES, Data, Magnitude, Random, Saliency


def test_as_many_examples_as_asked_for_in_the_batches_of_the_task():
    task = Regression(gaussian(10, 2), gaussian(10, 1), 4)
    assert [len(targets) for _, targets in Data(task, 6).batches()] == [4, 2]
    assert [len(targets) for _, targets in Data(task, 8).batches()] == [4, 4]
    assert [len(targets) for _, targets in Data(task, 99).batches()] == [4, 4, 2]


def test_the_seed_decides_which():
    task = data(3).task
    first, again, other = (next(Data(task, 3, seed=seed).batches())[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_only_training_examples_are_read():
    asked = []

    class Watched(Regression):
        def batches(self, split, *, seed=0):
            asked.append(split)
            return super().batches(split, seed=seed)

    examples = Data(Watched(gaussian(8, 4), gaussian(8, 2), 4), 8)
    for name, kind in SALIENCIES.items():
        if kind.needs_data and name not in ("true-fisher", "ewc"):
            kind().scores(nn.Linear(4, 2).double(), data=examples)
    assert set(asked) == {"train"}


def test_no_examples_are_refused():
    with pytest.raises(UsageError, match="looks at 0 examples; it needs at least 1"):
        Data(data(3).task, 0)
    with pytest.raises(UsageError, match="the task gives no training example; there is nothing"):
        list(Data(Regression(gaussian(0, 2), gaussian(0, 1), 4)).batches())


def test_magnitudes_are_those_of_the_restricted_weights():
    layer = nn.Linear(3, 2)
    assert torch.equal(Magnitude().scores(layer)["weight"], layer.weight.detach().abs())


def test_random_scores_come_from_their_seed_alone():
    layer = nn.Linear(30, 20)
    first = Random(seed=3).scores(layer)["weight"]
    torch.rand(5)
    assert torch.equal(first, Random(seed=3).scores(layer)["weight"])
    assert not torch.equal(first, Random(seed=4).scores(layer)["weight"])
    assert bool(((first >= 0) & (first < 1)).all())


class Wrong(Saliency):
    """Leaves the model in a mess and gives scores of another shape."""

    def measure(self, model, names, data):
        model.train()
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        return {name: torch.zeros(1) for name in names}


def test_a_saliency_that_breaks_its_contract_is_found_out_and_the_model_set_right():
    layer = nn.Linear(3, 2).eval()
    with pytest.raises(AssertionError, match=r"Wrong\(\) gave \[1\] for weight \[2, 3\]"):
        Wrong().scores(layer)
    assert not layer.training
    assert all(parameter.grad is None for parameter in layer.parameters())


def test_a_name_that_is_no_weight_is_refused():
    with pytest.raises(PatternError, match="no layer matches 'bias'; the layers are: weight"):
        Magnitude().scores(nn.Linear(3, 2), ["bias"])
