"""What is left of each layer makes up for what a mask took."""

import copy

import pytest
import torch

from laconic.errors import StageError, UnsupportedError, UsageError
from laconic.prune import Prune
from laconic.recipe import Context, Stage
from laconic.recipe.compensation import check_compensate, compensate_stage
from laconic.represent import represent_layers, weights
from laconic.saliency import Data
from laconic.train import make_fabric

FIT = Stage("fit", {"epochs": 3, "learning_rate": 0.01})
PRUNE = Stage("prune", {"sparsity": 0.6, "saliency": "obs", "examples": 64})
COMPENSATE = Stage("compensate", {"examples": 96})


def test_masks_stay_and_the_other_weights_move(tmp_path, runner):
    pruned = runner(tmp_path / "a", (FIT, PRUNE)).model
    done = runner(tmp_path / "b", (FIT, PRUNE, COMPENSATE)).model
    for name, weight in weights(done).items():
        zeros = weights(pruned)[name] == 0
        assert int(zeros.sum()) == round(0.6 * zeros.numel())
        assert torch.equal(weight == 0, zeros)
        assert not torch.equal(weight, weights(pruned)[name])


def test_outputs_of_each_layer_come_nearer_to_those_before(tmp_path, runner):
    """With the inputs that the layer had before it was pruned."""
    done = runner(tmp_path, (FIT,))
    dense = copy.deepcopy(done.model)
    represent_layers(done.model, {name: Prune(0.6) for name in weights(done.model)})
    pruned = copy.deepcopy(done.model)
    context = Context(done.model, done.task, make_fabric("cpu", threads=1), 0, None, None)
    compensate_stage(context, examples=96)
    inputs = torch.cat([batch for batch, _ in Data(done.task, 96).batches()])
    with torch.no_grad():
        hidden = torch.relu(dense[0](inputs))
        for place, given in [(0, inputs), (2, hidden)]:
            wanted = dense[place](given)
            without = (pruned[place](given) - wanted).square().mean()
            assert (done.model[place](given) - wanted).square().mean() < 0.8 * without


def test_a_second_time_there_is_nothing_to_make_up_for(tmp_path, runner):
    with pytest.raises(StageError, match=r"stage 4 \(compensate\) changed nothing"):
        runner(tmp_path, (FIT, PRUNE, COMPENSATE, COMPENSATE))


def test_it_wants_a_mask_before_it(tmp_path, runner):
    with pytest.raises(UsageError, match="no layer that '0' matches has a mask; put this stage"):
        runner(tmp_path, (FIT, Stage("prune", {"sparsity": 0.5, "layers": "2"}),
                          Stage("compensate", {"layers": "0"})))  # fmt: skip


def test_another_kind_of_layer_is_refused_by_its_name(tmp_path, runner):
    done = runner(tmp_path, (FIT,))
    done.model.register_module("table", torch.nn.Embedding(4, 4))
    represent_layers(done.model, {"table.weight": Prune(0.5)})
    context = Context(done.model, done.task, make_fabric("cpu", threads=1), 0, None, None)
    with pytest.raises(
        UnsupportedError, match=r"table.weight: compensate looks at what comes into lin"
    ):
        compensate_stage(context)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"examples": 0, "damping": 0.1}, "compensate looks at 0 examples; it needs at least 1"),
        ({"examples": 5, "damping": 0.0}, "damping 0 is not positive; 0.01 is usual"),
    ],
    ids=["examples", "damping"],
)
def test_arguments_that_cannot_be_meant_are_refused_before_the_run(arguments, message):
    with pytest.raises(UsageError, match=message):
        check_compensate(layers="*", **arguments)
