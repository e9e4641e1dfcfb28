"""Stages that prune while they train: their receipts, how they resume, what they refuse."""

import pytest
import torch
from torch import nn

from laconic.container import LacFile
from laconic.errors import PatternError, StageError, UsageError
from laconic.recipe import Stage, Watcher

FIT = Stage("fit", {"epochs": 1, "learning_rate": 0.01})


class Stopped(BaseException):
    """Stands for a kill."""


def stop_inside(stage, epoch):
    inside = []

    def on_progress(progress):
        if inside[-1] == stage and (progress.epoch, progress.step) == (epoch, 2):
            raise Stopped

    return Watcher(on_stage=lambda number, *_: inside.append(number), on_progress=on_progress)


def nonzeros(receipt, name="0.weight"):
    return next(tensor.nonzeros for tensor in receipt.tensors if tensor.name == name)


def agp(**changes):
    given = {"sparsity": {"0": 0.9, "2": 0.5}, "epochs": 4, "frequency": 2, "learning_rate": 0.01}
    return Stage("agp", given | changes)


def test_gradual_pruning_ends_with_the_exact_counts_and_a_smaller_file(tmp_path, runner):
    done = runner(tmp_path, (FIT, agp()))
    assert nonzeros(done.receipts[1]) == 512 - round(0.9 * 512)
    assert nonzeros(done.receipts[1], "2.weight") == 96 - 48
    assert done.receipts[1].size_bytes < 0.5 * done.receipts[0].size_bytes


def test_masks_of_gradual_pruning_survive_training_and_quantization(tmp_path, runner):
    stages = (FIT, agp(), Stage("fit", {"epochs": 2, "learning_rate": 0.01, "weight_decay": 0.1}))
    done = runner(tmp_path, (*stages, Stage("share", {"bits": 3}), FIT))
    assert [nonzeros(receipt) for receipt in done.receipts[1:]] == [51] * 4
    with LacFile(done.output) as file:
        assert int((file.array("0.weight") != 0).sum()) == 51


@pytest.mark.parametrize("saliency", ["magnitude", "fisher", "wanda"])
def test_gradual_pruning_over_all_layers_hits_the_total_by_any_scores(tmp_path, runner, saliency):
    over_all = {"sparsity": 0.7, "scope": "global", "saliency": saliency, "examples": 40}
    done = runner(tmp_path, (FIT, agp(**over_all), FIT))
    for receipt in done.receipts[1:]:
        first, second = nonzeros(receipt), nonzeros(receipt, "2.weight")
        assert first + second == 608 - round(0.7 * 608)
        assert first / 512 != second / 96
    steps = {tensor.name: tensor.steps for tensor in done.receipts[1].tensors if tensor.steps}
    assert steps["0.weight"] == [f"Prune(sparsity={1 - nonzeros(done.receipts[1]) / 512!r})"]


def test_other_scores_choose_other_weights_than_magnitudes(tmp_path, runner):
    kept = []
    for saliency in ("magnitude", "wanda"):
        done = runner(tmp_path / saliency, (agp(saliency=saliency, examples=40),))
        assert nonzeros(done.receipts[1]) == 51
        kept.append(done.model[0].weight != 0)
    assert not torch.equal(*kept)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (agp(end=13), r"stage 2 \(agp\): the schedule ends at step 13, but the training has 12 st"),
        (agp(frequency=10), r"stage 2 \(agp\): .* less than one interval of 10 steps"),
        (
            Stage("fit", {"epochs": 2, "keep_step": 7}),
            r"stage 2 \(fit\): keep_step is 7, but the training has 6 steps",
        ),
    ],
    ids=["a schedule longer than its training", "one interval", "a step that does not come"],
)
def test_what_does_not_fit_into_a_training_is_refused_before_the_first_stage(
    tmp_path, runner, stage, message
):
    with pytest.raises(UsageError, match=message):
        runner(tmp_path, (FIT, stage))
    assert not (tmp_path / "run").exists()


def test_clipped_gradients_train_otherwise(tmp_path, runner):
    ends = [
        runner(tmp_path / str(norm), (Stage("fit", {"epochs": 1, "optimizer": "sgd"} | norm),))
        for norm in ({}, {"clip_norm": 0.01})
    ]
    assert not torch.equal(*(done.model[0].weight for done in ends))
    with pytest.raises(UsageError, match="fit: clip_norm -1 is not a positive number"):
        Stage("fit", {"epochs": 1, "clip_norm": -1.0})


def proximal(**strengths):
    given = {"epochs": 8, "learning_rate": 0.1, "optimizer": "sgd", "proximal": strengths}
    return Stage("fit", given)


