"""Cut networks trained from scratch."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.prune import Prune
from laconic.recipe import Watcher
from laconic.represent import chains, represent
from laconic.studies import STUDIES, CutNetwork, Findings, Row, Study, perform
from laconic.studies import scratch as module
from laconic.studies.scratch import control, lasting, macs, redrawn
from laconic.surgery import Cut, apply_cut
from laconic.train import ArrayTask, evaluate, make_fabric

KEPT = [0, 2, 5]
HALVES = {"0.weight": {0: KEPT}, "0.bias": {0: KEPT}, "2.weight": {1: KEPT}}


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 2))


def cut_network() -> nn.Module:
    torch.manual_seed(0)
    model = dense()
    apply_cut(model, Cut(HALVES, values={"2.bias": [40.0, 50.0]}))
    represent(model[0], Prune(0.5))
    return model


def task() -> ArrayTask:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 4, generator=generator)
    labels = (rows[:, 0] > 0).long()
    return ArrayTask(rows, labels, rows, labels, validation_fraction=0.2, batch_size=4)


def network() -> CutNetwork:
    training = {"epochs": 2, "learning_rate": 0.05}
    return CutNetwork("half", cut_network(), dense, task(), training, 12.5, 0.5)


def test_a_new_draw_has_the_shape_of_the_cut_network_and_none_of_its_values():
    like = cut_network()
    torch.manual_seed(7)
    new = redrawn(dense, like)
    assert [list(p.shape) for p in new.parameters()] == [[3, 4], [3], [2, 3], [2]]
    assert not chains(new)
    torch.manual_seed(7)
    drawn = dense()
    assert torch.equal(new[0].weight, drawn[0].weight[KEPT])
    assert torch.equal(new[2].bias, drawn[2].bias)


def test_weights_with_fewer_inputs_are_drawn_wider():
    like = cut_network()
    torch.manual_seed(7)
    new = redrawn(dense, like)
    torch.manual_seed(7)
    drawn = dense()
    assert torch.allclose(new[2].weight, 2 * drawn[2].weight[:, KEPT])  # of 12 inputs 3 are left


def deep() -> nn.Module:
    return nn.Sequential(
        nn.Linear(400, 90), nn.ReLU(), nn.Linear(90, 300), nn.ReLU(), nn.Linear(300, 100)
    )


@pytest.mark.parametrize(
    ("merged", "layer"),
    [
        pytest.param([["0", "1", "2"]], 2, id="one merge"),
        pytest.param([["0", "1", "2"], ["2", "3", "4"]], 4, id="all layers, one after the other"),
        pytest.param([["2", "3", "4"]], 4, id="the last ones"),
    ],
)
def test_layers_that_merged_are_drawn_as_one_layer(merged, layer):
    """U(−1/√n, 1/√n) of n inputs: a deviation of 1/√(3n); a product of draws has less."""
    torch.manual_seed(0)
    like = deep()
    for names in merged:
        apply_cut(like, Cut(merged=[names]))
    new = redrawn(deep, like)
    bound = new[layer].in_features ** -0.5
    assert new[layer].weight.shape == like[layer].weight.shape
    weight, bias = new[layer].weight.detach(), new[layer].bias.detach()
    assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.02)
    assert all(0.9 * bound < float(drawn.abs().max()) <= bound for drawn in (weight, bias))


@pytest.mark.parametrize(
    ("epochs", "count", "steps"),
    [
        pytest.param(3, 3, 24, id="whole epochs are those of the task"),
        pytest.param(2.5, 3, 21, id="a part of an epoch is spread over all, to the nearest step"),
        pytest.param(0.01, 1, 1, id="a step at least"),
        pytest.param(3.0000000001, 3, 24, id="rounding makes no further epoch"),
    ],
)
def test_a_training_lasts_as_long_as_asked(epochs, count, steps):
    longer, found = lasting(task(), epochs)
    assert (found, count * len(list(longer.batches("train")))) == (count, steps)


def test_multiply_adds_are_those_of_the_shape():
    assert macs(dense(), task()) == 4 * 12 + 12 * 2
    assert macs(cut_network(), task()) == 4 * 3 + 3 * 2


def test_scratch_b_costs_what_the_dense_network_and_the_fine_tuning_cost(tmp_path):
    found = control(network(), tmp_path, Watcher())
    assert (found.name, found.ratio, found.tuned) == ("half", 4.0, 12.5)
    assert found.epochs == (2, 2 * 4 + 0.5)
    torch.manual_seed(module.SEED)
    drawn = evaluate(redrawn(dense, cut_network()), task(), "test", make_fabric("cpu"))
    early, late = found.errors
    assert late < early < drawn


def test_scratch_b_leaves_out_dense_epochs_that_the_cut_network_never_had(tmp_path):
    found = control(replace(network(), dense_epochs=0.25), tmp_path, Watcher())
    assert found.epochs == (2, 0.25 * 4 + 0.5)


def test_a_control_that_is_trained_is_not_trained_again(tmp_path, monkeypatch):
    first = control(network(), tmp_path, Watcher())
    names = ["half-scratch-b.safetensors", "half-scratch-e.safetensors"]
    assert [path.name for path in sorted(tmp_path.glob("*.safetensors"))] == names
    monkeypatch.setattr(module, "fit", None)
    assert control(network(), tmp_path, Watcher()) == first


def test_a_killed_training_goes_on_at_its_last_epoch(tmp_path, monkeypatch):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = control(network(), tmp_path / "whole", Watcher())
    fit = module.fit
    calls = []

    def killed(model, task, *, checkpoint, **arguments):
        calls.append(checkpoint.name)

        def stop(progress):
            if (progress.epoch, progress.step) == (2, 1):
                raise KeyboardInterrupt

        fit(model, task, checkpoint=checkpoint, **{**arguments, "on_progress": stop})

    monkeypatch.setattr(module, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        control(network(), tmp_path / "killed", Watcher())
    monkeypatch.setattr(module, "fit", fit)
    assert control(network(), tmp_path / "killed", Watcher()) == whole
    assert calls == ["half-scratch-e.partial"]


def study(leaves_cut: bool) -> Study:
    def compare(watcher, short, folder):
        return Findings([Row("size", "", "", "41×", None)], cut=[network()])

    return Study("tiny", "", 1, compare, leaves_cut=leaves_cut)


def test_the_flag_adds_rows_and_a_table():
    seen = []
    watcher = Watcher(on_input=lambda *given: seen.append(given))
    result = perform(study(True), watcher, short=False, run_dir=None, scratch=True)
    assert result.command == "laconic study tiny --scratch"
    assert [row.claim for row in result.rows] == [
        "size", "half: trained from scratch, Scratch-E and Scratch-B"
    ]  # fmt: skip
    assert result.rows[1].ours.endswith("(fine-tuned 12.50)")
    assert result.rows[1].met is None
    assert result.tables[0].lines[0][:3] == ["half", "4.000", "12.50"]
    assert seen == [(1, 1, "half from scratch")]


def test_without_the_flag_nothing_is_trained(monkeypatch):
    monkeypatch.setattr(module, "fit", None)
    result = perform(study(True), Watcher(), short=False, run_dir=None)
    assert len(result.rows) == 1


def test_a_study_that_cuts_nothing_refuses_the_flag():
    given = replace(study(False), compare=None)
    with pytest.raises(UsageError, match="the study tiny makes no network smaller, so there is"):
        perform(given, Watcher(), short=False, run_dir=None, scratch=True)


def test_studies_that_cut_say_so():
    cutting = {name for name, study in STUDIES.items() if study.leaves_cut}
    assert {"dropneuron", "source3-pruning", "rethinking"} <= cutting
    assert not cutting & {"lottery", "han-pruning", "class-scopes"}
