"""Stages that make a network smaller: real shapes, real bytes, and a run that goes on."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from laconic.errors import PatternError, StageError, UsageError
from laconic.measure import dense_receipt
from laconic.recipe import Recipe, Stage, run
from laconic.runtime import load
from laconic.surgery import cuts, remove_layers

spec = importlib.util.spec_from_file_location("tiny", Path(__file__).parent / "tiny.py")
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)


class Normed(nn.Module):
    """A hidden layer with BatchNorm, and a residual block."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(16, 32), nn.BatchNorm1d(32)
        self.block = nn.Sequential(nn.Linear(32, 12), nn.ReLU(), nn.Linear(12, 32))
        self.last = nn.Linear(32, 3)

    def forward(self, rows):
        hidden = torch.relu(self.norm(self.first(rows)))
        return self.last(hidden + self.block(hidden))


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


def compress(folder, *stages, model=None, resume=False):
    recipe = Recipe(tuple(Stage(kind, arguments) for kind, arguments in stages))
    network = seeded(tiny.model) if model is None else model
    receipts = run(network, tiny.task(), recipe, folder / "net.lac", folder / "run", resume=resume)
    return network, receipts


FIT = ("fit", {"epochs": 2})
CHAIN = [
    FIT,
    ("cut", {"fraction": 0.5, "round_to": 4}),
    FIT,
    ("prune", {"sparsity": 0.5}),
    ("cut", {"fraction": 0.25, "layers": "0", "saliency": "l2"}),
    FIT,
    ("share", {"bits": 3}),
]


def test_masks_counts_and_bytes_after_every_stage_of_a_chain(tmp_path):
    network, receipts = compress(tmp_path, *CHAIN)
    counts = [(receipt.parameters, receipt.macs) for receipt in receipts]
    whole, half, rest = (643, 608), (323, 304), (243, 228)
    assert counts == [whole, half, half, half, rest, rest, rest]
    assert receipts[3].nonzeros == 152 + 19
    assert network[0].out_features == 12
    for tensor in receipts[-1].tensors:
        if tensor.name.endswith("weight"):
            assert tensor.steps[0].startswith("Prune")
            assert tensor.distinct <= 8
    sizes = [receipt.size_bytes for receipt in receipts]
    assert sizes[1] < sizes[0]
    assert sizes[4] < sizes[3]
    assert sizes[6] < sizes[5]
    assert dense_receipt(receipts) is receipts[0]
    given = tiny.task().example_input
    session = load(tmp_path / "net.lac")
    (packed,) = session(**{session.inputs[0].name: given.numpy()}).values()
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(packed), network.eval()(given), atol=1e-5)


@pytest.mark.parametrize("done", [1, 2, 5], ids="after stage {}".format)
def test_a_run_goes_on_behind_a_cut_with_the_same_bytes(tmp_path, done):
    compress(tmp_path, *CHAIN)
    first = (tmp_path / "net.lac").read_bytes()
    receipts = tmp_path / "run" / "receipts.json"
    receipts.write_text(json.dumps(json.loads(receipts.read_text())[:done]))
    network, _ = compress(tmp_path, *CHAIN, resume=True)
    assert (tmp_path / "net.lac").read_bytes() == first
    assert network[0].out_features == 12


def test_a_table_gives_each_layer_its_own_and_the_last_pattern_wins(tmp_path):
    network, _ = compress(
        tmp_path,
        ("cut", {"fraction": {"*": 0.5, "block.0": 0.25}, "layers": ["first", "block.0"]}),
        ("recalibrate", {"examples": 64}),
        model=seeded(Normed),
    )
    assert network.first.out_features == 16
    assert network.norm.num_features == 16
    assert network.block[0].out_features == 9
    assert network.block[2].out_features == 16


