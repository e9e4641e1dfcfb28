"""The fit loop in one process."""

import itertools
import math
import warnings

import pytest
import torch
from tests.train.conftest import blobs_task, small_network
from torch import nn

from laconic.errors import StageError, UsageError
from laconic.prune import Prune
from laconic.quantize import Uniform
from laconic.represent import represent
from laconic.share import Share
from laconic.train import Objective, Progress, fit
from laconic.train.array_task import ArrayTask


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert list(one) == list(other)
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


def test_training_lowers_the_loss_and_records_each_epoch(network, task):
    history = fit(network, task, epochs=5, learning_rate=0.01)
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5]
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert {record["learning_rate"] for record in history} == {0.01}


def test_the_recorded_loss_is_the_mean_over_examples(task):
    """150 examples in batches of 16: the last has 6, so a mean over steps would differ."""
    network = nn.Linear(8, 3)
    rows = task._train_rows
    with torch.no_grad():
        whole = task.loss(network(task.train_inputs[rows]), task.train_targets[rows]).item()
    history = fit(network, task, epochs=1, learning_rate=1e-30)
    assert len(rows) == 150
    assert history[0]["loss"] == pytest.approx(whole, rel=1e-6)


def test_one_step_of_sgd_is_the_textbook_step(task):
    network = nn.Linear(8, 3)
    start = network.weight.detach().clone()
    whole = ArrayTask(
        task.train_inputs, task.train_targets, task.test_inputs, task.test_targets,
        validation_fraction=0.25, batch_size=1000,
    )  # fmt: skip
    rows = whole._train_rows
    loss = whole.loss(network(whole.train_inputs[rows]), whole.train_targets[rows])
    (gradient,) = torch.autograd.grad(loss, network.weight)
    fit(network, whole, epochs=1, learning_rate=0.5, optimizer="sgd", momentum=0.0)
    torch.testing.assert_close(network.weight.detach(), start - 0.5 * gradient)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    runs = []
    for before, seed in enumerate((3, 3, 4)):
        torch.manual_seed(before)  # what ran before must not matter
        network = small_network()
        fit(network, blobs_task(), epochs=2, seed=seed)
        runs.append(state(network))
    assert_same(runs[0], runs[1])
    assert not torch.equal(runs[0]["0.weight"], runs[2]["0.weight"])


def test_epochs_see_different_orders_and_different_dropout(network, task):
    seen = []

    class Watch(Objective):
        def loss(self, model, inputs, outputs, targets, task):
            seen.append((inputs[0].clone(), torch.rand(1).item()))
            return task.loss(outputs, targets)

    history = fit(network, task, epochs=2, objective=Watch())
    half = len(seen) // 2
    assert len(history) == 2
    assert not torch.equal(seen[0][0], seen[half][0])
    assert seen[0][1] != seen[half][1]


def test_the_callers_random_state_mode_and_device_are_left_alone(network, task):
    network.eval()
    network[2].train()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    fit(network, task, epochs=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not network.training
    assert not network[0].training
    assert network[2].training


def test_zero_epochs_change_nothing(network, task):
    before = state(network)
    assert fit(network, task, epochs=0) == []
    assert_same(before, state(network))


def test_training_runs_in_training_mode(network, task):
    modes = []

    class Watch(Objective):
        def loss(self, model, inputs, outputs, targets, task):
            modes.append(model.training)
            return task.loss(outputs, targets)

    network.eval()
    fit(network, task, epochs=1, objective=Watch())
    assert set(modes) == {True}


def test_pruned_weights_stay_zero_and_the_others_move(network, task):
    represent(network[0], Prune(0.75))
    before = network[0].weight.detach().clone()
    fit(network, task, epochs=2, learning_rate=0.01, weight_decay=0.1, optimizer="adamw")
    after = network[0].weight.detach()
    assert torch.equal(before == 0, after == 0)
    assert int((after == 0).sum()) == 96
    assert bool((after[after != 0] != before[after != 0]).all())


def test_centroids_learn_while_the_latent_weight_stands_still(network, task):
    represent(network[0], Prune(0.5))
    share = represent(network[0], Share(bits=3))
    latent = network[0].parametrizations.weight.original
    before, centroids = latent.detach().clone(), share.codebook.detach().clone()
    fit(network, task, epochs=2, learning_rate=0.01, weight_decay=0.5, optimizer="adamw")
    assert torch.equal(before, latent.detach()), "weight decay moved a frozen latent weight"
    assert latent.grad is None
    assert bool((share.codebook != centroids).all())
    assert len(network[0].weight.unique()) <= 8


def test_a_quantized_layer_trains_through_its_grid(network, task):
    step = represent(network[0], Uniform(bits=3))
    latent = network[0].parametrizations.weight.original
    before = latent.detach().clone()
    history = fit(network, task, epochs=5, learning_rate=0.01)
    assert history[-1]["loss"] < history[0]["loss"]
    assert not torch.equal(before, latent.detach())
    assert torch.equal(step(network[0].weight), network[0].weight)


def test_each_chain_is_computed_once_a_step(task):
    """Tied reading: the same layer runs twice in a forward pass."""

    class Counting(Prune):
        calls = 0

        def forward(self, weight):
            type(self).calls += 1
            return super().forward(weight)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.square, self.last = nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, inputs):
            return self.last(self.square(self.square(inputs)))

    model = Twice()
    represent(model.square, Counting(0.5))
    Counting.calls = 0
    steps = []
    fit(model, task, epochs=1, on_progress=steps.append)
    assert Counting.calls == len(steps) == 10


