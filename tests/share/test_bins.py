"""Uniform bins with the means of their weights as values."""

import pytest
import torch

from laconic.errors import UsageError
from laconic.represent import represent
from laconic.share import ShareBins


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("weighted", [False, True], ids=["means", "Hessian-weighted means"])
def test_each_value_is_the_mean_of_the_weights_in_its_bin(weighted):
    weight = torch.where(gaussian(60, 40).abs() < 0.3, 0.0, gaussian(60, 40))
    importances = gaussian(60, 40, seed=1).square() if weighted else torch.ones(60, 40)
    step = ShareBins(width=0.5)
    step.fit(weight) if not weighted else step.by(importances).fit(weight)
    width = 0.5 * weight[weight != 0].double().square().mean().sqrt()
    bins, values = (weight.double() / width).round(), step(weight).detach()
    for one in bins.unique():
        members = bins == one
        assert len(values[members].unique()) == 1
        if one == 0:
            assert bool((values[members] == 0).all())
            continue
        own = importances[members].double()
        mean = (own * weight[members].double()).sum() / own.sum()
        torch.testing.assert_close(values[members][0].double(), mean)
    assert len(step.codebook) == len(bins.unique()) - 1


def test_a_bin_whose_importances_are_all_zero_has_its_plain_mean():
    weight, importances = torch.tensor([3.0, 4.0, -4.0]), torch.tensor([0.0, 0.0, 1.0])
    step = ShareBins(width=1.0).by(importances)
    step.fit(weight)
    assert step.codebook.tolist() == [-4.0, 3.5]


def test_an_outlier_of_1e30_leaves_the_others_in_the_bin_of_zero():
    step = ShareBins(width=0.5)
    weight = torch.tensor([1e30, 1.0, -2.0])
    step.fit(weight)
    assert step(weight).tolist() == [weight[0].item(), 0.0, 0.0]


@pytest.mark.parametrize("width", [0.0, -1.0, float("inf"), float("nan")])
def test_what_is_no_width_is_refused(width):
    with pytest.raises(UsageError, match=r"is not positive; 0\.5 root mean squares is a usual one"):
        ShareBins(width=width)


def test_bins_that_share_nothing_are_refused_with_the_layers_name():
    layer = torch.nn.Linear(300, 300)
    with pytest.raises(UsageError, match=r"Linear\.weight: bins of 1e-09 .* leave 8\d,\d\d\d v"):
        represent(layer, ShareBins(width=1e-9))
