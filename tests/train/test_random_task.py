"""Random inputs and the outputs of a network as a task."""

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Prune
from laconic.quantize import Uniform
from laconic.represent import represent, represent_layers
from laconic.train import RandomInputs, evaluate, make_fabric


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def test_the_network_itself_makes_no_error_and_a_changed_one_does(model):
    task, fabric = RandomInputs(model, (6,)), make_fabric("cpu", threads=1)
    assert evaluate(model, task, "test", fabric) == pytest.approx(0, abs=1e-9)
    with torch.no_grad():
        model[2].weight.zero_()
        model[2].bias.copy_(torch.cat([out for _, out in task.batches("train")]).mean(0))
    # The mean instead of the outputs costs all of their energy.
    assert evaluate(model, task, "test", fabric) == pytest.approx(100, rel=0.1)


def test_splits_and_seeds_have_inputs_of_their_own(model):
    task = RandomInputs(model, (6,))
    drawn = [
        next(task.batches(split, seed=seed))[0]
        for split, seed in [("train", 0), ("train", 1), ("validation", 0), ("test", 0)]
    ]
    assert len({tuple(inputs.flatten().tolist()) for inputs in drawn}) == 4
    assert torch.equal(drawn[2], next(task.batches("validation", seed=5))[0])


def test_chains_of_the_network_may_grow(model):
    represent(model[0], Prune(0.5))
    task = RandomInputs(model, (6,))
    represent_layers(model, {"0.bias": Uniform(4)})
    inputs, outputs = next(task.batches("test"))
    with torch.no_grad():
        assert not torch.equal(model(inputs), outputs)


def test_any_seed_will_do(model):
    inputs, _ = next(RandomInputs(model, (6,)).batches("train", seed=2**63 - 1))
    assert inputs.shape == (64, 6)


def test_inputs_are_as_precise_as_the_network(model):
    task = RandomInputs(model.half(), (6,))
    inputs, outputs = next(task.batches("train"))
    assert inputs.dtype == outputs.dtype == torch.float16
    assert task.score(outputs, outputs + 100.0).isfinite().all()


def test_gradients_flow_between_two_batches(model):
    task = RandomInputs(model, (6,))
    for inputs, targets in task.batches("train"):
        task.loss(model(inputs), targets).backward()
        break
    assert model[0].weight.grad is not None


def test_tokens_are_below_the_smallest_table():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 2))
    inputs, _ = next(RandomInputs(model, (3,)).batches("train"))
    assert inputs.dtype == torch.int64
    assert int(inputs.min()) >= 0
    assert int(inputs.max()) < 7


def test_a_shape_that_the_network_does_not_take_is_refused(model):
    with pytest.raises(UsageError, match=r"the network does not take inputs of shape \[5\]: mat1"):
        RandomInputs(model, (5,))


def test_outputs_that_never_change_are_refused(model):
    with torch.no_grad():
        model[2].weight.zero_()
    with pytest.raises(UsageError, match="the same outputs for all random inputs"):
        RandomInputs(model, (6,))