PENALISED = Stage(
    "fit",
    {"epochs": 4, "learning_rate": 0.01, "penalties": {"l1": 1e-2, "li": {"0": 0.05}, "lo": 0.05}},
)
STAGES_THAT_TRAIN = {
    "gradual pruning": agp(),
    "proximal steps": proximal(l1=0.1, filters={"0": 0.1}),
    "penalties": PENALISED,
    "a learned mask": Stage("supermask", {"epochs": 4, "learning_rate": 0.1}),
}


def zero_rows(file, name="0.weight"):
    with LacFile(file) as opened:
        return int((opened.array(name) == 0).all(1).sum())


def test_proximal_steps_make_exact_zeros_that_later_stages_keep(tmp_path, runner):
    stages = (FIT, proximal(l1=0.1), FIT, Stage("uniform", {"bits": 8}), FIT)
    done = runner(tmp_path, stages)
    left = [nonzeros(receipt) for receipt in done.receipts]
    assert left[0] == 512
    assert left[1] < 300
    assert left[1] == left[2] >= left[3] == left[4]
    assert done.receipts[1].size_bytes < 0.7 * done.receipts[0].size_bytes
    assert {tuple(tensor.steps) for tensor in done.receipts[1].tensors} == {
        (), ("Threshold(below=0.0)",),
    }  # fmt: skip


def test_group_steps_make_whole_neurons_zero(tmp_path, runner):
    done = runner(tmp_path, (FIT, proximal(filters={"0": 0.5})))
    assert zero_rows(done.output) >= 4


class Shortcut(nn.Module):
    """A layer that a shortcut goes round, and one behind it."""

    def __init__(self):
        super().__init__()
        self.inner, self.last = nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, inputs):
        return self.last(torch.relu(inputs + self.inner(inputs)))


def test_depth_removes_a_whole_layer_that_a_shortcut_goes_round(tmp_path, runner):
    torch.manual_seed(0)
    stages = (FIT, proximal(depth={"inner": 10.0}, l1={"inner": 0.01}), FIT)
    done = runner(tmp_path, stages, model=Shortcut())
    assert [nonzeros(receipt, "inner.weight") for receipt in done.receipts] == [256, 0, 0]
    assert done.receipts[-1].metric["validation"] < 10


def test_dropneuron_is_three_stages(tmp_path, runner):
    """Penalties, a threshold, and what is left of dead neurons."""
    stages = (
        PENALISED,
        Stage("threshold", {"below": 0.05}),
        Stage("drop-neurons", {"layers": ["0", "2"]}),
        FIT,
    )
    done = runner(tmp_path, stages)
    left = [receipt.nonzeros for receipt in done.receipts]
    assert left[0] > left[1] > left[2] == left[3]
    assert zero_rows(done.output) > 0


def test_proximal_steps_without_effect_and_with_too_much_are_refused(tmp_path, runner):
    with pytest.raises(StageError, match=r"made no weight zero; raise the strengths \(l1 1e-12\)"):
        runner(tmp_path / "none", (proximal(l1=1e-12),))
    message = r"0\.weight: all its 512 weights became zero; lower the strength of l1 \(9\)"
    with pytest.raises(StageError, match=message):
        runner(tmp_path / "all", (proximal(l1={"0": 9}),))


@pytest.mark.parametrize("stage", STAGES_THAT_TRAIN.values(), ids=STAGES_THAT_TRAIN)
def test_a_run_stopped_inside_a_stage_ends_with_the_same_bytes(tmp_path, runner, stage):
    undisturbed = runner(tmp_path / "undisturbed", (FIT, stage))
    with pytest.raises(Stopped):
        runner(tmp_path, (FIT, stage), watcher=stop_inside(2, 3))
    assert (tmp_path / "run" / "stage-2.partial.safetensors").exists()
    again = runner(tmp_path, (FIT, stage), resume=True)
    assert again.output.read_bytes() == undisturbed.output.read_bytes()


