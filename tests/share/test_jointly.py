"""One codebook over several weights."""

import pytest
import torch

from laconic.errors import UsageError
from laconic.share import Share, ShareBins, ShareEntropy, plan_jointly


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


WEIGHTS = {"a": gaussian(20, 30), "b": 0.2 * gaussian(4, 3, 3, 3, seed=1).relu()}


@pytest.mark.parametrize(
    "make",
    [lambda: Share(bits=4), lambda: ShareBins(width=0.3), lambda: ShareEntropy(4, 0.01)],
    ids=["k-means", "bins", "ECSQ"],
)
def test_it_is_the_codebook_of_all_weights_in_one(make):
    steps = {name: make() for name in WEIGHTS}
    together = torch.cat([weight.flatten() for weight in WEIGHTS.values()])
    importances = {name: gaussian(*w.shape, seed=5).square() for name, w in WEIGHTS.items()}
    for name, step in steps.items():
        step.by(importances[name])
    plan_jointly(steps, WEIGHTS)
    for name, step in steps.items():
        step.fit(WEIGHTS[name])
    alone = make().by(torch.cat([own.flatten() for own in importances.values()]))
    alone.fit(together)
    found = torch.cat([step(WEIGHTS[name]).flatten() for name, step in steps.items()])
    assert torch.equal(found, alone(together))
    assert torch.equal(steps["a"].codebook, steps["b"].codebook)
    assert steps["a"].codebook is not steps["b"].codebook


def test_a_weight_that_is_all_zero_has_no_part_in_it():
    steps = {"a": Share(bits=2), "b": Share(bits=2)}
    zeros = {**WEIGHTS, "b": torch.zeros(3, 3)}
    plan_jointly(steps, zeros)
    for name, step in steps.items():
        step.fit(zeros[name])
    assert not steps["b"](zeros["b"]).any()


def test_a_layer_may_have_importances_of_zero_when_another_has_some():
    steps = {"a": Share(bits=2).by(torch.zeros(20, 30)), "b": Share(bits=2).by(WEIGHTS["b"])}
    plan_jointly(steps, WEIGHTS)
    steps["a"].fit(WEIGHTS["a"])
    assert steps["a"].is_fitted


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"a": Share(bits=2), "b": Share(bits=3)}, r"one step's, not Share\(bits=2, .*bits=3"),
        ({"a": Share(2), "b": Share(2).by(WEIGHTS["b"])}, "some have none; give all or none"),
        (
            {"a": Share(2).by(torch.zeros(20, 30)), "b": Share(2).by(0 * WEIGHTS["b"])},
            "all importances of a, b are 0",
        ),
        (
            {"a": Share(2).by(-WEIGHTS["a"].abs()), "b": Share(2).by(WEIGHTS["b"])},
            "a: 600 of 600 importances are negative",
        ),
        ({"a": ShareBins(2.0), "b": ShareBins(2.0)}, "b: every weight would become zero under Sha"),
    ],
)
def test_what_cannot_be_one_codebook_is_refused(steps, message):
    with pytest.raises(UsageError, match=message):
        plan_jointly(steps, WEIGHTS)
