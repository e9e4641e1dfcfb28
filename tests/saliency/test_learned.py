"""Scores that a training has learned."""

import pytest
import torch
from torch import nn

from laconic.errors import UnsupportedError
from laconic.prune import Prune, Supermask
from laconic.represent import represent
from laconic.saliency import LearnedScores


def test_the_scores_are_the_probabilities_of_being_kept():
    layer = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0], [-2.0, 3.0]]))
    step = represent(layer, Supermask())
    with torch.no_grad():
        step.scores[0, 0], step.scores[1, 0], step.scores[1, 1] = 2.0, -1.0, 0.0
    found = LearnedScores().scores(layer)["weight"]
    assert found.flatten().tolist() == pytest.approx([0.880797, 0, 0.268941, 0.5], abs=1e-6)


def test_a_weight_without_learned_scores_is_named():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    represent(net[0], Supermask())
    represent(net[1], Prune(0.5))
    with pytest.raises(
        UnsupportedError, match=r"1.weight: no step on it learns scores; train a su"
    ):
        LearnedScores().scores(net)
    assert list(LearnedScores().scores(net, ["0.weight"])) == ["0.weight"]
