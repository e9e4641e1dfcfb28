"""Learning the architecture of LeNet-5: the table's counts, its goals, and the control."""

import pytest
import torch

from laconic.measure import Latency, Receipt, TensorRecord
from laconic.recipe import Watcher
from laconic.studies import architecture as module
from laconic.studies.architecture import BASELINE, SETTINGS, parameters, recipe, stack, widths
from laconic.surgery import Cut, apply_cut, merge_layers
from laconic.train import ArrayTask
from laconic.zoo.lenet import LeNet5

EXAMPLE = torch.zeros(1, 1, 28, 28)


def receipt(architecture, error, size=1000):
    names = ["conv1", "conv2", "fc1", "fc2"]
    if len(architecture) == 3:
        names.remove("fc1")
    tensors = [
        TensorRecord(f"{name}.weight", [width, 7], "F32", [], "raw", 1, 1, 1, 1)
        for name, width in zip(names, architecture, strict=True)
    ]
    return Receipt(
        size_bytes=size, float32_bytes=1, parameters=parameters(architecture), nonzeros=1, macs=10,
        effective_macs=9, peak_memory_bytes=1, latency=Latency(1.0, 1.0, 1.0, 1, 1, ""),
        metric_name="error_percent", higher_is_better=False, metric={"test": error}, stage=1,
        kind="fit", arguments={}, seconds=1.0, seed=0, versions={}, tensors=tensors,
    )  # fmt: skip


DENSE = receipt(BASELINE, 0.8, 1600)


def test_the_stack_is_the_zoos_network():
    torch.manual_seed(0)
    one = stack().eval()
    torch.manual_seed(0)
    other = LeNet5().eval()
    images = torch.randn(3, 1, 28, 28)
    assert torch.equal(one(images), other(images))
    assert list(one.state_dict()) == list(other.state_dict())


@pytest.mark.parametrize("kept", [(16, 26, 500), (3, 50, 7)], ids=str)
def test_parameters_of_an_architecture_are_those_of_the_network(kept):
    model = stack()
    first, second, hidden = (list(range(width)) for width in kept)
    columns = list(range(16 * kept[1]))
    cut = {
        "conv1.weight": {0: first}, "conv1.bias": {0: first},
        "conv2.weight": {0: second, 1: first}, "conv2.bias": {0: second},
        "fc1.weight": {0: hidden, 1: columns}, "fc1.bias": {0: hidden}, "fc2.weight": {1: hidden},
    }  # fmt: skip
    apply_cut(model, Cut(cut))
    assert sum(p.numel() for p in model.parameters()) == parameters((*kept, 10))
    merge_layers(model, EXAMPLE, "fc1", "relu", "fc2")
    assert sum(p.numel() for p in model.parameters()) == parameters((*kept[:2], 10))


def test_widths_are_read_from_the_layers_that_are_left():
    assert widths(receipt((16, 26, 10), 1.0)) == (16, 26, 10)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_penalties_have_the_papers_ratio_and_d_stands_where_the_table_has_it(setting):
    learning = recipe(setting, short=False).stages[0].arguments
    assert learning["width"] / learning["binary_w"] == pytest.approx(setting.ratio)
    assert ("merge" in learning) == (len(setting.architecture) == 3)


def met(setting, architecture, error, size=1000):
    rows = module._rows(setting, receipt(architecture, error, size), DENSE, short=False)
    return [row.met for row in rows]


def test_goals_are_depth_parameters_accuracy_and_bytes():
    merging, keeping = SETTINGS[0], SETTINGS[3]
    assert met(merging, (16, 26, 10), 0.93) == [True, True, True]
    assert met(merging, (16, 27, 10), 0.93) == [False, True, True]
    assert met(merging, (4, 4, 20, 10), 0.93) == [False, True, True]
    assert met(keeping, (20, 40, 75, 10), 1.01) == [True, False, True]
    assert met(keeping, (20, 50, 70, 10), 1.0, size=1600) == [True, True, False]


def test_a_line_has_both_accuracies_and_what_was_saved():
    learned = receipt((16, 26, 10), 0.93)
    line = module._line("AL1", "0.4 λ₁", (16, 26, 10), learned, DENSE, "99.10", "99.07 / 99.08")
    assert line[2:7] == ["16-26-10", "15,012, 28.7× fewer", "99.07", "99.10", "99.07 / 99.08"]


def test_the_architecture_is_trained_again_once(tmp_path, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(40, 1, 28, 28, generator=generator), torch.arange(40) % 10
    task = ArrayTask(images, labels, images, labels, validation_fraction=0.2, batch_size=8)
    like = stack()
    merge_layers(like, EXAMPLE, "fc1", "relu", "fc2")
    first = module._again("AL1", like, task, tmp_path, Watcher())
    monkeypatch.setattr(module, "fit", None)
    assert module._again("AL1", like, task, tmp_path, Watcher()) == first


@pytest.mark.parametrize(
    ("short", "learning", "more"),
    [(False, module.LEARNING_EPOCHS, module.MORE_EPOCHS), (True, 1, 1)],
    ids=["the whole study", "its short form"],
)
def test_controls_get_the_epochs_of_w_and_d_not_those_of_the_baseline(
    monkeypatch, tmp_path, short, learning, more
):
    """Learning ran at the dense network's size; the baseline's epochs went into another one."""
    images = torch.zeros(10, 1, 28, 28)
    task = ArrayTask(images, torch.arange(10), images, torch.arange(10), validation_fraction=0.2)
    monkeypatch.setattr(module, "mnist", lambda: task)
    monkeypatch.setattr(module, "_run", lambda *given: (stack(), [DENSE]))
    monkeypatch.setattr(module, "_again", lambda *given: 99.0)
    found = module.compare(Watcher(), short, tmp_path)
    assert {(one.dense_epochs, one.tuned_epochs) for one in found.cut} == {(learning, more)}