def test_a_learned_mask_leaves_the_weights_as_they_were_given(tmp_path, runner, model):
    """And frees them again: the next stage trains the biases, under the same mask."""
    biases = model[0].bias.detach().clone()
    signs = model[0].weight.detach().sign()
    done = runner(tmp_path, (Stage("supermask", {"epochs": 4, "learning_rate": 0.1}),), model=model)
    assert torch.equal(model[0].bias, biases)
    found = model[0].weight.detach()
    assert torch.equal(found.sign()[found != 0], signs[found != 0])
    assert 100 < nonzeros(done.receipts[1]) < 412
    assert done.receipts[1].size_bytes < 0.5 * done.receipts[0].size_bytes
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_learned_mask_survives_training_and_a_resume(tmp_path, runner):
    stages = (Stage("supermask", {"epochs": 2, "learning_rate": 0.1}), FIT)
    undisturbed = runner(tmp_path / "undisturbed", stages)
    masked, trained = undisturbed.receipts[1:]
    assert nonzeros(trained) == nonzeros(masked)
    with pytest.raises(Stopped):
        runner(tmp_path, stages, watcher=stop_inside(2, 1))
    assert runner(tmp_path, stages, resume=True).output.read_bytes() == (
        undisturbed.output.read_bytes()
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"begin": 0.5, "end": 0.2}, "agp: the schedule begins at 0.5 and ends at 0.2; end must"),
        ({"sparsity": 1.2}, r"agp: sparsity 1.2 is outside \[0, 1\)"),
        ({"sparsity": {"0": 0.5, "2": 1.2}}, r"agp: 2: sparsity 1.2 is outside \[0, 1\)"),
        ({"sparsity": {"0": 0.5, "2": 0.1}, "initial": 0.3}, "agp: 2: the sparsity goes from"),
        ({"scope": "all"}, "agp: no scope is named 'all'; there are: layer, global"),
        ({"scope": "global"}, "agp: a table of sparsities is by layer; scope 'global' contradicts"),
        ({"saliency": "l1"}, "agp: L1Norm.* scores channels; here weights go, by: magnitude"),
        ({"clip_norm": 0.0}, "agp: clip_norm 0 is not a positive number"),
        ({"epochs": 0}, "agp: epochs is 0; gradual pruning needs 1 or more"),
        ({"optimizer": "adamax"}, "agp: no optimizer is named 'adamax'"),
        ({"end": "late"}, "agp: end is 'late'; a whole number or a number is needed"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_gradual_pruning_that_cannot_be_meant_is_refused_before_there_is_a_network(
    changes, message
):
    with pytest.raises(UsageError, match=message):
        agp(**changes)


def test_a_pattern_of_gradual_pruning_without_a_layer_is_refused_before_any_training(
    tmp_path, runner
):
    with pytest.raises(PatternError, match=r"^stage 2 \(agp\): no layer matches 'fc\*'"):
        runner(tmp_path, (FIT, agp(sparsity={"fc*": 0.5})))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"penalties": {"l3": 1.0}}, "fit: no regulariser is named 'l3'; there are: l1, filters"),
        ({"penalties": {"l1": -1.0}}, "fit: l1: the strength is -1; a positive number is needed"),
        ({"proximal": {"li": {"0": 0.0}}}, "fit: li: the strength is 0; a positive"),
        (
            {"proximal": {"l1": 1.0}, "optimizer": "adam"},
            "fit: proximal steps leave no weight at zero with 'adam', which moves each by about",
        ),
        ({"penalties": 0.1}, "fit: penalties is 0.1; a table of numbers or tables of numbers"),
    ],
    ids=["an unknown norm", "a negative strength", "no strength", "adam", "no table"],
)
def test_norms_that_cannot_be_meant_are_refused_before_there_is_a_network(arguments, message):
    with pytest.raises(UsageError, match=message):
        Stage("fit", {"epochs": 1, "optimizer": "sgd"} | arguments)


def test_a_pattern_of_a_norm_without_a_layer_is_refused_before_any_training(tmp_path, runner):
    stage = Stage("fit", {"epochs": 1, "penalties": {"l1": 0.1, "li": {"fc*": 0.1}}})
    with pytest.raises(PatternError, match=r"^stage 2 \(fit\): no layer matches 'fc\*'"):
        runner(tmp_path, (FIT, stage))
    with pytest.raises(PatternError, match=r"^stage 2 \(drop-neurons\): no layer matches 'fc1'"):
        runner(tmp_path, (FIT, Stage("drop-neurons", {"layers": ["0", "fc1"]})))


def test_retraining_with_less_dropout_is_another_training(tmp_path, runner):
    """The rule of Han et al. by the stage: of a quarter of the connections half the rate."""

    def dropped():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return nn.Sequential(
                nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 3)
            )  # fmt: skip

    rates, ends = [], []
    for number, scaled in enumerate((False, True)):
        model = dropped()
        model[2].register_forward_pre_hook(
            lambda module, _: rates.append(module.p) if module.training else None
        )
        stages = (
            FIT,
            Stage("quality-threshold", {"quality": 0.5, "layers": "3"}),
            Stage("prune", {"sparsity": 0.75, "layers": "0"}),
            Stage("fit", {"epochs": 1, "learning_rate": 0.01, "scale_dropout": scaled}),
        )
        done = runner(tmp_path / str(number), stages, model=model)
        assert done.model[2].p == 0.5
        assert nonzeros(done.receipts[-1]) == 128
        ends.append(done.model[0].weight.detach())
    assert set(rates[:6]) == {0.5}
    assert rates[6:] == [0.5] * 3 + [0.25] * 3
    assert not torch.equal(*ends)
