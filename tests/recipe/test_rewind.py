"""Back to the start, or to a kept point, with the masks of later stages."""

import copy

import pytest
import torch
from torch import nn

from laconic.errors import StageError, UsageError
from laconic.recipe import Context, Stage, Watcher
from laconic.recipe.rewind import rewind_stage
from laconic.recipe.run import stage_seed
from laconic.represent import latents, plain_state, weights
from laconic.train import fit, load_model, make_fabric

FIT = Stage("fit", {"epochs": 2, "learning_rate": 0.01})
PRUNE = Stage("prune", {"sparsity": 0.75})


class Stopped(BaseException):
    """Stands for a kill."""


WEIGHTS = ("0.weight", "2.weight")


def rewound(tmp_path, runner, to, model, *stages, **given):
    """The values and the masks after fit, prune and rewind, and those of the start."""
    begin = {name: value.clone() for name, value in plain_state(model).items()}
    done = runner(tmp_path, (*(stages or (FIT,)), PRUNE, Stage("rewind", {"to": to})), model=model)
    masks = {name: weights(done.model)[name] != 0 for name in WEIGHTS}
    return begin, {name: t.detach() for name, t in latents(done.model).items()}, masks, done


def test_survivors_are_back_at_the_start_and_the_pruned_stay_zero(tmp_path, runner, model):
    begin, latent, masks, done = rewound(tmp_path, runner, "start", model)
    for name in WEIGHTS:
        assert int(masks[name].sum()) == round(0.25 * masks[name].numel())
        assert torch.equal(weights(done.model)[name], begin[name] * masks[name])
    assert all(torch.equal(value, begin[name]) for name, value in latent.items())


def test_the_masks_are_those_of_the_trained_network_and_not_of_the_start(tmp_path, runner, model):
    begin, _, masks, _ = rewound(tmp_path, runner, "start", model)
    at_start, kept = begin["0.weight"].abs(), masks["0.weight"]
    assert at_start[kept].min() < at_start[~kept].max()


def test_signs_are_those_of_the_start_and_magnitudes_one_a_layer(tmp_path, runner, model):
    begin, latent, masks, done = rewound(tmp_path, runner, "signs", model)
    for name in WEIGHTS:
        found = weights(done.model)[name]
        expected = begin[name].sign() * begin[name].std(correction=0) * masks[name]
        torch.testing.assert_close(found, expected)
        assert len(found.unique()) == 3
    assert torch.equal(latent["0.bias"], begin["0.bias"])


def test_random_is_the_start_in_another_order(tmp_path, runner, model):
    begin, latent, masks, _ = rewound(tmp_path, runner, "random", model)
    for name, value in latent.items():
        assert torch.equal(value.flatten().sort().values, begin[name].flatten().sort().values)
    moved = latent["0.weight"] != begin["0.weight"]
    assert int(moved.sum()) > 500
    assert int(masks["0.weight"].sum()) == 128


def test_a_kept_step_is_where_a_training_of_so_many_steps_ends(tmp_path, runner, model):
    """Four steps: one epoch of three, and one."""
    twin = copy.deepcopy(model)
    stage = Stage("fit", {"epochs": 3, "learning_rate": 0.01, "keep_step": 4})
    _, latent, _, done = rewound(tmp_path, runner, "kept", model, stage)

    def stop(progress):
        if (progress.epoch, progress.step) == (2, 1):
            raise Stopped

    with pytest.raises(Stopped):
        fit(twin, done.task, epochs=3, learning_rate=0.01, seed=stage_seed(0, 1), on_progress=stop)
    for name, value in plain_state(twin).items():
        assert torch.equal(latent[name], value), name


def test_a_ticket_is_found_in_rounds(tmp_path, runner):
    """Train, prune, rewind, again: each round keeps half of what the last one left."""
    stages = []
    for sparsity in (0.5, 0.75, 0.875):
        stages += [FIT, Stage("prune", {"sparsity": sparsity}), Stage("rewind", {"to": "start"})]
    done = runner(tmp_path, (*stages, FIT))
    left = [
        next(t.nonzeros for t in receipt.tensors if t.name == "0.weight")
        for receipt in done.receipts
    ]
    assert left == [512, 256, 256, 256, 128, 128, 128, 64, 64, 64]


