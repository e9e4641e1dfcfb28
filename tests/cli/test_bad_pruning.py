"""Pruning that cannot be meant, on the command line: which layer, which figure, what to do."""

import json
import re

import pytest
from tests.recipe.conftest import finish, new_task

from laconic.errors import LaconicError
from laconic.recipe import load_recipe

MODEL = '''
"""A network whose square root has no gradient at 0, and one with twelve channels."""
import torch
from torch import nn


class Rooted(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(16, 8), nn.Linear(8, 3)

    def forward(self, rows):
        return self.last((0 * self.first(rows)).sqrt())


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(16, 12), nn.Linear(12, 3)

    def forward(self, rows):
        return self.last(torch.relu(self.first(rows)))
'''

FIT = 'kind = "fit"\nepochs = 1\n'
BAD = {
    "a sparsity of 1.2": (
        'kind = "prune"\nsparsity = 1.2',
        2, "stage 2: prune: sparsity 1.2 is outside [0, 1); did you mean 0.12?",
    ),
    "a sparsity of a layer that would lose all": (
        'kind = "prune"\nsparsity = 0.996\nlayers = "last"',
        2, "stage 2 (prune): last.weight: sparsity 0.996 of 36 weights rounds to 36 zeros",
    ),
    "a total that a layer cannot survive": (
        'kind = "prune"\nsparsity = 0.99\nscope = "global"\nlayers = ["last"]\n'
        'saliency = "random"',
        2, "last.weight: at 0.99 over all together, all its 36 weights would be zero",
    ),
    "rows that do not divide": (
        'kind = "prune-n-m"\nn = 2\nm = 5',
        2, "stage 2 (prune-n-m): first.weight: a row of 16 weights cannot be cut into groups of 5",
    ),
    "a schedule that ends before it begins": (
        'kind = "agp"\nsparsity = 0.5\nepochs = 2\nbegin = 0.5\nend = 0.25',
        2, "stage 2: agp: the schedule begins at 0.5 and ends at 0.25; end must be larger",
    ),
    "a schedule that outlasts its training": (
        'kind = "agp"\nsparsity = 0.5\nepochs = 2\nend = 9\nfrequency = 1',
        2, "stage 2 (agp): the schedule ends at step 9, but the training has 6 steps; train longer",
    ),
    "a fraction of 1": (
        'kind = "cut"\nfraction = 1.0',
        2, "stage 2: cut: fraction 1 is outside [0, 1)",
    ),
    "every channel of a layer": (
        'kind = "cut"\nfraction = 0.99',
        2, "first: a fraction 0.99 of 12 units is all of them; leave at least one",
    ),
    "a multiple that is larger than the layer": (
        'kind = "cut"\nfraction = 0.5\nround_to = 16',
        2, "first: no multiple of 16 fits into its 12 units",
    ),
    "a pattern without a match": (
        'kind = "prune"\nsparsity = { "conv*" = 0.5 }',
        2, "stage 2 (prune): no layer matches 'conv*'; the layers are: first, last",
    ),
    "a pattern without a match in a cut": (
        'kind = "cut"\nfraction = 0.5\nlayers = "conv*"',
        2, "stage 2 (cut): no layer matches 'conv*'; the layers are: first, last",
    ),
    "a layer that is not there to be removed": (
        'kind = "remove-layers"\nlayers = ["block"]',
        2, "stage 2 (remove-layers): no module 'block' takes and gives a tensor; there are: first",
    ),
    "a saliency that nobody knows": (
        'kind = "prune"\nsparsity = 0.5\nsaliency = "wonda"',
        2, "prune: no saliency is named 'wonda'; there are: magnitude, random, wanda",
    ),
    "an argument that a summed saliency has not": (
        'kind = "cut"\nfraction = 0.5\n'
        'saliency = {kind = "channel-sum", of = "obd", arguments = {foo = 1}}',
        2, "channel-sum of obd has no argument 'foo'; it has none",
    ),
    "an argument of another type of a summed saliency": (
        'kind = "cut"\nfraction = 0.5\n'
        'saliency = {kind = "channel-sum", of = "random", arguments = {seed = "x"}}',
        2, "channel-sum of random: seed is 'x'",
    ),
    "a schedule that begins at no number": (
        'kind = "agp"\nsparsity = 0.5\nepochs = 2\nbegin = nan',
        2, "stage 2: agp: begin is nan; give a fraction of the training from 0.0 to 1.0",
    ),
    "a schedule that ends at infinity": (
        'kind = "agp"\nsparsity = 0.5\nepochs = 2\nend = inf',
        2, "stage 2: agp: end is inf; give a fraction of the training from 0.0 to 1.0",
    ),
    "an infinite price of width": (
        'kind = "learn-architecture"\nepochs = 1\nwidth = inf',
        2, "learn-architecture: width is inf; a strength is 0 or more",
    ),
    "an infinite penalty": (
        'kind = "fit"\nepochs = 1\npenalties = {li = inf}',
        2, "li: the strength is inf; a positive number is needed",
    ),
    "more channels than groups can give one by one": (
        'kind = "greedy-cut"\nfraction = 0.97',
        2, "stage 2 (greedy-cut): fraction 0.97 of the 12 units of first is 12; one of each group "
        "stays, so at most 11 can go; ask for a smaller fraction",
    ),
    "a saliency of channels for weights": (
        'kind = "prune"\nsparsity = 0.5\nsaliency = "apoz"',
        2, "APoZ() scores channels; here weights go, by: magnitude, random",
    ),
    "a saliency without examples": (
        'kind = "prune"\nsparsity = 0.5\nsaliency = "wanda"\nexamples = 0',
        2, "prune: a saliency looks at 0 examples; it needs at least 1",
    ),
    "a stage that changes nothing": (
        'kind = "prune"\nsparsity = 0.0',
        1, "stage 2 (prune) changed nothing: every value is what it was before",
    ),
}  # fmt: skip


