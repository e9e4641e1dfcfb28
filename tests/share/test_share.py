"""Weights that share few values, and the training of those values."""

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Prune
from laconic.represent import represent
from laconic.share import STARTS, Share, ShareNearest


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def fitted(weight, **arguments):
    step = Share(**arguments)
    step.fit(weight)
    return step


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8])
def test_zero_is_one_of_the_two_to_the_bits_values(bits):
    weight = gaussian(40, 40)
    step = fitted(weight, bits=bits)
    assert len(step.codebook) == 2**bits - 1
    assert set(step.codes(weight).unique().tolist()) == set(range(1, 2**bits))


def test_each_weight_takes_its_nearest_centroid():
    weight = gaussian(40, 40)
    step = fitted(weight, bits=4)
    distances = (weight[..., None] - step.codebook.detach()).abs()
    torch.testing.assert_close(
        (weight - step(weight)).abs().detach(), distances.amin(-1), rtol=0, atol=1e-6
    )


def test_zeros_have_a_code_of_their_own_and_stay_out_of_the_clusters():
    weight = torch.tensor([0.0, 1.0, 0.0, 3.0, -0.0])
    step = fitted(weight, bits=1)
    assert step.codes(weight).tolist() == [0, 1, 0, 1, 0]
    assert step.codebook.tolist() == [2.0]


def test_the_gradient_of_a_centroid_is_the_sum_over_its_members():
    """arXiv:1510.00149, equation 3."""
    weight = torch.where(gaussian(30, 30).abs() < 0.5, 0.0, gaussian(30, 30))
    step = fitted(weight, bits=3)
    slope = gaussian(30, 30, seed=1)
    (step(weight) * slope).sum().backward()
    codes = step.codes(weight)
    expected = torch.stack([slope[codes == i + 1].sum() for i in range(7)])
    torch.testing.assert_close(step.codebook.grad, expected)


def test_the_papers_worked_example():
    """arXiv:1510.00149, figure 3: 16 weights, 4 centroids, summed gradients, rate 0.1 · 0.2.

    The figure has a centroid of exactly 0.00; here zero is a value that is not trained, so the
    four clusters are given and their gradients compared.
    """
    indices = torch.tensor([[3, 0, 2, 1], [1, 1, 0, 3], [0, 3, 1, 0], [3, 1, 2, 2]])
    centroids = torch.tensor([-1.0, 0.0, 1.5, 2.0])
    gradient = torch.tensor(
        [[-0.03, -0.01, 0.03, 0.02], [-0.01, 0.01, -0.02, 0.12],
         [-0.01, 0.02, 0.04, 0.01], [-0.07, -0.02, 0.01, -0.02]]
    )  # fmt: skip
    step = Share(bits=3)
    step.assignments = (indices + 1).to(torch.int32)
    step.codebook = nn.Parameter(centroids)
    (step(torch.zeros(4, 4)) * gradient).sum().backward()
    torch.testing.assert_close(step.codebook.grad, torch.tensor([-0.03, 0.04, 0.02, 0.04]))


def test_the_latent_weight_gets_no_gradient():
    layer = nn.Linear(6, 4)
    represent(layer, Share(bits=2))
    layer.weight.sum().backward()
    assert layer.parametrizations.weight.original.grad is None


def test_training_moves_the_values_and_not_the_assignments():
    layer = nn.Linear(20, 20)
    represent(layer, Prune(0.5))
    step = represent(layer, Share(bits=3))
    codes, before = step.assignments.clone(), layer.weight.detach().clone()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    layer.weight.square().sum().backward()
    optimizer.step()
    after = layer.weight.detach()
    assert torch.equal(step.assignments, codes)
    assert torch.equal(after == 0, before == 0)
    assert bool((after[after != 0] != before[after != 0]).all())


def test_a_centroid_that_training_brings_to_negative_zero_becomes_zero():
    step = fitted(torch.tensor([1.0, 2.0]), bits=2)
    with torch.no_grad():
        step.codebook.copy_(torch.tensor([-0.0, 2.0]))
    assert not bool(torch.signbit(step(torch.zeros(2))).any())


def test_a_weight_that_shares_already_is_kept_bit_for_bit():
    values = torch.tensor([-3.3, -1e-6, 2e-7, 0.1, 0.1 + 2**-27, 77.0, 1e5])
    weight = values[torch.randint(0, 7, (50, 50), generator=torch.Generator().manual_seed(0))]
    assert torch.equal(fitted(weight, bits=3)(weight), weight)


def test_neighbouring_floats_keep_codes_of_their_own():
    weight = torch.tensor([1.0, 1.0 + 2**-23, 1.0 + 2**-22])
    assert fitted(weight, bits=2).codes(weight).tolist() == [1, 2, 3]


