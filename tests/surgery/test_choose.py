"""Which units go, and how many."""

import pytest
import torch
from torch import nn

from laconic import zoo
from laconic.errors import PatternError, UnsupportedError, UsageError
from laconic.surgery import (
    Groups,
    lowest_of_all,
    lowest_of_each,
    matching,
    outliers_of_each,
    unit_scores,
)


@pytest.fixture(scope="module")
def resnet():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = zoo.resolve_model("resnet20")
    return model, Groups(model, torch.zeros(1, 3, 32, 32))


def test_a_score_of_a_unit_is_the_sum_over_the_weights_that_make_it(resnet):
    model, groups = resnet
    norms = {
        name: weight.detach().abs().flatten(1).sum(1)
        for name, weight in model.named_parameters()
        if weight.ndim == 4
    }
    scores = unit_scores(groups, norms)
    assert torch.allclose(
        scores["layer1.0.conv1"], norms["layer1.0.conv1.weight"].double(), rtol=1e-6
    )
    stem = norms["conv1.weight"].double()
    for block in range(3):
        stem = stem + norms[f"layer1.{block}.conv2.weight"].double()
    for layer in (2, 3):  # the padded shortcut carries the stem's channels on, in the middle
        start = {2: 8, 3: 24}[layer]
        for block in range(3):
            rows = norms[f"layer{layer}.{block}.conv2.weight"].double()
            stem = stem + rows[start : start + 16]
    assert torch.allclose(scores["conv1"], stem, rtol=1e-6)


def test_the_first_convolutions_of_all_blocks_have_one_pattern(resnet):
    _, groups = resnet
    found = matching(groups, "layer*.conv1")
    assert found == [f"layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in range(3)]
    assert matching(groups, "layer1.1.conv2") == ["conv1"]
    with pytest.raises(PatternError, match="no layer matches 'fc'; the layers are: conv1, layer1"):
        matching(groups, "fc")


scores = {"a": torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0, 6.0, 8.0, 7.0])}


@pytest.mark.parametrize(
    ("fraction", "round_to", "stay"),
    [
        (0.0, 1, 8),
        (0.25, 1, 6),
        (0.5, 1, 4),
        (0.5, 4, 4),
        (0.3, 4, 8),
        (0.6, 4, 4),
        (0.9, 2, 2),
        (0.2, 8, 8),
    ],
)
def test_what_stays_is_a_multiple(fraction, round_to, stay):
    (gone,) = lowest_of_each(scores, {"a": fraction}, round_to).values()
    order = torch.argsort(scores["a"]).tolist()
    assert gone == sorted(order[: 8 - stay])


@pytest.mark.parametrize(
    ("fraction", "round_to", "message"),
    [
        (1.0, 1, r"a: the fraction 1 is outside \[0, 1\)"),
        (-0.1, 1, r"a: the fraction -0.1 is outside \[0, 1\)"),
        (0.95, 1, "a: a fraction 0.95 of 8 units is all of them; leave at least one"),
        (0.5, 16, "a: no multiple of 16 fits into its 8 units"),
        (0.5, 0, "round_to is 0; 1 or more is needed"),
    ],
)
def test_impossible_fractions_are_refused_with_the_layer_and_the_figure(
    fraction, round_to, message
):
    with pytest.raises(UsageError, match=message):
        lowest_of_each(scores, {"a": fraction}, round_to)


def test_over_all_groups_the_weak_one_loses_more_but_never_all():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    groups = Groups(model, torch.zeros(1, 3))
    own = {
        "0": torch.tensor([1.0, 1, 1, 1, 1, 1, 1, 1]),
        "2": torch.tensor([0.01, 0.02, 0.03, 0.01, 0.02, 0.03, 0.01, 4.0]),
    }
    units = lowest_of_all(groups, own, 0.5)
    assert len(units.get("0", [])) == 1
    assert units["2"] == [0, 1, 2, 3, 4, 5, 6]
    rounded = lowest_of_all(groups, own, 0.5, round_to=4)
    assert rounded == {"2": [0, 1, 3, 6]}  # of "0" seven would stay: eight


def test_scores_of_rows_are_refused_where_outputs_are_columns():
    """Even where the weight is square, so that nothing else would tell."""
    model = nn.Sequential(nn.Embedding(6, 6), nn.Linear(6, 3))
    groups = Groups(model, torch.tensor([[1, 2]]))
    with pytest.raises(
        UnsupportedError, match=r"0\.weight: its outputs lie along dimension 1, and"
    ):
        unit_scores(groups, {"0.weight": torch.arange(6.0)})
    assert unit_scores(groups, {}) == {}


def test_what_lies_a_deviation_below_the_mean_goes():
    """Mean 4.5 and deviation 2.29 for 1 to 8: below 2.21 are 1 and 2; nothing is in the other."""
    even = {**scores, "b": torch.ones(4)}
    assert outliers_of_each(even) == {"a": [1, 3]}
    assert outliers_of_each(even, deviations=1.5) == {"a": [1]}
    assert outliers_of_each(even, deviations=2.0) == {}


@pytest.mark.parametrize(
    ("size", "below", "round_to", "stay"),
    [
        pytest.param(8, 2, 7, 7, id="up to the next multiple"),
        pytest.param(8, 2, 3, 6, id="a multiple as it is"),
        pytest.param(8, 2, 5, 5, id="down where there are not so many units"),
        pytest.param(50, 1, 8, 48, id="down, so that fifty units never stay"),
        pytest.param(50, 0, 8, 48, id="down, although none is below"),
        pytest.param(48, 0, 8, 48, id="all, where all are a multiple"),
        pytest.param(8, 2, 8, 8, id="all, where it is up to all"),
    ],
)
def test_what_stays_of_the_trimmed_is_a_multiple(size, below, round_to, stay):
    own = torch.full((size,), 7.0)
    own[3 : 3 + below] = 1.0
    order = torch.argsort(own, stable=True).tolist()
    gone = sorted(order[: size - stay])
    assert outliers_of_each({"a": own}, round_to=round_to) == ({"a": gone} if gone else {})


def test_a_group_without_a_multiple_is_refused_with_its_size():
    even = {**scores, "b": torch.ones(4)}
    with pytest.raises(UsageError, match="b: no multiple of 5 fits into its 4 units"):
        outliers_of_each(even, round_to=5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", range(1, 12))
def test_of_equal_scores_none_lies_below_their_mean(size, dtype):
    """The mean of seven times 0.7, in either precision, may round to above 0.7."""
    assert outliers_of_each({"a": torch.full((size,), 0.7, dtype=dtype)}, deviations=0) == {}


def test_a_score_on_the_threshold_stays():
    assert outliers_of_each({"a": torch.tensor([0.0, 2.0])}) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"deviations": -0.1}, "deviations is -0.1; 0 or more is needed"),
        ({"deviations": float("nan")}, "deviations is nan"),
        ({"round_to": 0}, "round_to is 0; 1 or more is needed"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        outliers_of_each(scores, **arguments)