def test_the_lowest_of_all_go(tmp_path):
    model = seeded(Normed)
    with torch.no_grad():
        model.block[0].weight[3:] *= 1e-3
    network, _ = compress(
        tmp_path, ("cut", {"fraction": 0.2, "layers": "block.0", "scope": "global"}), model=model
    )
    assert network.block[0].out_features == 10


def test_a_saliency_looks_at_training_examples_alone(tmp_path):
    task = tiny.task()
    recipe = Recipe((Stage("cut", {"fraction": 0.25, "saliency": "fisher-channels"}),))
    network = seeded(tiny.model)
    run(network, task, recipe, tmp_path / "net.lac", tmp_path / "run")
    assert network[0].out_features == 24
    assert task.read.count("test") == 2  # the dense network and the result


@pytest.mark.parametrize("saliency", ["magnitude-increase", "large-final-same-sign"])
def test_after_a_cut_weights_are_compared_with_what_the_start_has_left(tmp_path, saliency):
    start = seeded(tiny.model)
    network, _ = compress(
        tmp_path, FIT, ("cut", {"fraction": 0.25}), FIT,
        ("prune", {"sparsity": 0.5, "saliency": saliency}),
    )  # fmt: skip
    (cut,) = cuts(network)
    initial = start[0].weight[cut.tensors["0.weight"][0]].detach()
    assert initial.shape == network[0].weight.shape == (24, 16)
    final = chain_input(network[0])
    score = {
        "magnitude-increase": final.abs() - initial.abs(),
        "large-final-same-sign": (final * initial.sign()).clamp(min=0),
    }[saliency]
    kept = network[0].weight != 0
    assert float(score[kept].min()) >= float(score[~kept].max())


def chain_input(layer):
    return layer.parametrizations.weight.original.detach()


def test_neurons_that_are_nearly_always_zero_are_trimmed_again_and_again(tmp_path):
    """APoZ of the paper: three neurons with a low bias are hardly ever above zero."""
    model = seeded(tiny.model)
    with torch.no_grad():
        model[0].bias[[3, 11, 20]] = -20.0
    trim = ("trim", {"examples": 96})
    network, receipts = compress(tmp_path, trim, FIT, trim, model=model)
    sizes = [receipt.parameters for receipt in receipts]
    assert sizes[1] <= 29 * 20 + 3
    assert sizes[2] == sizes[1] > sizes[3] == 20 * network[0].out_features + 3
    assert float(network[0].bias.detach().min()) > -10


def test_blocks_and_dead_units_go(tmp_path):
    model = seeded(Normed)
    with torch.no_grad():
        model.last.weight[:, 5] = 0
        model.block[0].weight[:, 5] = 0
    network, _ = compress(
        tmp_path, ("remove-dead", {}), ("remove-layers", {"layers": ["block"]}), model=model
    )
    assert network.first.out_features == 31
    assert isinstance(network.block, nn.Identity)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([("remove-layers", {"layers": ["blok"]})], r"stage 2 \(remove-layers\): no module 'blok'"),
        ([("remove-layers", {"layers": ["block*"]})], r"no module 'block\*' takes and gives"),
        ([("remove-layers", {"layers": ["first"]})], r"first takes \[1, 16\] and gives \[1, 32\]"),
        (
            [
                ("remove-layers", {"layers": ["block"]}),
                ("prune", {"sparsity": 0.5, "layers": "block.0"}),
            ],
            r"stage 3 \(prune\): no layer matches 'block.0'; the layers are: first, last",
        ),
    ],
    ids=["no such module", "a pattern", "another shape", "a later stage that prunes it"],
)
def test_layers_that_cannot_go_are_refused_before_the_first_stage(tmp_path, stages, message):
    model = seeded(Normed)
    with pytest.raises(UsageError, match=message):
        compress(tmp_path, FIT, *stages, model=model)
    assert not (tmp_path / "run").exists()
    assert isinstance(model.block, nn.Sequential)