@pytest.fixture
def network(tmp_path):
    (tmp_path / "net.py").write_text(MODEL)
    return tmp_path / "net.py"


def recipe(folder, *stages):
    path = folder / "r.toml"
    path.write_text("\n".join(f"[[stage]]\n{stage}" for stage in stages))
    return path


def compress(laconic, network, name, tiny, path):
    return laconic(
        "compress", f"{network}:{name}", "--task", f"{tiny}:task", "--recipe", path,
        "-o", path.parent / "x.lac", "--threads", "1",
    )  # fmt: skip


@pytest.mark.parametrize(("stage", "code", "message"), BAD.values(), ids=BAD)
def test_pruning_that_cannot_be_meant_is_refused(
    laconic, network, tiny, tmp_path, stage, code, message
):
    ended = compress(laconic, network, "Plain", tiny, recipe(tmp_path, FIT, stage))
    assert (ended.code, ended.out) == (code, "")
    assert message in " ".join(ended.err.split())
    assert not (tmp_path / "x.lac").exists()


@pytest.mark.parametrize(
    "stage",
    [
        'kind = "prune"\nsparsity = 0.996',
        'kind = "prune-balanced"\nsparsity = 0.1\nprocessors = 5',
    ],
    ids=["more zeros than a layer has", "rows that cannot be dealt out"],
)
def test_a_mask_that_no_weights_allow_is_refused_before_the_first_stage(
    laconic, network, tiny, tmp_path, stage
):
    ended = compress(laconic, network, "Plain", tiny, recipe(tmp_path, FIT, stage))
    assert ended.code == 2
    assert re.search(r"stage 2 \(prune\S*\): \w+.weight: ", ended.err)
    assert not (tmp_path / "x.lac.run").exists()


def test_gradients_that_are_no_numbers_name_the_layer_and_how_many(
    laconic, network, tiny, tmp_path
):
    ended = compress(laconic, network, "Rooted", tiny, recipe(tmp_path, FIT))
    assert ended.code == 1
    assert (
        "stage 1 (fit): epoch 1, step 1: 128 of the 128 gradients of first.weight are NaN or "
        "infinite, though the loss is finite; lower the learning rate"
    ) in " ".join(ended.err.split())


def test_a_multiple_is_honoured_exactly(laconic, network, tiny, tmp_path):
    stage = 'kind = "cut"\nfraction = 0.5\nround_to = 8'
    ended = compress(laconic, network, "Plain", tiny, recipe(tmp_path, FIT, stage))
    assert ended.code == 0, ended.err
    receipts = json.loads((tmp_path / "x.lac.run" / "receipts.json").read_text())
    shapes = {tensor["name"]: tensor["shape"] for tensor in receipts[-1]["tensors"]}
    assert (shapes["first.weight"], shapes["last.weight"]) == ([8, 16], [3, 8])


@pytest.mark.parametrize(("stage", "message"), [(row[0], row[2]) for row in BAD.values()], ids=BAD)
def test_python_says_the_same(tmp_path, stage, message):
    """The same recipe by `laconic.recipe.run`."""
    scope: dict = {}
    exec(MODEL, scope)
    path = recipe(tmp_path, FIT, stage)

    def compress_in_python():
        finish(tmp_path, load_recipe(path).stages, model=scope["Plain"](), task=new_task())

    with pytest.raises(LaconicError) as refusal:
        compress_in_python()
    assert message in str(refusal.value)


ANALYSES = {
    "a level of 1.2": (["--levels", "0.5,1.2"], "sparsity 1.2 is outside [0, 1)"),
    "levels that are no numbers": (["--levels", "half"], "--levels half is no list of fractions"),
    "a layer that is not there": (
        ["--layer", "conv*"], "no layer matches 'conv*'; the layers are: first, last",
    ),
    "a saliency of channels for weights": (
        ["--saliency", "l1"], "L1Norm() scores channels; here weights go, by: magnitude",
    ),
    "a saliency of weights for filters": (
        ["--filters", "--saliency", "wanda"], "Wanda() scores weights; here channels go, by: l1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("words", "message"), ANALYSES.values(), ids=ANALYSES)
def test_an_analysis_that_cannot_be_meant_is_refused(
    laconic, network, tiny, tmp_path, words, message
):
    ended = laconic(
        "sensitivity", f"{network}:Plain", "--task", f"{tiny}:task", "-o", tmp_path / "s.json",
        *words,
    )  # fmt: skip
    assert (ended.code, ended.out) == (2, "")
    assert message in " ".join(ended.err.split())
    assert not (tmp_path / "s.json").exists()