def test_biases_and_codebooks_do_not_decay(network, task):
    class Nothing(Objective):
        def loss(self, model, inputs, outputs, targets, task):
            return 0.0 * outputs.sum()

    step = represent(network[0], Share(bits=2))
    centroids = step.codebook.detach().clone()
    weight, bias = network[3].weight.detach().clone(), network[3].bias.detach().clone()
    fit(
        network, task, epochs=1, learning_rate=0.1, optimizer="adamw", weight_decay=0.5,
        objective=Nothing(),
    )  # fmt: skip
    torch.testing.assert_close(network[3].weight.detach(), weight * 0.95**10)
    assert torch.equal(network[3].bias, bias)
    assert torch.equal(step.codebook, centroids)


def test_an_objective_adds_to_the_task_loss(network, task):
    class Lasso(Objective):
        def loss(self, model, inputs, outputs, targets, task):
            return task.loss(outputs, targets) + 0.05 * model[0].weight.abs().sum()

    other = small_network()
    fit(network, task, epochs=5, learning_rate=0.01, objective=Lasso())
    fit(other, task, epochs=5, learning_rate=0.01)
    assert network[0].weight.abs().sum() < 0.5 * other[0].weight.abs().sum()


def test_progress_counts_steps_and_epochs(network, task):
    seen: list[Progress] = []
    fit(network, task, epochs=2, on_progress=seen.append)
    assert [(p.epoch, p.step) for p in seen] == [(e, s) for e in (1, 2) for s in range(1, 11)]
    assert {(p.epochs, p.steps) for p in seen} == {(2, 10)}
    assert [p.fraction for p in seen] == [i / 20 for i in range(1, 21)]
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(seen))
    assert seen[-1].seconds_left == 0.0


def test_time_left_after_a_resume_counts_only_what_ran_here():
    progress = Progress(
        epoch=3, epochs=4, step=10, steps=10, loss=0.0, seconds=6.0, resumed_epochs=2
    )
    assert progress.seconds_left == 6.0


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1.0, 1.0, 1.0, 1.0]),
        ("linear", [1.0, 0.75, 0.5, 0.25]),
        ("cosine", [1.0, 0.5 + 0.25 * math.sqrt(2), 0.5, 0.5 - 0.25 * math.sqrt(2)]),
        ("step", [1.0, 1.0, 0.1, 0.01]),
    ],
)
def test_the_learning_rate_follows_its_schedule(network, task, schedule, expected):
    history = fit(network, task, epochs=4, learning_rate=2e-3, schedule=schedule)
    assert [r["learning_rate"] for r in history] == pytest.approx([2e-3 * f for f in expected])


def test_the_rate_falls_within_an_epoch_too(task):
    """One epoch of plain SGD on a loss of constant gradient: the sum of rates is the way gone."""

    class Slope(Objective):
        def loss(self, model, inputs, outputs, targets, task):
            return model.weight.sum() + 0.0 * outputs.sum()

    model = nn.Linear(8, 3)
    start = model.weight.detach().clone()
    fit(
        model, task, epochs=1, learning_rate=1.0, optimizer="sgd", momentum=0.0,
        schedule="linear", objective=Slope(),
    )  # fmt: skip
    torch.testing.assert_close(start - model.weight.detach(), torch.full((3, 8), 5.5))


