"""Han's thresholds of q deviations, and the dropout of a network that has fewer connections."""

import pytest
import torch
from masking import gaussian, masked
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Prune, QualityThreshold, scaled_dropout
from laconic.represent import represent


@pytest.mark.parametrize(("quality", "share"), [(0.5, 0.383), (1.0, 0.683), (2.0, 0.954)])
def test_of_gaussian_weights_the_share_within_q_deviations_goes(quality, share):
    weight = 0.02 * gaussian(400, 300)
    assert float((masked(QualityThreshold(quality), weight) == 0).float().mean()) == pytest.approx(
        share, abs=0.005
    )


def test_the_deviation_is_about_the_mean_and_of_what_is_left():
    """Weights of mean 2 and deviation 1: nothing is below 1 σ, 1 is below 1.5 σ."""
    weight = torch.tensor([1.0, 3.0, 0.0, 0.0, 0.0])
    assert masked(QualityThreshold(1.0), weight).tolist() == weight.tolist()
    assert masked(QualityThreshold(1.5), weight).tolist() == [0.0, 3.0, 0.0, 0.0, 0.0]


def test_pruning_again_goes_on_from_what_is_left():
    layer = nn.Linear(50, 40)
    left = []
    for _ in range(3):
        represent(layer, QualityThreshold(0.9))
        left.append(int((layer.weight != 0).sum()))
    assert 2000 > left[0] > left[1] > left[2] > 0


def test_scores_are_compared_with_their_own_deviation():
    step = QualityThreshold(1.0).by(torch.tensor([0.0, 10.0, 20.0]))  # σ = 8.2
    step.fit(torch.tensor([5.0, 5.0, 5.0]))
    assert step.mask.tolist() == [False, True, True]


def test_a_quality_that_leaves_nothing_names_the_layer_and_the_figures():
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, -1.0]]))
    with pytest.raises(
        UsageError, match=r"Linear.weight: all 2 weights are below 2 σ = 4, the largest is 3; lower"
    ):
        represent(layer, QualityThreshold(2.0))


@pytest.mark.parametrize("quality", [-1.0, float("nan"), float("inf")], ids=str)
def test_a_quality_that_cannot_be_meant_is_refused(quality):
    with pytest.raises(UsageError, match=r"quality is .*; 0 or a positive number of deviations"):
        QualityThreshold(quality)


class Net(nn.Module):
    """One dropout behind two layers, one behind a third; the modules stand in another order."""

    def __init__(self):
        super().__init__()
        self.late, self.early = nn.Dropout(0.4), nn.Dropout(0.5)
        self.first, self.second = nn.Linear(4, 10), nn.Linear(10, 4)
        self.third, self.last = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, rows):
        hidden = self.early(torch.relu(self.second(self.early(torch.relu(self.first(rows))))))
        return self.last(self.late(torch.relu(self.third(hidden))))


def test_the_rate_falls_with_the_root_of_the_connections_of_the_layers_before():
    model = Net().train()
    represent(model.first, Prune(0.5))  # 20 of 40, with the second 60 of 80
    represent(model.third, Prune(0.75))  # 5 of 20
    with scaled_dropout(model, torch.zeros(1, 4)) as rates:
        assert rates == {"early": pytest.approx(0.5 * 0.75**0.5), "late": pytest.approx(0.2)}
        assert (model.early.p, model.late.p) == (rates["early"], rates["late"])
        assert model.late.training
    assert (model.early.p, model.late.p) == (0.5, 0.4)
    assert not any(module._forward_hooks for module in model.modules())


def test_connections_of_the_original_network_count_where_layers_were_cut():
    model = Net()
    with scaled_dropout(model, torch.zeros(1, 4), {"third.weight": 80}) as rates:
        assert rates == {"early": 0.5, "late": pytest.approx(0.2)}


def test_the_rates_come_back_after_an_error():
    model = Net()
    represent(model.third, Prune(0.75))
    with pytest.raises(ZeroDivisionError), scaled_dropout(model, torch.zeros(1, 4)):
        raise ZeroDivisionError
    assert model.late.p == 0.4


def test_a_network_without_dropout_is_refused():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2))
    with (
        pytest.raises(UsageError, match="no dropout module of this network follows a layer"),
        scaled_dropout(model, torch.zeros(1, 4)),
    ):
        pass
