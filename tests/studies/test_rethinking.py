"""Fine-tuned against trained from scratch."""

from dataclasses import replace

import pytest
import torch
from tests.studies.test_source3 import outcome

from laconic.recipe import Watcher
from laconic.studies import Control, rethinking
from laconic.studies.rethinking import SHORT, WHOLE
from laconic.train import ArrayTask

FOUND = Control("ResNet-20-A", 1.06, 20.0, (4, 5.2), (21.5, 20.9))


def receipts(*macs):
    return [replace(outcome("a", 10, 10, 1.0).receipt, macs=count) for count in macs]


@pytest.mark.parametrize(
    ("error", "met"),
    [
        pytest.param(21.0, True, id="a point worse than fine-tuned is within what seeds differ by"),
        pytest.param(21.1, False, id="more is not"),
    ],
)
def test_scratch_b_is_held_against_the_fine_tuned_network(error, met):
    one = replace(FOUND, errors=(30.0, error))
    row = rethinking._rows(one, receipts(10, 9), 19.0, short=False)[0]
    assert (row.met, row.goal) == (met, "Scratch-B ≤ 21.00 %, fine-tuned + 1")
    assert row.ours == f"19.00; 20.00, 30.00, {error:.2f} %"
    assert row.published.startswith("ResNet-56-A: 6.86; ")


def test_a_cut_that_spares_nothing_misses_its_goal():
    assert rethinking._rows(FOUND, receipts(10, 10), 19.0, short=False)[2].met is False


def test_the_fine_tuning_is_a_quarter_of_the_training():
    assert (WHOLE.tuned_epochs, replace(WHOLE, epochs=160).tuned_epochs) == (1, 40)
    assert SHORT.tuned_epochs == 1


@pytest.mark.slow
def test_the_whole_of_it_on_a_few_images(tmp_path, monkeypatch):
    images = torch.randn(60, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(60) % 10
    task = ArrayTask(images, labels, images, labels, validation_fraction=0.2, batch_size=8)
    monkeypatch.setattr(rethinking.zoo, "resolve_task", lambda name: task)
    first = rethinking.compare(Watcher(), True, tmp_path)
    assert [table.lines[0][0] for table in first.tables] == ["dense", "ResNet-8"]
    ratio, early, late = (first.tables[1].lines[0][place] for place in (1, 4, 6))
    assert float(late) == pytest.approx(float(ratio) * float(early) + 1, rel=1e-3)
    monkeypatch.setattr(rethinking, "fit", None)  # what is trained is not trained again
    again = rethinking.compare(Watcher(), True, tmp_path)
    assert again.tables[1] == first.tables[1]