@pytest.mark.parametrize("bits", [2, 3])
def test_the_linear_start_keeps_the_large_weights_best(bits):
    """arXiv:1510.00149, section 3.2: few large weights matter most, and density loses them."""
    weight = torch.where(gaussian(200, 200).abs() < 1.5, 0.0, gaussian(200, 200))
    worst = {}
    for start in STARTS:
        step = fitted(weight, bits=bits, start=start)
        worst[start] = float((weight - step(weight)).abs().max().detach())
    assert worst["linear"] <= worst["density"]


def test_what_shares_no_value_is_refused_by_its_arguments():
    with pytest.raises(UsageError, match=r"bits 0 is outside 1\.\.16"):
        Share(bits=0)
    with pytest.raises(UsageError, match=r"bits 17 is outside 1\.\.16"):
        Share(bits=17)
    with pytest.raises(UsageError, match="no start is named 'mean'; there are: linear, density"):
        Share(bits=4, start="mean")


def test_a_step_that_is_not_fitted_says_what_to_call():
    with pytest.raises(UsageError, match=r"Share\(bits=4, start='linear'\) has no assignments yet"):
        Share(bits=4)(torch.ones(3))


def test_more_bits_than_the_optimal_start_has_tables_for_are_refused():
    with pytest.raises(UsageError, match=r"bits 11 is outside 1\.\.10"):
        Share(bits=11, start="optimal")


def test_importances_move_the_centroids_to_the_weights_that_matter():
    """arXiv:1612.01543: c = Σ h w / Σ h."""
    weight, importances = gaussian(50, 50), gaussian(50, 50, seed=1).square()
    step = Share(bits=3, start="optimal").by(importances)
    step.fit(weight)
    codes = step.codes(weight)
    for place in range(1, 8):
        members = codes == place
        own, values = importances[members].double(), weight[members].double()
        expected = (own * values).sum() / own.sum()
        torch.testing.assert_close(step.codebook[place - 1].double(), expected)

    def error(own):
        return float((importances * (weight - own(weight)).square()).sum().detach())

    assert error(step) < error(fitted(weight, bits=3, start="optimal"))


@pytest.mark.parametrize(
    ("importances", "message"),
    [
        ([1.0, 1.0], r"shape \[2\], the weight \[3\]"),
        ([1.0, float("nan"), 2.0], "1 of 3 importances are NaN or infinite"),
        ([1.0, -0.5, -2.0], "2 of 3 importances are negative, down to -2"),
        ([0.0, 0.0, 0.0], "all 3 importances are 0: these weights do not matter to the loss"),
    ],
)
def test_importances_that_weigh_nothing_are_refused_with_the_layers_name(importances, message):
    layer = nn.Module()
    layer.weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    with pytest.raises(UsageError, match=r"Module\.weight: .*" + message):
        represent(layer, Share(bits=1).by(torch.tensor(importances)))


def test_importances_are_used_once():
    step = Share(bits=1).by(torch.tensor([3.0, 1.0]))
    step.fit(torch.tensor([1.0, 5.0]))
    step.fit(torch.tensor([1.0, 5.0]))
    assert step.codebook.tolist() == [3.0]


def test_the_nearest_centroid_is_taken_anew_while_the_weights_train():
    layer = nn.Linear(20, 20)
    represent(layer, Prune(0.5))
    step = represent(layer, ShareNearest(bits=3))
    before, codes = layer.weight.detach().clone(), step.codes(layer.weight).clone()
    slope = gaussian(20, 20)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.02)
    (layer.weight * slope).sum().backward()
    expected = torch.stack([slope[codes == i + 1].sum() for i in range(7)])
    torch.testing.assert_close(step.codebook.grad, expected)
    latent = layer.parametrizations.weight.original
    torch.testing.assert_close(latent.grad, torch.where(before != 0, slope, 0.0))
    optimizer.step()
    after = layer.weight.detach()
    assert torch.equal(after == 0, before == 0)
    moved = step.codes(chain_input(layer)) != codes
    assert 0 < int(moved.sum()) < moved.numel()
    distances = (chain_input(layer)[..., None] - step.codebook.detach()).abs()
    kept = after != 0
    torch.testing.assert_close(
        (chain_input(layer) - after).abs()[kept], distances.amin(-1)[kept], rtol=0, atol=1e-6
    )


def chain_input(layer):
    """What comes into the last step."""
    return layer.parametrizations.weight[0](layer.parametrizations.weight.original).detach()


def test_centroids_that_cross_each_other_keep_the_nearest_rule():
    step = ShareNearest(bits=2)
    step.fit(torch.tensor([1.0, 2.0, 3.0]))
    with torch.no_grad():
        step.codebook.copy_(torch.tensor([3.0, 1.0, 2.0]))
    assert step.codes(torch.tensor([0.0, 0.9, 2.2, 9.0])).tolist() == [0, 2, 3, 1]
