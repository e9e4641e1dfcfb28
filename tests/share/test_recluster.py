"""Centroids that are found anew while the weights train."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.represent import represent
from laconic.share import Recluster, ShareNearest, kmeans


def moment(done, steps=100):
    return SimpleNamespace(done=done, steps=steps)


def shared():
    layer = nn.Linear(30, 30)
    step = represent(layer, ShareNearest(bits=3))
    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(3).add_(0.1)
    return layer, step


def test_when_it_is_time_the_centroids_are_those_of_the_latent_weights():
    layer, step = shared()
    codebook, before = step.codebook, step.codebook.detach().clone()
    callback = Recluster(["weight"], every=10)
    for done in (1, 9, 11, 100):
        callback.after_step(layer, moment(done))
        assert torch.equal(step.codebook, before)
    callback.after_step(layer, moment(20))
    assert step.codebook is codebook  # an optimizer holds it
    latent = layer.parametrizations.weight.original.detach()
    expected = torch.from_numpy(kmeans(latent.numpy(), 7)).float()
    assert torch.equal(step.codebook, expected)


def test_fewer_values_than_centroids_repeat_the_last():
    layer, step = shared()
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(torch.arange(30) % 3 - 1.0)
    Recluster(["weight"], every=1).after_step(layer, moment(5))
    assert step.codebook.tolist() == [-1.0] + [1.0] * 6
    assert set(layer.weight.unique().tolist()) == {-1.0, 0.0, 1.0}


def test_a_weight_without_the_step_is_named():
    with pytest.raises(UsageError, match="weight has no ShareNearest in its chain"):
        Recluster(["weight"], every=1).after_step(nn.Linear(2, 2), moment(5))
