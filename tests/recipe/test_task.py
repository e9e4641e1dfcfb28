"""A task that is not what `Task` says is refused before anything is computed."""

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.recipe.beforehand import check_task
from laconic.train import ArrayTask, evaluate, make_fabric


class Rows(ArrayTask):
    def __init__(self):
        rows, labels = torch.eye(8), torch.arange(8) % 2
        super().__init__(rows, labels, rows, labels, validation_fraction=0.5)


def task(**members):
    """A good task with some members replaced."""
    return type("Changed", (Rows,), members)()


def without_seed(self, split):
    return Rows.batches(self, split)


def of_three(self, split, *, seed=0):
    return ((inputs, targets, 1) for inputs, targets in Rows.batches(self, split, seed=seed))


def of_lists(self, split, *, seed=0):
    return (((inputs, inputs), targets) for inputs, targets in Rows.batches(self, split))


CASES = {
    "no metric": ({"metric": None}, "metric is None; give its name as a text"),
    "no direction": ({"higher_is_better": None}, "higher_is_better is None; give True or False"),
    "an example method": (
        {"example_input": lambda self: torch.zeros(1, 8)},
        "example_input is a method; make it a property that gives a tensor",
    ),
    "a batch of examples": (
        {"example_input": torch.zeros(5, 8)},
        "example_input has the shape [5, 8]; it must be one input",
    ),
    "batches without a seed": ({"batches": without_seed}, "unexpected keyword argument 'seed'"),
    "batches of three": ({"batches": of_three}, "[4], a int); give (inputs, targets)"),
    "two inputs": ({"batches": of_lists}, "give two tensors"),
    "a loss for each example": (
        {"loss": lambda self, outputs, targets: outputs.sum(1)},
        "loss is a tensor of shape [4]; give the mean of the batch",
    ),
    "a loss that is a number": (
        {"loss": lambda self, outputs, targets: 1.0},
        "loss is a float; give the mean of the batch",
    ),
    "a score that is a number": (
        {"score": lambda self, outputs, targets: 1.0},
        "score is a float for 4 examples; give one number an example",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_task_is_refused_with(case):
    members, message = CASES[case]
    with pytest.raises(UsageError) as caught:
        check_task(nn.Linear(8, 2), task(**members), make_fabric("cpu"))
    assert message in str(caught.value)


def test_a_good_task_passes_and_the_network_stays_as_it_is():
    network = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    check_task(network, task(), make_fabric("cpu"))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_score_that_is_not_a_number_is_an_error():
    undefined = task(score=lambda self, outputs, targets: outputs[:, 0] * float("nan"))
    with pytest.raises(UsageError, match="score on the split 'validation' is nan"):
        evaluate(nn.Linear(8, 2), undefined, "validation")
