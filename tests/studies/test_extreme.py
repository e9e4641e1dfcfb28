"""How far down a ladder of sparsities goes, and what it is judged on."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from laconic.recipe import Stage, Watcher
from laconic.represent import weights
from laconic.studies import extreme
from laconic.studies.extreme import HalvedTest, Ladder, Way, climb, furthest
from laconic.train import ArrayTask, load_model


@pytest.fixture(scope="module")
def task():
    points = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    labels = (points[:, 0] > 0).long()
    return ArrayTask(points, labels, points, labels, batch_size=4)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 2))


@pytest.fixture(scope="module")
def way():
    return Way("magnitude, all layers", extreme.together(extreme.adam(1, 1e-2)))


@pytest.fixture(scope="module")
def ladder(way):
    return Ladder("tiny", "tiny", lambda task, short: nn.Identity(), (0.5, 0.9), (way,), "")


@pytest.fixture(scope="module")
def rungs(ladder, way, network, task, tmp_path_factory):
    return climb(ladder, way, network, task, tmp_path_factory.mktemp("ladder"), Watcher())


def test_each_level_leaves_its_part_of_zeros_in_a_file_of_its_own(rungs):
    assert [rung.zeros for rung in rungs] == [0.0, 0.5, 0.9]
    for rung in rungs:
        model = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 2))
        load_model(rung.model, model)
        zeros = sum(int((weight == 0).sum()) for weight in weights(model).values())
        assert zeros == round(rung.zeros * 80)
    assert [rung.receipt.kind for rung in rungs] == ["given", "fit", "fit"]


def test_later_levels_may_go_back_to_the_dense_values(ladder, network, task, tmp_path):
    train = extreme.adam(1, 1e-2)
    way = Way(
        "back to the dense values",
        extreme.together(train, Stage("rewind", {"to": "start"})),
        extreme.together(train),
    )
    climb(ladder, way, network, task, tmp_path, Watcher())
    model = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 2))
    load_model(tmp_path / "stage-4.safetensors", model)  # behind the second prune and rewind
    for name, weight in weights(model).items():
        kept = weight != 0
        assert torch.equal(weight[kept], network.state_dict()[name][kept])


@pytest.mark.parametrize(
    ("errors", "chosen"),
    [
        pytest.param((2.0, 1.9, 2.2), 0.9, id="the last level loses little"),
        pytest.param((2.0, 2.3, 2.4), 0.5, id="the last level loses too much"),
        pytest.param((2.0, 2.5, 2.3), 0.9, id="a level between does, the last does not"),
        pytest.param((2.0, 9.0, 9.0), 0.0, id="every level loses too much"),
    ],
)
def test_the_largest_part_of_zeros_is_chosen_on_the_validation_split(
    rungs, way, network, task, errors, chosen
):
    known = [
        replace(rung, receipt=replace(rung.receipt, metric={"validation": error}))
        for rung, error in zip(rungs, errors, strict=True)
    ]
    assert furthest(way, known, network, task, 0.3).chosen.zeros == chosen


def test_of_a_network_that_saw_its_validation_split_half_of_the_test_split_chooses(task):
    rows = torch.arange(3500.0)[:, None]
    large = ArrayTask(rows, rows[:, 0].long(), rows, rows[:, 0].long())
    halved = HalvedTest(large)
    choosing, judging = (
        torch.cat([inputs for inputs, _ in halved.batches(split)])
        for split in ("validation", "test")
    )
    assert len(choosing) == 2000
    assert len(judging) == 1500
    assert sorted(torch.cat([choosing, judging]).tolist()) == rows.tolist()
    assert len(list(HalvedTest(task).batches("train"))) == len(list(task.batches("train")))
