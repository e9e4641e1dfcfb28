"""The table of a Deep Compression study, on receipts of our own making and on a tiny network."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from laconic import zoo
from laconic.measure import Latency, Receipt, TensorRecord
from laconic.pack import pack
from laconic.prune import Prune
from laconic.recipe import Recipe, Stage, Watcher, load_recipe
from laconic.represent import represent
from laconic.share import Share
from laconic.studies import STUDIES, lenet
from laconic.studies.lenet import Published

TINY = Path(__file__).parents[1] / "recipe" / "tiny.py"
PUBLISHED = Published(
    error="1.64 %", pruned_error="1.59 %", weights="267K", pruned_weights="22K",
    shared_factor="32×", factor="40×, 27 KB", final_error="1.58 %", bytes_goal=27_000,
    error_goal=1.7,
)  # fmt: skip
DENSE = Receipt(
    size_bytes=1_000_000, float32_bytes=1_066_440, parameters=266_610, nonzeros=266_610,
    macs=266_200, effective_macs=266_200, peak_memory_bytes=1,
    latency=Latency(1.0, 1.0, 1.0, 1, 1, ""), metric_name="error_percent", higher_is_better=False,
    metric={"validation": 1.9, "test": 1.56}, stage=1, kind="fit", arguments={}, seconds=1.0,
    seed=0, versions={}, tensors=[TensorRecord("w", [4], "F32", [], "plain raw", 16, 4, 4, 4)],
)  # fmt: skip


def restricted(*steps: str, **changes) -> Receipt:
    tensors = [replace(DENSE.tensors[0], steps=list(steps), size_bytes=150)]
    return replace(DENSE, tensors=tensors, metric={"validation": 1.8}, **changes)


def a_run(*, nonzeros: int = 20_000, size: int = 24_764, error: float = 1.54) -> list[Receipt]:
    share = "Share(bits=5, start='linear')"
    last = restricted("Prune(sparsity=0.9)", share, kind="fit", size_bytes=size)
    return [
        replace(DENSE, kind="given", metric={"validation": 90.0}),
        DENSE,
        restricted("Prune(sparsity=0.9)", kind="prune", nonzeros=nonzeros + 5),
        restricted("Prune(sparsity=0.9)", kind="fit", nonzeros=nonzeros),
        restricted("Prune(sparsity=0.9)", share, kind="share"),
        replace(last, metric={**last.metric, "test": error}),
    ]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """A shared weight of 200 × 50 with 90 % of zeros, and a bias."""
    torch.manual_seed(0)
    layer = nn.Linear(50, 200)
    represent(layer, Prune(0.9))
    represent(layer, Share(bits=5))
    path = tmp_path_factory.mktemp("study") / "x.lac"
    pack(layer, path, program=False)
    return path


def table(receipts: list[Receipt], file: Path, short: bool = False) -> dict[str, lenet.Row]:
    return {row.claim: row for row in lenet._table(receipts, file, PUBLISHED, short)}


PRUNED = "pruned: weights left (biases counted)"
SIZE = "the .lac file, everything counted"
AGAINST_DENSE = "test error of the file against the dense network"
ERROR = "test error of the file"


def test_the_table_sets_published_figures_beside_ours(file):
    rows = table(a_run(), file)
    assert rows["dense test error"] == lenet.Row("dense test error", "1.64 %", "", "1.56 %", None)
    assert rows["dense weights"].ours == "266,610"
    assert rows[PRUNED] == lenet.Row(PRUNED, "22K", "≥ 12× fewer", "20,000, 13.3× fewer", True)
    assert rows["pruned and retrained: validation error (dense: 1.90 %)"].ours == "1.80 %"
    assert rows[SIZE] == lenet.Row(
        SIZE, "40×, 27 KB", "≤ 27,000 bytes", "24,764 bytes, 43.1×", True
    )
    assert rows[AGAINST_DENSE] == lenet.Row(
        AGAINST_DENSE, "1.58 %", "≤ dense + 0.1 points = 1.66 %", "1.54 % (-0.02)", True
    )
    assert rows[ERROR].met is True
    assert all(row.met is not False for row in rows.values())


@pytest.mark.parametrize(
    ("change", "claim", "met"),
    [
        pytest.param({"nonzeros": 22_217}, PRUNED, True, id="just twelve times fewer"),
        pytest.param({"nonzeros": 22_218}, PRUNED, False, id="not quite twelve times fewer"),
        pytest.param({"size": 27_000}, SIZE, True, id="a file that just fits"),
        pytest.param({"size": 27_001}, SIZE, False, id="a byte too much"),
        pytest.param({"error": 1.56 + 0.1}, AGAINST_DENSE, True, id="a tenth of a point more"),
        pytest.param({"error": 1.67}, AGAINST_DENSE, False, id="an error more than that"),
        pytest.param({"error": 1.7}, ERROR, True, id="the allowed error"),
        pytest.param({"error": 1.71}, ERROR, False, id="more than the allowed error"),
    ],
)
def test_a_goal_is_met_up_to_its_bound(file, change, claim, met):
    assert table(a_run(**change), file)[claim].met is met


def test_the_short_form_has_goals_of_its_own(file):
    rows = table(a_run(error=9.9, size=29_700), file, short=True)
    assert rows[AGAINST_DENSE].met is True
    assert (rows[SIZE].met, rows[SIZE].goal) == (True, "≤ 29,700 bytes")
    assert table(a_run(size=29_701), file, short=True)[SIZE].met is False
    assert rows[AGAINST_DENSE].goal == "≤ 10.00 %"
    assert ERROR not in rows
    assert table(a_run(error=10.1), file, short=True)[AGAINST_DENSE].met is False


def test_without_an_error_goal_there_is_no_such_row(file):
    rows = lenet._table(a_run(), file, replace(PUBLISHED, error_goal=None), False)
    assert ERROR not in [row.claim for row in rows]


def test_sharing_and_huffman_are_told_apart(file):
    shared = lenet.bytes_without_huffman(file)
    rows = table(a_run(), file)
    sharing = rows["+ sharing: factor (gaps and codes at fixed width, codebooks, biases)"]
    assert sharing.ours == f"{1_066_440 / shared:.1f}×, {shared:,} bytes"
    huffman = rows["+ Huffman: saving of the coded weights against fixed width"]
    assert huffman.ours == f"{100 * (1 - 150 / shared):.1f} %"


def test_bytes_at_fixed_width_count_codes_gaps_codebook_and_bias(file):
    """1,000 weights are left: codes of 5 bits, gaps of 3 to 6, 31 centroids, 200 biases."""
    found = lenet.bytes_without_huffman(file)
    assert 4 * 31 + 4 * 200 + 1000 * (5 + 3) / 8 < found < 4 * 31 + 4 * 200 + 1000 * (5 + 6) / 8


@pytest.mark.parametrize(
    ("codes", "entries", "size"),
    [
        pytest.param([1, 1, 1, 1], 1, 1, id="no gaps: four times one bit of gap and one of code"),
        pytest.param([0] * 7 + [3], 3, 1, id="a gap of seven: three bits and two"),
        pytest.param([0] * 8 + [3], 3, 1, id="a gap of eight: four bits and two"),
        pytest.param([0] * 100, 3, 0, id="zeros alone"),
    ],
)
def test_gaps_and_codes_at_fixed_width(codes, entries, size):
    assert lenet.gap_bytes(np.array(codes), entries) == size


def test_the_width_of_gaps_is_the_best_one():
    """99 neighbours and one gap of 1,000: fillers at narrow gaps cost less than wide gaps."""
    codes = np.concatenate([np.ones(99, int), np.zeros(1000, int), np.ones(1, int)])
    by_width = [(100 + (1000 >> width)) * (width + 1) for width in range(1, 17)]
    assert lenet.gap_bytes(codes, 1) == -(-min(by_width) // 8)


def test_the_short_form_trains_each_stage_for_one_epoch():
    recipe = Recipe(
        (Stage("fit", {"epochs": 9, "learning_rate": 1.0}), Stage("share", {"bits": 5})), 3
    )
    assert lenet.shortened(recipe) == Recipe(
        (Stage("fit", {"epochs": 1, "learning_rate": 1.0}), Stage("share", {"bits": 5})), 3
    )


@pytest.mark.parametrize("name", ["lenet-300-100-deep-compression", "lenet5-deep-compression"])
def test_every_lenet_study_has_a_recipe_that_fits_its_network(name):
    model = zoo.resolve_model(f"zoo:{name.removesuffix('-deep-compression')}")
    names = {key.rpartition(".")[0] for key, _ in model.named_parameters()}
    assert {s.kind for s in load_recipe(name).stages} == {"fit", "prune", "share"}
    patterns = {
        pattern
        for stage in load_recipe(name).stages
        for value in stage.arguments.values()
        if isinstance(value, dict)
        for pattern in value
    }
    assert all(any(one.startswith(p.rstrip("*")) for one in names) for p in patterns)
    assert 0 < STUDIES[name].minutes <= 20


def test_the_short_form_runs_end_to_end_and_goes_on_from_its_folder(tmp_path, monkeypatch):
    asked = []

    def resolve_task(text):
        asked.append(zoo.resolve_task(f"{TINY}:task"))
        return asked[-1]

    recipe = Recipe(
        (
            Stage("fit", {"epochs": 5, "learning_rate": 0.01}),
            Stage("prune", {"sparsity": 0.8}),
            Stage("fit", {"epochs": 5}),
            Stage("share", {"bits": 3}),
            Stage("fit", {"epochs": 5}),
        )
    )

    def resolve_model(text):
        return zoo.resolve_model(f"{TINY}:model")

    tiny = SimpleNamespace(resolve_model=resolve_model, resolve_task=resolve_task)
    monkeypatch.setattr(lenet, "zoo", tiny)
    monkeypatch.setattr(lenet, "load_recipe", lambda name: recipe)
    kinds = []
    watcher = Watcher(on_receipt=lambda receipt: kinds.append(receipt.kind))
    rows = lenet.compare("tiny", PUBLISHED, watcher, True, tmp_path).rows
    assert kinds == ["fit", "prune", "fit", "share", "fit"]
    assert rows[1].ours == "643"
    size = (tmp_path / "tiny.lac").stat().st_size
    assert f"{size:,} bytes, {4 * 643 / size:.1f}×" in [row.ours for row in rows]
    again = lenet.compare("tiny", PUBLISHED, watcher, True, tmp_path).rows
    assert again == rows
    assert "train" not in asked[1].read
    assert len(kinds) == 5
