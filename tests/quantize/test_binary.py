"""Signs and ternary values: formulas, gradients, and what training does with the latent weights."""

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Prune
from laconic.quantize import Binary, Follow, Sign, StochasticSign, Ternary, has_followers
from laconic.represent import represent
from laconic.train import ArrayTask, Moment, fit
from laconic.train.optimizers import make_optimizer


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def moment(step=0):
    return Moment(step, step + 1, 100, 0, 0.1)


def latent(layer):
    return layer.parametrizations.weight.original


def fitted(step, weight):
    step.fit(weight)
    return step


def test_alpha_is_the_least_square_scale_of_the_signs():
    """arXiv:1603.05279, equation 6: no other scale is nearer to the weights."""
    weight = gaussian(3, 50)
    step = fitted(Binary(axis=0), weight)
    torch.testing.assert_close(step.scale, weight.abs().mean(1))

    def distance(scale):
        return (weight - scale[:, None] * weight.sign()).square().sum(1)

    for factor in (0.99, 1.01):
        assert bool((distance(step.scale) < distance(step.scale * factor)).all())


def test_pruned_weights_stay_zero_and_do_not_count_in_alpha():
    weight = torch.tensor([[3.0, 0.0, -1.0, 0.0]])
    assert fitted(Binary(), weight)(weight).tolist() == [[2.0, 0.0, -2.0, 0.0]]


def test_a_filter_of_zeros_is_kept_by_every_grid():
    weight = torch.stack([gaussian(6), torch.zeros(6)])
    for step in (Binary(axis=0), Ternary(axis=0)):
        assert fitted(step, weight)(weight)[1].tolist() == [0.0] * 6
        assert step.scale[1] == 1


def test_a_constant_weight_is_exact_in_all_but_signs():
    weight = torch.full((3, 5), -0.3)
    for step in (Binary(), Binary(axis=0), Ternary()):
        assert torch.equal(fitted(step, weight)(weight), weight)
    assert torch.equal(fitted(Sign(), weight)(weight), torch.full((3, 5), -1.0))


def test_an_outlier_is_the_scale():
    """1e30 among ordinary weights: the mean is finite, and the rest is far too large."""
    weight = gaussian(1, 100)
    weight[0, 0] = 1e30
    assert fitted(Binary(), weight).scale.item() == pytest.approx(1e28)
    ternary = fitted(Ternary(), weight)
    assert ternary(weight)[0, 0].item() == pytest.approx(1e30)
    assert int(ternary.codes(weight).count_nonzero()) == 1


def gradient_of(step, weight, slope):
    weight = weight.clone().requires_grad_()
    (step(weight) * slope).sum().backward()
    return weight.grad


@pytest.mark.parametrize("released", [False, True], ids=["the paper's", "the released code's"])
def test_the_gradient_of_binary_weights(released):
    """arXiv:1603.05279, section 3.1; in util.lua times n (1 - 1/c), c the input channels."""
    weight = gaussian(4, 3, 2, 2)
    weight[0, 0, 0, 0], weight[1, 0, 0, 0] = 1.5, -2.0
    slope = gaussian(4, 3, 2, 2, seed=1)
    step = fitted(Binary(axis=0, released=released), weight)
    n, c = 12, 3
    alpha = weight.abs().mean((1, 2, 3), keepdim=True)
    factor = 1 / n + alpha * (weight.abs() < 1)
    expected = slope * factor * (n * (1 - 1 / c) if released else 1)
    torch.testing.assert_close(gradient_of(step, weight, slope), expected)


def test_the_paper_differentiates_alpha_for_its_own_weight_alone():
    """Autograd through α·sign, each α a weight's own (1/n of |w| moves), the sign by a clip."""
    weight, slope = gaussian(1, 6) / 3, gaussian(1, 6, seed=1)
    step = fitted(Binary(), weight)
    leaf = weight.clone().requires_grad_()
    total = weight.abs().sum()
    alphas = (total - weight.abs() + leaf.abs()) / 6
    clipped = leaf.clamp(-1, 1)
    signs = weight.sign() + clipped - clipped.detach()
    (slope * alphas * signs).sum().backward()
    torch.testing.assert_close(gradient_of(step, weight, slope), leaf.grad)


def test_the_gradient_of_a_sign_stops_beyond_one():
    weight = torch.tensor([-1.5, -1.0, 0.3, 1.0, 1.2])
    slope = torch.arange(1.0, 6.0)
    assert gradient_of(fitted(Sign(), weight), weight, slope).tolist() == [0, 2, 3, 4, 0]


def test_ternary_by_its_formulas():
    """arXiv:1605.04711, equations 4 to 6, by hand: mean 0.9, Δ 0.63; α of 0.9, 1.8 and 0.7."""
    weight = torch.tensor([[0.9, -1.8, 0.2, 0.7]])
    step = fitted(Ternary(), weight)
    assert step.threshold.tolist() == pytest.approx([0.63])
    assert step(weight)[0].tolist() == pytest.approx([3.4 / 3, -3.4 / 3, 0, 3.4 / 3])
    slope = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert torch.equal(gradient_of(step, weight, slope), slope)


def test_each_filter_has_its_own_ternary_scale():
    weight = torch.stack([gaussian(40), gaussian(40, seed=2) * 1e-3])
    step = fitted(Ternary(axis=0), weight)
    for row in range(2):
        alone = fitted(Ternary(), weight[row : row + 1])
        assert torch.equal(step(weight)[row], alone(weight[row : row + 1])[0])
    assert int((fitted(Ternary(), weight)(weight)[1] != 0).sum()) == 0


