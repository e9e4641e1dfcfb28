"""Every mask of the registry through prune → train → quantize → train → pack → run."""

from dataclasses import dataclass

import pytest
import torch
from check_step import same_bits
from torch import Tensor, nn

from laconic.container import LacFile
from laconic.pack import capture, pack_model_bytes
from laconic.prune import STEPS, Draw, Supermask, settle
from laconic.quantize import Affine, Uniform
from laconic.represent import chain, represent
from laconic.runtime import load
from laconic.share import Share
from laconic.train import ArrayTask, fit

WEIGHT = "2.weight"
COUNT = 8 * 8 * 9
# A new mask puts its arguments here, and how many of the 576 weights it leaves.
MASKS = {
    "prune": ({"sparsity": 0.7}, COUNT - round(0.7 * COUNT)),
    "prune-n-m": ({"n": 1, "m": 4}, COUNT // 4),
    "prune-blocks": ({"sparsity": 0.75, "rows": 1, "columns": 9}, COUNT // 4),
    "prune-patterns": ({"patterns": 4, "entries": 3}, COUNT // 3),
    "prune-balanced": ({"sparsity": 0.7, "processors": 4}, COUNT - round(0.7 * COUNT)),
    "threshold": ({"below": 0.08}, None),
    "quality-threshold": ({"quality": 1.0}, None),
    "supermask": ({}, None),
}
GRIDS = {
    "share": lambda: Share(bits=4),
    "uniform": lambda: Uniform(bits=8),
    "affine": lambda: Affine(bits=8, axis=0),
}


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(),
            nn.Flatten(), nn.Linear(32, 4),
        )  # fmt: skip


def task() -> ArrayTask:
    """Bright rows or columns of 6×6 images."""
    images = torch.randn(64, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(64) % 4
    images[labels == 0, 0, 1] += 2
    images[labels == 1, 0, :, 4] += 2
    return ArrayTask(images, labels, images, labels, validation_fraction=0.25, batch_size=16)


@pytest.fixture(scope="module")
def program():
    """One for all: the weights alone differ."""
    return capture(network(), task().example_input)


@dataclass
class Moment:
    """The weight after a stage."""

    weight: Tensor
    held: Tensor
    """Where a mask, or the settled choice of a supermask, is false."""

    @property
    def nonzeros(self) -> int:
        return int((self.weight != 0).sum())


def moment(model: nn.Sequential) -> Moment:
    step = chain(model[2])[0]
    mask = step.mask if hasattr(step, "mask") else step.scores > 0
    return Moment(model[2].weight.detach().clone(), ~mask)


def train(model: nn.Sequential, callbacks=()) -> None:
    fit(
        model, task(), epochs=2, learning_rate=0.01, optimizer="adamw", weight_decay=0.1,
        callbacks=callbacks,
    )  # fmt: skip


@pytest.fixture(scope="module", params=[(m, g) for m in MASKS for g in GRIDS], ids=" then ".join)
def stages(request):
    """A network, and its weight after pruning, training, quantizing and training."""
    mask, grid = request.param
    model, moments = network(), []
    step = represent(model[2], STEPS[mask](**MASKS[mask][0]))
    if isinstance(step, Supermask):
        train(model, [Draw(0)])
        settle(model, 0)
    moments.append(moment(model))
    train(model)
    moments.append(moment(model))
    represent(model[2], GRIDS[grid]())
    moments.append(moment(model))
    train(model)
    moments.append(moment(model))
    return mask, model.eval(), moments


def test_every_mask_of_the_registry_goes_through():
    assert sorted(MASKS) == sorted(STEPS)


def test_the_mask_stays_and_what_it_took_is_zero_after_every_stage(stages):
    mask, _, moments = stages
    for one in moments:
        assert torch.equal(one.held, moments[0].held)
        assert bool((one.weight[one.held] == 0).all())
        assert not bool(torch.signbit(one.weight[one.held]).any())
    wanted = MASKS[mask][1]
    assert int((~moments[0].held).sum()) == (wanted or moments[0].nonzeros)
    assert 0 < moments[0].nonzeros < 0.9 * COUNT


def test_counts_hold_until_a_grid_rounds_to_zero_and_never_rise_again(stages):
    _, _, (pruned, trained, gridded, _) = stages
    assert pruned.nonzeros == trained.nonzeros == int((~pruned.held).sum())
    assert gridded.nonzeros <= trained.nonzeros
    assert gridded.nonzeros > 0.8 * trained.nonzeros


def test_the_file_holds_the_weight_smaller_and_computes_the_same(stages, program):
    _, model, moments = stages
    example = task().example_input
    data = pack_model_bytes(model, example_input=example, program=program)
    dense = pack_model_bytes(network(), example_input=example, program=program)
    with LacFile(data) as file, LacFile(dense) as other:
        found = torch.from_numpy(file.array(WEIGHT))
        assert file.entries[WEIGHT].length < 0.4 * other.entries[WEIGHT].length
    assert same_bits(found, moments[-1].weight)
    images = task().test_inputs
    with torch.no_grad():
        wanted = model(images)
    (outputs,) = load(data).run(images.numpy())
    torch.testing.assert_close(torch.from_numpy(outputs), wanted, rtol=1e-5, atol=1e-5)
