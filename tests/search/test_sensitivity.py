"""Sensitivity analysis: one layer at a time, resumable, in several processes."""

import json
from functools import partial

import pytest
import torch
from torch import nn

from laconic.errors import DataError, UsageError
from laconic.measure.sensitivity import Point, Sensitivity, read_sensitivity
from laconic.prune import Prune
from laconic.report.sensitivity import picture
from laconic.represent import represent
from laconic.search import Setting, analyse
from laconic.surgery import Groups, unfuse
from laconic.train import ArrayTask, evaluate


def task():
    rows = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    labels = (rows[:, 0] + rows[:, 1] > 0).long()
    return ArrayTask(rows[:300], labels[:300], rows[300:], labels[300:], validation_fraction=0.3)


def network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))


def both():
    return network(), task()


SETTING = Setting(levels=(0.5, 0.9))


def test_each_point_prunes_one_layer_alone(tmp_path):
    found = analyse(both, SETTING, tmp_path / "s.json")
    assert [(p.layer, p.level) for p in found.points] == [
        (layer, level) for layer in ("0.weight", "2.weight") for level in (0.5, 0.9)
    ]
    assert found.dense == evaluate(network(), task(), "validation")
    model = network()
    represent(model[2], Prune(0.9))
    assert found.points[3].metric == evaluate(model, task(), "validation")
    assert read_sensitivity(tmp_path / "s.json") == found


def test_two_processes_find_what_one_does(tmp_path):
    alone = analyse(both, SETTING, tmp_path / "one.json")
    assert analyse(both, SETTING, tmp_path / "two.json", processes=2) == alone


def test_a_killed_analysis_goes_on_where_it_was(tmp_path):
    whole = analyse(both, SETTING, tmp_path / "s.json")
    data = json.loads((tmp_path / "s.json").read_text())
    data["points"] = data["points"][:3]
    (tmp_path / "s.json").write_text(json.dumps(data))
    seen = []
    again = analyse(both, SETTING, tmp_path / "s.json", on_point=lambda *told: seen.append(told))
    assert again == whole
    assert [told[:2] for told in seen] == [(4, 4)]


def test_another_analysis_is_not_gone_on_with(tmp_path):
    analyse(both, SETTING, tmp_path / "s.json")
    with pytest.raises(UsageError, match=r"s\.json holds another analysis: levels differ"):
        analyse(both, Setting(levels=(0.7,)), tmp_path / "s.json")


def test_filters_go_whole(tmp_path):
    setting = Setting(kind="filters", levels=(0.5,), saliency="l1")
    (point,) = analyse(both, setting, tmp_path / "s.json").points
    model = network()
    order = model[0].weight.detach().abs().sum(1).argsort(stable=True)[:8]
    with torch.no_grad():
        model[0].weight[order] = model[0].bias[order] = 0
    assert (point.layer, point.metric) == ("0", evaluate(model, task(), "validation"))


def test_few_examples_can_do(tmp_path):
    found = analyse(both, Setting(levels=(0.5,), examples=10), tmp_path / "s.json")
    assert all(round(point.metric / 10, 9) == round(point.metric / 10) for point in found.points)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "rows"}, "no kind is named 'rows'; there are: weights, filters"),
        ({"levels": ()}, "there is no level to measure"),
        ({"levels": (1.0,)}, r"sparsity 1 is outside \[0, 1\)"),
        ({"saliency": "l1"}, "L1Norm.. scores channels; here weights go, by: magnitude"),
        ({"kind": "filters"}, "Magnitude.. scores weights; here channels go, by: l1"),
        ({"examples": 0}, "examples is 0; at least 1 is needed"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Setting(**arguments)


def found(*points, higher=False):
    layers = list(dict.fromkeys(layer for layer, _, _ in points))
    return Sensitivity({}, "m", higher, 1.0, layers, [Point(*point) for point in points])


def test_a_target_stops_at_the_first_loss_that_is_too_large():
    points = [("a", 0.5, 1.2), ("a", 0.7, 2.0), ("a", 0.9, 1.1), ("b", 0.5, 0.9), ("b", 0.9, 1.4)]
    assert found(*points).targets(0.5) == {"a": 0.5, "b": 0.9}
    upwards = found(("a", 0.5, 0.9), ("a", 0.9, 0.2), higher=True)
    assert upwards.targets(0.2) == {"a": 0.5}


def test_a_loss_that_no_layer_meets_is_refused_with_the_least():
    with pytest.raises(UsageError, match=r"no layer stays within a loss of 0.1: .* loses 0.2"):
        found(("a", 0.5, 1.2), ("b", 0.5, 3.0)).targets(0.1)
    unfinished = Sensitivity({}, "m", False, 1.0, ["a", "b"], [Point("a", 0.5, 1.0)])
    with pytest.raises(DataError, match="b was not measured yet; let the analysis finish first"):
        unfinished.targets(0.1)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "s.json").write_text('{"points": 3}')
    with pytest.raises(DataError, match="is no result of laconic sensitivity"):
        analyse(both, SETTING, tmp_path / "s.json")


def test_the_picture_has_a_chart_a_layer():
    drawn = picture(found(("conv<1>", 0.5, 1.2), ("conv<1>", 0.9, 2.0), ("fc", 0.5, 1.0)))
    assert drawn.count("<polyline") == 2
    assert drawn.count("<circle") == 3
    assert "conv&lt;1&gt;: 1.2 at 50%" in drawn


def test_a_partial_function_may_make_the_network(tmp_path):
    make = partial(both)
    assert len(analyse(make, SETTING, tmp_path / "s.json").points) == 4


def test_a_level_that_is_missing_or_no_number_is_no_target():
    points = [Point("a", 0.5, float("nan")), Point("b", 0.5, 1.0)]
    identity = {"levels": [0.5]}
    whole = Sensitivity(identity, "error_percent", False, 1.0, ["a", "b"], points)
    assert whole.targets(0.1) == {"b": 0.5}
    half = Sensitivity({"levels": [0.5, 0.9]}, "error_percent", False, 1.0, ["b"], points)
    with pytest.raises(DataError, match=r"b was not measured at 0.9 yet; let the analysis finish"):
        half.targets(0.1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.attention = nn.MultiheadAttention(8, 4, batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, rows):
        embedded = self.embed(rows)[:, None]
        return self.out(self.attention(embedded, embedded, embedded, need_weights=False)[0][:, 0])


def with_attention():
    torch.manual_seed(0)
    return Attention(), task()


def test_heads_of_torchs_attention_have_targets_as_the_stage_cut_needs_them(tmp_path):
    setting = Setting(kind="filters", saliency="l1", levels=(0.5,))
    found = analyse(with_attention, setting, tmp_path / "s.json")
    network = with_attention()[0]
    unfuse(network)
    assert found.layers == list(Groups(network, task().example_input))
    assert any("attention" in layer for layer in found.layers)