def test_latent_weights_are_confined_and_scales_follow():
    layer = nn.Linear(2, 2, bias=False)
    step = represent(layer, Binary(axis=0))
    with torch.no_grad():
        latent(layer).copy_(torch.tensor([[2.0, -0.5], [0.1, 0.3]]))
    Follow().after_step(layer, moment())
    assert latent(layer).tolist() == [[1.0, -0.5], [pytest.approx(0.1), pytest.approx(0.3)]]
    assert step.scale.tolist() == pytest.approx([0.75, 0.2])


def test_as_released_filters_are_centred_over_their_input_channels():
    layer = nn.Conv2d(3, 2, 2, bias=False)
    represent(layer, Binary(axis=0, released=True))
    Follow().after_step(layer, moment())
    torch.testing.assert_close(latent(layer).mean(1), torch.zeros(2, 2, 2), atol=1e-7, rtol=0)


def test_a_follower_learns_from_what_the_steps_before_it_leave():
    layer = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.1, -0.2, 0.6, 0.8]]))
    represent(layer, Prune(0.5))
    step = represent(layer, Binary())
    with torch.no_grad():
        latent(layer).mul_(0.5)
    Follow().after_step(layer, moment())
    assert step.scale.item() == pytest.approx(0.35)
    assert layer.weight[0, :2].tolist() == [0.0, 0.0]


def test_a_stochastic_sign_draws_with_its_probability_in_training_alone():
    layer = nn.Linear(10_000, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(0.4)
    represent(layer, StochasticSign())
    callback = Follow(seed=3)
    callback.before_step(layer, moment(7))
    with torch.no_grad():
        drawn = layer.weight.clone()
        assert float((drawn == 1).float().mean()) == pytest.approx(0.7, abs=0.02)
        assert set(drawn.unique().tolist()) == {-1.0, 1.0}
        assert bool((layer.eval().weight == 1).all()), "drawn in eval mode"
        layer.train()
        Follow(seed=3).before_step(layer, moment(7))
        assert torch.equal(layer.weight, drawn), "another draw for the same step"
        callback.before_step(layer, moment(8))
        assert not torch.equal(layer.weight, drawn), "the same draw for another step"
        callback.after_step(layer, moment(8))
        assert bool((layer.weight == 1).all()), "drawn outside of a step"


@pytest.mark.parametrize("step", [Sign(), Binary(), Binary(axis=0)], ids=str)
def test_weight_decay_leaves_latent_weights_of_signs_alone(step):
    layer = nn.Linear(3, 3)
    represent(layer, step)
    optimizer = make_optimizer(layer, "sgd", 0.1, 0.5, {})
    decayed = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decayed == {id(latent(layer)): 0.0, id(layer.bias): 0.0}


def test_weight_decay_still_acts_on_ternary_weights():
    layer = nn.Linear(3, 3, bias=False)
    represent(layer, Ternary())
    (group,) = make_optimizer(layer, "sgd", 0.1, 0.5, {}).param_groups
    assert group["weight_decay"] == 0.5


def separable():
    """Two classes, told apart by the signs of eight inputs."""
    rows = gaussian(400, 8)
    labels = (rows @ torch.tensor([1.0, -1, 1, 1, -1, -1, 1, -1]) > 0).long()
    return ArrayTask(rows, labels, rows, labels, validation_fraction=0.1), rows, labels


@pytest.mark.parametrize(
    "step", [Sign, StochasticSign, Binary, Ternary], ids=lambda kind: kind.__name__
)
def test_training_through_each_grid_learns(step):
    torch.manual_seed(0)
    network = nn.Linear(8, 2, bias=False)
    with torch.no_grad():
        network.weight.mul_(0.1)
    represent(network, step())
    assert has_followers(network)
    task, rows, labels = separable()
    fit(network, task, epochs=6, learning_rate=0.05, callbacks=[Follow()])
    with torch.no_grad():
        right = network.eval()(rows).argmax(1) == labels
        assert float(right.float().mean()) > 0.9
        assert float(latent(network).abs().max()) <= 1 or step is Ternary
        assert len(network.weight.abs().unique()) <= (2 if step is Ternary else 1)


class Stopped(BaseException):
    """Stands for a kill."""


def test_a_training_that_was_killed_goes_on_with_the_same_draws(tmp_path):
    task, _, _ = separable()

    def stop(progress):
        if progress.epoch == 3:
            raise Stopped

    def train(network, file, on_progress=None):
        fit(network, task, epochs=4, learning_rate=0.05, callbacks=[Follow(seed=5)],
            checkpoint=tmp_path / file, on_progress=on_progress)  # fmt: skip
        return latent(network).detach()

    networks = []
    for _ in range(3):
        torch.manual_seed(0)
        networks.append(nn.Linear(8, 2))
        represent(networks[-1], StochasticSign())
    whole = train(networks[0], "whole")
    with pytest.raises(Stopped):
        train(networks[1], "half", stop)
    assert torch.equal(train(networks[2], "half"), whole)


def test_a_network_without_such_grids_has_no_followers():
    layer = nn.Linear(2, 2)
    represent(layer, Prune(0.5))
    assert not has_followers(layer)


@pytest.mark.parametrize("kind", [Binary, Ternary])
def test_an_axis_that_cannot_be_is_refused_with_the_layer(kind):
    with pytest.raises(UsageError, match="axis -1 is negative"):
        kind(axis=-1)
    with pytest.raises(UsageError, match=r"Linear\.weight: axis 2 does not exist in a shape of"):
        represent(nn.Linear(3, 4), kind(axis=2))
