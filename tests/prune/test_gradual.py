"""Masks that are chosen again while the network trains."""

import json
from dataclasses import dataclass

import pytest
import torch
from tests.train.conftest import blobs_task, small_network
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Gradual, Prune, cubic
from laconic.quantize import Uniform
from laconic.represent import chain, latents, represent
from laconic.train import fit

FINAL = {"0.weight": 0.75}


@dataclass(frozen=True)
class Moment:
    step: int
    steps: int = 20
    learning_rate: float = 0.1

    @property
    def done(self):
        return self.step + 1


def zeros(model):
    return int((model[0].weight == 0).sum())


def follow(gradual, steps=20):
    """The zeros of 128 weights before each update and after the last, without any training."""
    model = small_network()
    represent(model[0], Prune(0.75))
    seen = []
    for step in range(steps):
        gradual.before_step(model, Moment(step, steps))
        seen.append(zeros(model))
        gradual.after_step(model, Moment(step, steps))
    return [*seen, zeros(model)]


def test_the_curve_is_the_papers_cubic():
    values = [cubic(0.1, 0.9, done) for done in (0.0, 0.25, 0.5, 1.0)]
    assert values == pytest.approx([0.1, 0.9 - 0.8 * 0.75**3, 0.8, 0.9])
    assert cubic(0.1, 0.9, 1.0) == 0.9
    assert cubic(0.1, 0.9, 7.0) == 0.9


def test_masks_change_every_interval_and_the_counts_are_exact():
    seen = follow(Gradual(FINAL, begin=4, end=16, frequency=4))
    expected = {0: 0, 4: 0, 8: cubic(0, 0.75, 1 / 3), 12: cubic(0, 0.75, 2 / 3), 16: 0.75}
    assert [seen[place] for place in expected] == [round(s * 128) for s in expected.values()]
    changes = [place for place in range(1, 21) if seen[place] != seen[place - 1]]
    assert changes == [8, 12, 16]


def test_a_last_shorter_interval_hits_the_final_sparsity():
    seen = follow(Gradual(FINAL, begin=0.0, end=0.75, frequency=10))
    assert seen[10:] == [round(cubic(0, 0.75, 10 / 15) * 128)] * 5 + [96] * 6


def test_a_schedule_may_end_with_the_very_last_update():
    seen = follow(Gradual(FINAL, begin=0, end=1.0, frequency=5))
    assert seen[-2] < 96
    assert seen[-1] == 96


def test_the_initial_sparsity_holds_before_the_schedule_begins():
    seen = follow(Gradual(FINAL, initial=0.5, begin=0.5, end=1.0, frequency=5))
    assert seen[:11] == [64] * 11


def test_a_pruned_weight_comes_back_when_the_kept_ones_shrink():
    model = nn.Sequential(nn.Linear(4, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    represent(model[0], Prune(0.5))
    gradual = Gradual({"0.weight": 0.5}, initial=0.25, begin=0, end=4, frequency=1)
    gradual.before_step(model, Moment(0, 4))
    gradual.after_step(model, Moment(2, 4))
    assert model[0].weight.tolist() == [[0, 0, 3, 4]]
    with torch.no_grad():
        latents(model)["0.weight"][0, 2] = 0.5
    gradual.after_step(model, Moment(3, 4))
    assert model[0].weight.tolist() == [[0, 2, 0, 4]]


def test_what_an_earlier_stage_made_zero_stays_zero():
    model = small_network()
    represent(model[0], Prune(0.5))
    gone = model[0].weight == 0
    represent(model[0], Prune(0.75))
    gradual = Gradual(FINAL, begin=0, end=0.5, frequency=2)
    fit(model, blobs_task(), epochs=2, learning_rate=0.05, callbacks=[gradual])
    assert bool((model[0].weight[gone] == 0).all())
    assert zeros(model) == 96


def test_after_training_the_chain_is_what_its_text_says():
    model = small_network()
    represent(model[0], Prune(0.75))
    fit(
        model, blobs_task(), epochs=3, learning_rate=0.05, weight_decay=0.1, optimizer="adamw",
        callbacks=[Gradual(FINAL, begin=0, end=1.0, frequency=3)],
    )  # fmt: skip
    (step,) = chain(model[0])
    again = Prune(0.75)
    again.fit(latents(model)["0.weight"].detach())
    assert torch.equal(step.mask, again.mask)


def test_masks_before_another_grid_are_chosen_by_what_comes_into_them():
    model = small_network()
    represent(model[0], Uniform(bits=3))
    represent(model[0], Prune(0.75))
    fit(model, blobs_task(), epochs=1, callbacks=[Gradual(FINAL, end=1.0, frequency=5)])
    assert zeros(model) >= 96
    assert len(model[0].weight.unique()) <= 7


class Stopped(BaseException):
    pass


def test_a_training_that_was_killed_goes_on_to_the_same_weights(tmp_path):
    def train(**given):
        model = small_network()
        represent(model[0], Prune(0.75))
        gradual = Gradual(FINAL, begin=0.1, end=0.9, frequency=4)
        fit(model, blobs_task(), epochs=4, learning_rate=0.05, callbacks=[gradual], **given)
        return model.state_dict()

    def stop(progress):
        if (progress.epoch, progress.step) == (3, 5):
            raise Stopped

    expected = train()
    with pytest.raises(Stopped):
        train(checkpoint=tmp_path / "c", on_progress=stop)
    found = train(checkpoint=tmp_path / "c")
    assert all(torch.equal(value, found[key]) for key, value in expected.items())


def test_the_configuration_is_plain_json():
    gradual = Gradual(FINAL, begin=0.1, end=0.9, frequency=4)
    assert json.loads(json.dumps(gradual.configuration)) == {
        "sparsities": FINAL, "initial": 0.0, "begin": 0.1, "end": 0.9, "frequency": 4,
        "scope": "layer", "scores": {"kind": "magnitude"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"begin": 0.5, "end": 0.25}, "begins at 0.5 and ends at 0.25; end must be larger"),
        ({"begin": 100, "end": 100}, "begins at 100 and ends at 100; end must be larger"),
        ({"end": 1.5}, "end is 1.5; give a fraction of the training from 0.0 to 1.0, or a whole"),
        ({"begin": -3}, "begin is -3; give a fraction"),
        ({"frequency": 0}, "frequency is 0 steps; at least 1 is needed"),
        ({"initial": 0.8}, "the sparsity goes from 0.8 to 0.75; the last must be the larger"),
        ({"initial": 1.2}, r"sparsity 1.2 is outside \[0, 1\); did you mean 0.12"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_schedule_that_cannot_be_meant_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Gradual(FINAL, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"end": 21}, "the schedule ends at step 21, but the training has 20 steps; train longer"),
        ({"begin": 0.5, "end": 5}, "from step 10 to step 5, less than one interval of 100 steps"),
        ({"end": 1}, "from step 0 to step 1, less than one interval of 100 steps"),
    ],
    ids=["after the training", "fraction after a step", "one meant as a fraction"],
)
def test_a_schedule_that_does_not_fit_its_training_is_refused(arguments, message):
    model = small_network()
    represent(model[0], Prune(0.75))
    with pytest.raises(UsageError, match=message):
        fit(model, blobs_task(), epochs=2, callbacks=[Gradual(FINAL, **arguments)])


def test_a_weight_without_a_mask_is_refused():
    with pytest.raises(UsageError, match=r"0\.weight: its chain has no Prune"):
        fit(small_network(), blobs_task(), epochs=1, callbacks=[Gradual(FINAL, frequency=2)])