def test_a_network_that_does_not_run_without_a_layer_is_refused():
    class Attribute(Normed):
        def forward(self, rows):
            return super().forward(rows) * self.block[0].out_features

    with pytest.raises(UsageError, match="the network does not run without block: TypeError"):
        remove_layers(Attribute(), torch.zeros(1, 16), ["block"])


def test_a_run_knows_the_files_of_its_stages_by_what_is_in_them(tmp_path):
    analysis = tmp_path / "s.json"
    analysis.write_text(json.dumps(SENSITIVITY))
    stage = ("prune-by-sensitivity", {"file": str(analysis), "loss": 0.5})
    compress(tmp_path, stage)
    compress(tmp_path, stage, resume=True)
    analysis.write_text(json.dumps(SENSITIVITY | {"dense": 0.9}))
    with pytest.raises(
        UsageError, match=rf"holds another run: content of {analysis} was '[0-9a-f]"
    ):
        compress(tmp_path, stage, resume=True)


def test_an_analysis_of_another_network_is_refused_before_the_first_stage(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps(SENSITIVITY))
    stage = ("prune-by-sensitivity", {"file": str(tmp_path / "s.json"), "loss": 0.5})
    with pytest.raises(PatternError, match=r"stage 2 \(prune-by-.*\): no layer matches '0.weight'"):
        compress(tmp_path, FIT, stage, model=seeded(Normed))


SENSITIVITY = {
    "identity": {"kind": "weights", "saliency": "magnitude"}, "metric_name": "error_percent",
    "higher_is_better": False, "dense": 1.0, "layers": ["0.weight", "2.weight"],
    "points": [
        {"layer": "0.weight", "level": 0.5, "metric": 1.5},
        {"layer": "2.weight", "level": 0.25, "metric": 1.2},
        {"layer": "2.weight", "level": 0.75, "metric": 9.0},
    ],
}  # fmt: skip


def test_per_layer_targets_come_from_a_sensitivity_analysis(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps(SENSITIVITY))
    arguments = {"file": str(tmp_path / "s.json"), "loss": 0.5}
    network, _ = compress(tmp_path, ("prune-by-sensitivity", arguments))
    assert int((network[0].weight == 0).sum()) == 256
    assert int((network[2].weight == 0).sum()) == 24
    with pytest.raises(UsageError, match=r"no layer stays within a loss of 0.1: .* loses 0.2"):
        Stage("prune-by-sensitivity", {**arguments, "loss": 0.1})


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("cut", {"fraction": 1.0}, r"cut: fraction 1 is outside \[0, 1\)"),
        ("cut", {"fraction": {"0": 0.5, "2": 1.5}}, r"cut: 2: fraction 1.5 is outside \[0, 1\)"),
        ("prune", {"sparsity": {"0": 0.5, "2": 1.5}}, "prune: 2: sparsity 1.5 is outside"),
        ("cut", {"fraction": 0.5, "round_to": 0}, "cut: round_to is 0; 1 or more is needed"),
        ("cut", {"fraction": 0.5, "scope": "layer"}, "no scope is named 'layer'; there are: group"),
        ("cut", {"fraction": {"a": 0.5}, "scope": "global"}, "a table of fractions is by group"),
        ("cut", {"fraction": 0.5, "saliency": "wanda"}, "scores weights; here channels go, by: l1"),
        ("cut", {"fraction": 0.5, "saliency": "x"}, "no saliency is named 'x'; there are: magnit"),
        ("recalibrate", {"examples": 0}, "examples is 0; at least 1 is needed"),
        ("trim", {"deviations": -1.0}, "trim: deviations is -1; 0 or more is needed"),
        ("trim", {"saliency": "magnitude"}, "scores weights; here channels go, by: l1"),
    ],
)  # fmt: skip
def test_arguments_are_refused_before_there_is_a_network(kind, arguments, message):
    with pytest.raises(UsageError, match=message):
        Stage(kind, arguments)


