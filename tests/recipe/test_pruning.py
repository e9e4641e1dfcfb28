"""Stages that make weights zero: scopes and saliencies by name."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from laconic.container import LacFile
from laconic.errors import PatternError, UsageError
from laconic.prune import SCOPES, Prune, PruneNM
from laconic.recipe import STAGES, Recipe, Stage
from laconic.recipe.beforehand import check_patterns
from laconic.recipe.context import Context
from laconic.recipe.guard import check, snapshot
from laconic.recipe.pruning import MASKS
from laconic.represent import chains, represent, weights
from laconic.saliency import Data, Fisher, Random, Wanda
from laconic.train import ArrayTask, make_fabric


@pytest.fixture
def context(model):
    inputs = torch.randn(60, 16, generator=torch.Generator().manual_seed(0))
    labels = inputs[:, :3].argmax(1)
    task = ArrayTask(inputs, labels, inputs, labels, validation_fraction=0.2, batch_size=16)
    return Context(model, task, make_fabric("cpu"), 7, None, None)


# A new mask puts its arguments here; they fit weights of 32 x 16 and 3 x 32.
OF_EACH_MASK = {
    "prune": {"sparsity": 0.7},
    "prune-n-m": {"n": 1, "m": 4},
    "prune-blocks": {"sparsity": 0.75, "rows": 1, "columns": 8},
    "prune-patterns": {"patterns": 4, "entries": 3},
    "prune-balanced": {"sparsity": 0.7, "processors": 3},
    "threshold": {"below": 0.08},
    "quality-threshold": {"quality": 0.8},
}


def zeros(model):
    return {name: int((value == 0).sum()) for name, value in weights(model).items()}


def apply(context, kind, **arguments):
    """As a run does it: the arguments checked, the guard around."""
    stage = Stage(kind, arguments)
    check_patterns(context.model, context.task, Recipe((stage,)))
    before = snapshot(context.model)
    STAGES[kind](context, **arguments)
    check(before, context.model, kind)


@pytest.mark.parametrize("kind", sorted(MASKS))
def test_a_stage_chooses_the_mask_that_its_step_chooses(context, kind):
    if kind == "prune-patterns":
        convolutions = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3))
        context = replace(context, model=convolutions)
    wanted = {}
    for name, weight in weights(context.model).items():
        step = MASKS[kind](**OF_EACH_MASK[kind])
        step.fit(weight)
        wanted[name] = step.mask
    STAGES[kind](context, **OF_EACH_MASK[kind])
    found = chains(context.model)
    assert list(found) == list(wanted)
    for name, mask in wanted.items():
        assert torch.equal(found[name][0].mask, mask)


@pytest.mark.parametrize(("quality", "share"), [(0.5, 0.383), (1.0, 0.683)])
def test_a_quality_in_a_recipe_is_counted_in_deviations_of_the_weights(context, quality, share):
    layer = nn.Linear(300, 400)
    nn.init.normal_(layer.weight, std=0.02, generator=torch.Generator().manual_seed(0))
    STAGES["quality-threshold"](replace(context, model=layer), quality=quality)
    assert zeros(layer)["weight"] / 120_000 == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    "saliency", ["magnitude", "fisher", {"kind": "random", "seed": 3}], ids=str
)
def test_any_scope_goes_with_any_saliency_and_the_counts_are_exact(context, scope, saliency):
    apply(context, "prune", sparsity=0.5, scope=scope, saliency=saliency)
    assert sum(zeros(context.model).values()) == 304
    if SCOPES[scope].rule is SCOPES["layer"].rule:
        assert zeros(context.model) == {"0.weight": 256, "2.weight": 48}


def test_the_saliency_decides_by_the_stages_seed_and_number_of_examples(context):
    data = Data(context.task, 20, context.seed)
    scores = Fisher().scores(context.model, None, data)
    apply(context, "prune", sparsity=0.4, saliency="fisher", examples=20)
    for name, value in weights(context.model).items():
        assert scores[name][value == 0].max() <= scores[name][value != 0].min()


def test_a_table_of_sparsities_goes_with_a_saliency(context):
    scores = Random(3).scores(context.model)
    table = {"kind": "random", "seed": 3}
    apply(context, "prune", sparsity={"*": 0.25, "2": 0.5}, saliency=table)
    assert zeros(context.model) == {"0.weight": 128, "2.weight": 48}
    for name, value in weights(context.model).items():
        assert scores[name][value == 0].max() < scores[name][value != 0].min()


def test_a_mask_of_two_of_four_is_chosen_by_a_saliency(context):
    scores = Wanda().scores(context.model, ["0.weight"], Data(context.task, 1024, context.seed))
    expected = PruneNM(2, 4).by(scores["0.weight"])
    expected.fit(weights(context.model)["0.weight"])
    apply(context, "prune-n-m", layers="0", saliency="wanda")
    assert torch.equal(chains(context.model)["0.weight"][0].mask, expected.mask)
    assert list(chains(context.model)) == ["0.weight"]


def test_arguments_of_a_mask_may_be_tables_by_pattern(context):
    apply(context, "prune-blocks", sparsity=0.5, rows={"0": 4, "2": 1}, columns={"0": 1, "2": 8})
    chosen = {name: str(steps[0]) for name, steps in chains(context.model).items()}
    assert chosen == {
        "0.weight": "PruneBlocks(sparsity=0.5, rows=4, columns=1)",
        "2.weight": "PruneBlocks(sparsity=0.5, rows=1, columns=8)",
    }


def test_pruning_twice_counts_the_zeros_that_are_there(context):
    apply(context, "prune", sparsity=0.5, scope="global", saliency="fisher")
    before = {name: value == 0 for name, value in weights(context.model).items()}
    apply(context, "prune", sparsity=0.8, scope="class-distribution", saliency="fisher")
    assert sum(zeros(context.model).values()) == round(0.8 * 608)
    for name, value in weights(context.model).items():
        assert bool((value[before[name]] == 0).all())


def test_the_network_as_it_was_given_is_there_for_a_saliency_that_compares(context):
    with torch.random.fork_rng():
        torch.manual_seed(9)
        start = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3))
    known = Context(context.model, context.task, context.fabric, 7, None, None, start)
    apply(known, "prune", sparsity=0.5, saliency="distance-moved")
    moved = (context.model[0].parametrizations["weight"].original - start[0].weight).abs()
    kept = context.model[0].weight != 0
    assert moved[kept].min() > moved[~kept].max()


def test_masks_chosen_by_a_saliency_survive_training_sharing_and_the_file(tmp_path, runner):
    fit = Stage("fit", {"epochs": 2, "learning_rate": 0.01})
    prune = Stage("prune", {"sparsity": 0.75, "scope": "class-distribution", "saliency": "fisher"})
    done = runner(tmp_path, (fit, prune, fit, Stage("share", {"bits": 3}), fit))
    with LacFile(done.output) as file:
        found = {name: int((file.array(name) == 0).sum()) for name in ("0.weight", "2.weight")}
    assert sum(found.values()) >= 456
    assert done.receipts[2].nonzeros == done.receipts[1].nonzeros


def test_a_pattern_that_matches_nothing_is_refused_before_anything_runs(context):
    stage = Stage("prune", {"sparsity": 0.5, "layers": "conv*", "saliency": {"kind": "random"}})
    with pytest.raises(PatternError, match=r"stage 1 \(prune\): no layer matches 'conv\*'; the la"):
        check_patterns(context.model, context.task, Recipe((stage,)))


def test_a_mask_that_does_not_fit_a_layer_names_it(context):
    message = r"^stage 1 \(prune-n-m\): 0\.weight: a row of 16 weights cannot be cut into g"
    with pytest.raises(UsageError, match=message):
        apply(context, "prune-n-m", n=2, m=5)
    assert chains(context.model) == {}


def test_a_layer_that_would_be_emptied_is_named(context):
    with torch.no_grad():
        context.model[2].weight.mul_(1e-6)
    message = r"2\.weight: at 0\.5 over all together, all its 96 weights would be zero"
    with pytest.raises(UsageError, match=message):
        apply(context, "prune", sparsity=0.5, scope="global")


def test_a_recurrent_layer_is_pruned_by_its_gates(context):
    model = nn.ModuleDict({"lstm": nn.LSTM(4, 4)})
    recurrent = Context(model, context.task, context.fabric, 7, None, None)
    represent(model["lstm"], Prune(0.25), "weight_hh_l0")
    apply(recurrent, "prune", sparsity=0.5, scope="class-uniform")
    for value in weights(model).values():
        assert (value.reshape(4, 16) == 0).sum(1).tolist() == [8, 8, 8, 8]


class Recurrent(nn.Module):
    """Reads the 16 numbers of an example as four steps of four."""

    def __init__(self, kind):
        super().__init__()
        self.layer, self.head = kind(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, inputs):
        return self.head(self.layer(inputs.unflatten(1, (4, 4)))[0][:, -1])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN], ids=lambda kind: kind.__name__)
def test_a_recurrent_network_goes_through_a_recipe_with_its_receipts(tmp_path, runner, kind):
    fit = Stage("fit", {"epochs": 2, "learning_rate": 0.02})
    prune = Stage("prune", {"sparsity": 0.5, "scope": "class-uniform", "layers": "layer"})
    done = runner(tmp_path, (fit, prune, fit, Stage("share", {"bits": 3})), model=Recurrent(kind))
    dense, *others = done.receipts
    gates = len(done.model.layer.weight_hh_l0) // 6
    assert dense.macs == dense.effective_macs == 4 * gates * 6 * (4 + 6) + 18
    assert [receipt.effective_macs for receipt in others] == [2 * gates * 6 * (4 + 6) + 18] * 3
    assert others[-1].size_bytes < dense.size_bytes