def test_a_loss_that_is_not_finite_stops_at_once_with_its_place(network, task):
    class Bursts(Objective):
        calls = 0

        def loss(self, model, inputs, outputs, targets, task):
            self.calls += 1
            return task.loss(outputs, targets) * (math.inf if self.calls == 13 else 1.0)

    with pytest.raises(StageError, match=r"^epoch 2, step 3: the loss is inf; lower the learning"):
        fit(network, task, epochs=3, objective=Bursts())
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())


def test_a_loss_that_is_not_finite_names_the_layer_where_it_began(network, task):
    with torch.no_grad():
        network[3].weight[0] = torch.nan
    message = (
        r"^epoch 1, step 1: the loss is nan \(3 is the first layer whose outputs are not finite: "
        r"16 of 48\); lower the learning rate"
    )
    with pytest.raises(StageError, match=message):
        fit(network, task, epochs=1)
    assert not network[3]._forward_hooks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": -1}, "epochs is -1"),
        ({"epochs": 1, "seed": -1}, "seed is -1"),
        ({"epochs": 1, "learning_rate": 0.0}, "learning_rate 0 is not a positive number"),
        ({"epochs": 1, "learning_rate": math.nan}, "learning_rate nan is not a positive"),
        ({"epochs": 1, "weight_decay": -0.1}, "weight_decay -0.1 is not 0 or a positive"),
        ({"epochs": 1, "optimizer": "adamax"}, "'adamax'; there are: adam, adamw, sgd"),
        ({"epochs": 1, "schedule": "cos"}, "'cos'; there are: constant, linear, cosine, step"),
        ({"epochs": 1, "momentum": 0.9}, "'adam' has no option 'momentum'; it has: betas, eps"),
        ({"epochs": 1, "optimizer": "sgd", "momentum": -1}, "Invalid momentum value: -1"),
        ({"epochs": 0, "optimizer": "adamax"}, "no optimizer is named"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_arguments_that_cannot_be_meant_are_refused(network, task, arguments, message):
    with pytest.raises(UsageError, match=message):
        fit(network, task, **arguments)


def test_a_model_without_trainable_parameters_is_refused(network, task):
    network.requires_grad_(False)
    with pytest.raises(UsageError, match="there is nothing to train"):
        fit(network, task, epochs=1)


def test_a_loss_that_reaches_no_parameter_is_refused(network, task):
    class Detached(Objective):
        def loss(self, model, inputs, outputs, targets, task):
            return task.loss(outputs.detach(), targets)

    with pytest.raises(UsageError, match="the loss depends on no parameter"):
        fit(network, task, epochs=1, objective=Detached())


def test_a_task_without_batches_is_refused(network, task):
    class Empty(ArrayTask):
        def batches(self, split, *, seed=0):
            return iter(())

    task.__class__ = Empty
    with pytest.raises(UsageError, match="the task gives no training batch"):
        fit(network, task, epochs=1)


def test_a_fabric_of_another_precision_is_refused(network, task):
    from lightning_fabric import Fabric

    with pytest.raises(UsageError, match="precision 'bf16-mixed'; give one with '32-true'"):
        fit(network, task, epochs=1, fabric=Fabric(accelerator="cpu", precision="bf16-mixed"))


def test_frozen_parameters_stay(network, task):
    network[0].requires_grad_(False)
    before = state(network)
    fit(network, task, epochs=1, weight_decay=0.5, optimizer="adamw")
    assert torch.equal(before["0.weight"], network[0].weight)
    assert not torch.equal(before["3.weight"], network[3].weight)


def test_training_warns_of_nothing(network, task, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(network, task, epochs=1)
    assert capfd.readouterr() == ("", "")


def test_a_gradient_that_is_not_finite_names_its_layer_before_the_weights_move(network, task):
    """The derivative of a square root at 0: the loss stays finite."""

    class Root(Objective):
        def loss(self, model, inputs, outputs, targets, task):
            return task.loss(outputs, targets) + model[0].weight.square().sum(1).sqrt().sum()

    with torch.no_grad():
        network[0].weight[:2] = 0
    represent(network[0], Prune(0.1))
    before = state(network)
    message = (
        r"^epoch 1, step 1: 16 of the 128 gradients of 0\.weight are NaN or infinite, though the "
        r"loss is finite; lower the learning rate \(0\.001\)"
    )
    with pytest.raises(StageError, match=message):
        fit(network, task, epochs=1, objective=Root())
    assert_same(before, state(network))


def test_gradients_whose_norm_alone_overflows_are_no_error(network, task):
    class Steep(Objective):
        def loss(self, model, inputs, outputs, targets, task):
            return 1e30 * model[0].weight.sum() + 0.0 * outputs.sum()

    fit(network, task, epochs=1, objective=Steep(), optimizer="adam")
