"""Adam's second moment as a curvature."""

import pytest
import torch
from small import data, net, net_data

from laconic.errors import UsageError
from laconic.saliency import AdamMoment, Data


def test_it_is_what_adam_itself_would_hold_after_the_same_batches():
    """torch.optim.Adam with a learning rate of 0 over the same batches."""
    model, examples = net(), net_data()
    found = AdamMoment(power=0).scores(model, data=examples)
    model.eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
    steps = 0
    for inputs, targets in examples.batches():
        optimizer.zero_grad()
        examples.loss(model(inputs), targets).backward()
        optimizer.step()
        steps += 1
    assert steps > 1
    named = dict(model.named_parameters())
    for name, score in found.items():
        moment = optimizer.state[named[name]]["exp_avg_sq"] / (1 - 0.999**steps)
        torch.testing.assert_close(score, moment.sqrt())


def test_by_default_the_squared_weight_is_weighed_in():
    model, examples = net(), net_data()
    plain = AdamMoment(power=0).scores(model, data=examples)
    for name, score in AdamMoment().scores(model, data=examples).items():
        weight = dict(model.named_parameters())[name].detach()
        torch.testing.assert_close(score, plain[name] * weight**2)


def test_a_beta_of_one_would_never_look_at_a_batch():
    with pytest.raises(UsageError, match=r"beta 1 is outside \[0, 1\); Adam's own is 0\.999"):
        AdamMoment(beta=1.0)


class WithoutLabels:
    def __init__(self, targets):
        self.targets = targets

    def batches(self, split, *, seed=0):
        yield torch.zeros(4, 4), self.targets

    def loss(self, outputs, targets):
        return outputs.mean()


@pytest.mark.parametrize("targets", [None, torch.zeros(0)], ids=["None", "an empty tensor"])
def test_a_task_without_labels_is_refused(targets):
    model = torch.nn.Linear(4, 2)
    with pytest.raises(UsageError, match=r"no target \(label\) for each training example"):
        AdamMoment().scores(model, data=Data(WithoutLabels(targets)))


def test_calibration_data_with_nan_are_refused():
    task = WithoutLabels(torch.zeros(4))
    task.batches = lambda split, seed=0: iter([(torch.full((4, 4), torch.nan), torch.zeros(4))])
    with pytest.raises(UsageError, match="an input of the training examples is NaN or infinite"):
        AdamMoment().scores(torch.nn.Linear(4, 2), data=Data(task))
    assert data(4).count  # the fixture itself is sound