@pytest.mark.parametrize("place", [(1, 3), (3, 1), (4, 2)], ids="stage {0[0]}, epoch {0[1]}".format)
def test_a_run_stopped_before_or_after_the_kept_point_ends_with_the_same_bytes(
    tmp_path, runner, place
):
    stages = (
        Stage("fit", {"epochs": 3, "learning_rate": 0.01, "keep_step": 5}),
        PRUNE,
        Stage("rewind", {"to": "kept"}),
        FIT,
    )
    inside = []

    def on_progress(progress):
        if (inside[-1], progress.epoch) == place and progress.step == 2:
            raise Stopped

    def on_stage(number, count, stage):
        inside.append(number)
        if place == (3, 1) and number == 3:
            raise Stopped

    undisturbed = runner(tmp_path / "undisturbed", stages)
    with pytest.raises(Stopped):
        runner(tmp_path, stages, watcher=Watcher(on_stage=on_stage, on_progress=on_progress))
    again = runner(tmp_path, stages, resume=True)
    assert again.output.read_bytes() == undisturbed.output.read_bytes()


def test_statistics_of_batch_normalisation_go_back_too(tmp_path, runner):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    done = runner(tmp_path, (FIT, PRUNE, Stage("rewind")), model=model)
    assert torch.equal(done.model[1].running_mean, torch.zeros(8))
    assert int(done.model[1].num_batches_tracked) == 0


def test_rewinding_what_never_moved_changes_nothing_and_says_so(tmp_path, runner):
    with pytest.raises(StageError, match=r"stage 1 \(rewind\) changed nothing"):
        runner(tmp_path, (Stage("rewind"),))


def test_a_weight_on_a_grid_is_refused_by_name(tmp_path, runner):
    stages = (FIT, Stage("share", {"bits": 3}), Stage("rewind"))
    message = (
        r"stage 3 \(rewind\): 0\.weight is on the grid Share\(bits=3, start='linear'\); rewind"
    )
    with pytest.raises(StageError, match=message):
        runner(tmp_path, stages)


def test_a_point_that_nothing_keeps_is_refused_before_any_training(tmp_path, runner):
    with pytest.raises(UsageError, match=r"^stage 2 \(rewind\): no stage before keeps a point"):
        runner(tmp_path, (FIT, Stage("rewind", {"to": "kept"})))
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_never_comes_is_refused(tmp_path, runner):
    stage = Stage("fit", {"epochs": 2, "keep_step": 7})
    with pytest.raises(UsageError, match="keep_step is 7, but the training has 6 steps"):
        runner(tmp_path, (stage,))


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (("rewind", {"to": "end"}), "rewind: no point is named 'end'; there are: start, kept, ran"),
        (("fit", {"epochs": 1, "keep_step": 0}), "fit: keep_step is 0; 1 is the first step"),
    ],
    ids=["an unknown point", "no step"],
)
def test_arguments_that_cannot_be_meant_are_refused(stage, message):
    with pytest.raises(UsageError, match=message):
        Stage(*stage)


def test_a_layer_that_was_cut_since_is_refused_with_both_shapes(model):
    start = copy.deepcopy(model)
    model[2] = nn.Linear(32, 2)
    fabric = make_fabric("cpu")
    context = Context(model, None, fabric, 0, None, None, start)
    message = r"2\.weight has the shape \[2, 32\] now and was \[3, 32\] at the start"
    with pytest.raises(StageError, match=message):
        rewind_stage(context)


def test_a_network_without_its_start_is_refused(model):
    context = Context(model, None, make_fabric("cpu"), 0, None, None)
    with pytest.raises(StageError, match="does not know the network that it began with"):
        rewind_stage(context)


def test_the_kept_point_is_a_whole_network_with_its_chains(tmp_path, runner, model):
    stages = (PRUNE, Stage("fit", {"epochs": 2, "learning_rate": 0.01, "keep_step": 2}))
    fresh = copy.deepcopy(model)
    runner(tmp_path, stages, model=model)
    load_model(tmp_path / "run" / "kept.safetensors", fresh)
    assert int((weights(fresh)["0.weight"] == 0).sum()) == 384