@pytest.mark.parametrize(
    ("stage", "error", "message"),
    [
        (("cut", {"fraction": 0.5, "layers": "9"}), PatternError, r"stage 1 \(cut\): no layer mat"),
        (("cut", {"fraction": 0.99}), UsageError, "0: a fraction 0.99 of 32 units is all of them"),
        (("cut", {"fraction": 0.0}), StageError, r"stage 1 \(cut\) changed nothing"),
        (("remove-dead", {}), UsageError, "nothing is dead: no unit of zeros could be spared"),
        (("trim", {"layers": "9"}), PatternError, r"stage 1 \(trim\): no layer matches"),
        (("trim", {"deviations": 9.0}), StageError, "none of the 32 channels scores below its gro"),
        (("trim", {"round_to": 40}), UsageError, "0: no multiple of 40 fits into its 32 units"),
        (("recalibrate", {}), UsageError, "no BatchNorm layer with running statistics"),
    ],
)
def test_what_a_network_cannot_give_is_refused(tmp_path, stage, error, message):
    with pytest.raises(error, match=message):
        compress(tmp_path, stage)


def test_channels_go_a_few_at_a_time_while_the_network_trains(tmp_path):
    arguments = {"fraction": 0.3, "layers": ["first", "block.0"], "per_round": 5, "steps": 2}
    network, receipts = compress(
        tmp_path, FIT, ("greedy-cut", {**arguments, "examples": 48}), model=seeded(Normed)
    )
    left = network.first.out_features + network.block[0].out_features
    assert left == 44 - round(0.3 * 44)
    assert receipts[-1].parameters < receipts[0].parameters
    twice, _ = compress(
        tmp_path / "again", FIT, ("greedy-cut", {**arguments, "examples": 48}), model=seeded(Normed)
    )
    assert torch.equal(network.first.weight, twice.first.weight)


def test_a_price_on_multiply_adds_spares_the_cheap_layer(tmp_path):
    def widths(price):
        network, _ = compress(
            tmp_path / f"{price}",
            ("greedy-cut", {
                "fraction": 0.5, "layers": ["first", "block.0"], "per_round": 11, "steps": 1,
                "saliency": {"kind": "fisher-channels", "mac_price": price}, "examples": 48,
            }),
            model=seeded(Normed),
        )  # fmt: skip
        return network.first.out_features, network.block[0].out_features

    # A unit of block.0 costs 32 multiply-adds, one of first 16.
    assert widths(1.0) == (21, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_round": 0}, "per_round is 0 and steps is 100; both must be 1 or more"),
        ({"saliency": "magnitude"}, "scores weights; here channels go, by: l1"),
        ({"learning_rate": -1.0}, "learning_rate -1 is not a positive number"),
    ],
)
def test_greedy_arguments_are_refused_beforehand(arguments, message):
    with pytest.raises(UsageError, match=message):
        Stage("greedy-cut", {"fraction": 0.5, **arguments})


@pytest.mark.parametrize("to", ["start", "random", "kept"])
def test_a_cut_network_goes_back_to_an_earlier_point(tmp_path, to):
    """Scratch: the smaller architecture from its start, or from a new draw of it."""
    start = {name: value.clone() for name, value in seeded(tiny.model).state_dict().items()}
    network, _ = compress(
        tmp_path,
        ("fit", {"epochs": 2, "keep_step": 3}),
        ("cut", {"fraction": 0.5}),
        ("fit", {"epochs": 1}),
        ("rewind", {"to": to}),
    )
    found = network[0].weight.detach()
    assert found.shape == (16, 16)
    rows = {tuple(row.tolist()) for row in start["0.weight"]}
    same = sum(tuple(row.tolist()) in rows for row in found)
    assert same == (16 if to == "start" else 0)
    if to == "random":
        assert set(found.flatten().tolist()) <= set(start["0.weight"].flatten().tolist())
