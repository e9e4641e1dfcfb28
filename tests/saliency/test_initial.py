"""Criteria that compare with the weights before training."""

import pytest
import torch
from small import data, gaussian
from torch import nn

from laconic.errors import MismatchError
from laconic.saliency import SALIENCIES, Data, LargeInitLargeFinal

INITIAL = [[1.0, -2.0, 0.5, -0.1]]
FINAL = [[-3.0, -1.0, 0.6, 0.2]]


def scored(name, initial, final):
    model = nn.Linear(len(final[0]), len(final), bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(final))
    known = Data(data(4).task, initial={"weight": torch.tensor(initial)})
    return SALIENCIES[name]().scores(model, data=known)["weight"].tolist()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("magnitude", [[3.0, 1.0, 0.6, 0.2]]),
        ("small-final", [[-3.0, -1.0, -0.6, -0.2]]),
        ("large-init", [[1.0, 2.0, 0.5, 0.1]]),
        ("small-init", [[-1.0, -2.0, -0.5, -0.1]]),
        ("magnitude-increase", [[2.0, -1.0, 0.1, 0.1]]),
        ("distance-moved", [[4.0, 1.0, 0.1, 0.3]]),
        ("large-final-same-sign", [[0.0, 1.0, 0.6, 0.0]]),
        ("large-final-different-sign", [[3.0, 0.0, 0.0, 0.2]]),
        ("large-init-large-final", [[0.5, 0.5, 0.25, 0.0]]),
        ("small-init-small-final", [[0.0, 0.0, 0.5, 0.75]]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_criterion_on_four_weights(name, expected):
    (row,) = scored(name, INITIAL, FINAL)
    assert row == pytest.approx(expected[0])


def test_large_before_and_after_keeps_the_quadrant_of_the_authors_code():
    """They keep where both magnitudes reach the same percentile of their own."""
    initial, final = gaussian(40, 30, seed=1).float(), gaussian(40, 30, seed=2).float()
    scores = LargeInitLargeFinal().compare(initial, final)
    for percentile in (0.2, 0.5, 0.8):
        bounds = [value.abs().flatten().sort().values[int(percentile * 1200)]
                  for value in (initial, final)]  # fmt: skip
        kept = (initial.abs() >= bounds[0]) & (final.abs() >= bounds[1])
        assert torch.equal(kept, scores >= percentile - 1e-6)


def test_initial_weights_of_another_network_are_refused():
    with pytest.raises(MismatchError, match=r"weight has the shape \[1, 4\].*there is \[1, 2\]"):
        scored("large-init", [[1.0, 2.0]], FINAL)
    known = Data(data(4).task, initial={"other": torch.zeros(1)})
    with pytest.raises(MismatchError, match="and of before training there is nothing"):
        SALIENCIES["large-init"]().scores(nn.Linear(4, 2), data=known)
