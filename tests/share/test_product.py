"""Product and residual quantization: error against bytes, zeros, gradients, files that run."""

import copy

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import nn

from laconic import runtime
from laconic.container import LacFile
from laconic.errors import UnsupportedError, UsageError
from laconic.measure.tensors import tensor_records
from laconic.pack import pack
from laconic.pack.model import pack_model_bytes
from laconic.prune import Prune, PruneBlocks
from laconic.represent import represent, select_places
from laconic.share import Product, Residual, Share, vector_kmeans


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def correlated(rows, columns=16):
    """Four columns at a time move together."""
    common = gaussian(rows, columns // 4).repeat_interleave(4, 1)
    return common + 0.2 * gaussian(rows, columns, seed=1)


def layer_of(weight):
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


def file_bytes(layer):
    return len(pack_model_bytes(layer, program=False, about=False))


def error(layer, weight):
    return float((layer.weight.detach() - weight).square().mean())


def test_on_correlated_columns_it_beats_scalar_k_means_in_error_and_bytes():
    """Codes and codebooks counted: the length of the file, where the coder sees neighbours too."""
    weight = correlated(8192)
    product, scalar, dense = (layer_of(weight) for _ in range(3))
    represent(product, Product(code_bits=6, length=4))
    represent(scalar, Share(bits=3, start="optimal"))
    assert error(product, weight) < 0.9 * error(scalar, weight)
    assert file_bytes(product) < file_bytes(scalar)
    assert file_bytes(product) < file_bytes(dense) / 10
    with LacFile(pack_model_bytes(product, program=False)) as file:
        stored = file.stored("weight")
        assert stored.grid == "products"
        assert stored.codes.shape == (1, 8192, 4)
        np.testing.assert_array_equal(file.array("weight"), product.weight.detach().numpy())


def test_each_stage_of_residuals_lowers_the_error():
    weight = correlated(256)
    errors = []
    for stages in (1, 2, 3, 4):
        layer = layer_of(weight)
        represent(layer, Residual(code_bits=3, length=8, stages=stages))
        errors.append(error(layer, weight))
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < 0.5 * errors[0]
    single = layer_of(weight)
    represent(single, Product(code_bits=3, length=8))
    assert error(single, weight) == errors[0]


def test_a_segment_takes_its_nearest_entry_and_an_entry_is_the_mean_of_its_segments():
    weight = gaussian(300, 6)
    step = Product(code_bits=3, length=3)
    step.fit(weight)
    cut, books = weight.reshape(300, 2, 3), step.codebooks.detach()[0]
    codes = step.codes(weight)[0]
    for segment in range(2):
        distances = torch.cdist(cut[:, segment], books[segment])
        assert torch.equal(distances.argmin(1) + 1, codes[:, segment].long())
        for place in range(7):
            members = cut[codes[:, segment] == place + 1, segment]
            torch.testing.assert_close(books[segment, place], members.mean(0))


@pytest.mark.parametrize("clusters", [3, 15, 40])
def test_its_k_means_comes_as_low_as_scikit_learns(clusters):
    points = gaussian(400, 4).double().numpy()
    centroids, places = vector_kmeans(points, clusters)
    own = np.square(points - centroids[places]).sum()
    theirs = KMeans(clusters, n_init=1, random_state=0).fit(points).inertia_
    assert own < 1.06 * theirs
    assert set(places.tolist()) == set(range(clusters))


def test_clusters_that_run_empty_take_the_points_that_are_worst_off():
    """Many copies of one point: most of the first draws fall on others."""
    points = np.concatenate([np.zeros((50, 2)), np.arange(20).reshape(10, 2) + 5.0])
    centroids, places = vector_kmeans(points, 8)
    assert len(centroids) == 8
    assert set(places.tolist()) == set(range(8))


def test_no_more_distinct_segments_than_entries_lose_nothing():
    distinct = gaussian(7, 4)
    weight = distinct[torch.arange(40) % 7].reshape(20, 8)
    for step in (Product(code_bits=3, length=4), Residual(code_bits=3, length=4, stages=3)):
        step.fit(weight)
        assert torch.equal(step(weight), weight)


def test_the_gradient_of_an_entry_is_the_sum_over_its_segments():
    weight, slope = gaussian(60, 4), gaussian(60, 4, seed=1)
    step = Residual(code_bits=2, length=2, stages=2)
    step.fit(weight)
    (step(weight) * slope).sum().backward()
    for stage in range(2):
        for segment in range(2):
            codes = step.codes(weight)[stage, :, segment]
            own = slope[:, 2 * segment : 2 * segment + 2]
            expected = torch.stack([own[codes == place + 1].sum(0) for place in range(3)])
            torch.testing.assert_close(step.codebooks.grad[stage, segment], expected)


def test_training_lowers_the_loss_and_keeps_the_codes():
    layer, target = nn.Linear(8, 30), gaussian(30, 8)
    step = represent(layer, Product(code_bits=2, length=4))
    codes = step.assignments.clone()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.02)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        losses.append((layer.weight - target).square().sum())
        losses[-1].backward()
        optimizer.step()
    assert losses == sorted(losses, reverse=True)
    assert torch.equal(step.assignments, codes)


def test_pruned_segments_stay_zero_and_have_code_zero():
    layer = nn.Linear(12, 20)
    represent(layer, PruneBlocks(0.5, rows=1, columns=4))
    before = layer.weight.detach().clone()
    step = represent(layer, Product(code_bits=3, length=4))
    assert torch.equal(layer.weight == 0, before == 0)
    assert int((step.codes(before) == 0).sum()) == 30


def test_zeros_inside_segments_are_refused_with_the_layers_name_and_the_cure():
    layer = nn.Linear(12, 20)
    represent(layer, Prune(0.5))
    with pytest.raises(UsageError, match=r"Linear\.weight: \d+ of 60 segments of 4 .*prune-blocks"):
        represent(layer, Product(code_bits=3, length=4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Product(0, 4), r"code_bits 0 is outside 1\.\.12"),
        (lambda: Product(13, 4), r"code_bits 13 is outside 1\.\.12"),
        (lambda: Product(4, 0), "segments of 0 weights hold nothing"),
        (lambda: Residual(4, 4, 17), r"stages 17 is outside 1\.\.16"),
        (lambda: Product(4, 5).fit(gaussian(3, 12)), "lengths that divide it: 1, 2, 3, 4, 6, 12"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_rows_can_be_cut_and_columns_are_refused():
    net = nn.Sequential(nn.Linear(8, 6))
    represent(net[0], Product(code_bits=2, length=4))
    kept = copy.deepcopy(net)
    select_places(kept, {"0.weight": {0: [0, 2, 5]}, "0.bias": {0: [0, 2, 5]}})
    assert torch.equal(kept[0].weight, net[0].weight[[0, 2, 5]])
    with pytest.raises(UnsupportedError, match=r"0\.weight: .*input channels cannot be removed"):
        select_places(net, {"0.bias": {0: [1]}, "0.weight": {0: [1], 1: [0, 1, 2, 3]}})
    assert net[0].bias.shape == (6,)


def test_the_file_runs_without_torch_and_says_what_it_holds(tmp_path):
    net = nn.Sequential(nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 3)).eval()
    represent(net[0], Product(code_bits=3, length=4))
    represent(net[2], Residual(code_bits=1, length=128, stages=1))
    inputs = gaussian(5, 16)
    pack(net, tmp_path / "x.lac", example_input=inputs[:1])
    (output,) = runtime.load(tmp_path / "x.lac").run(inputs.numpy())
    np.testing.assert_allclose(output, net(inputs).detach().numpy(), rtol=1e-4, atol=1e-5)
    with LacFile(tmp_path / "x.lac") as file:
        record = next(one for one in tensor_records(file) if one.name == "0.weight")
    assert record.coder.startswith("products ")
    assert record.steps == ["Product(code_bits=3, length=4)"]
    assert record.size_bytes < 4 * record.parameters / 4


def test_where_codebooks_cost_more_than_they_save_the_file_holds_the_values():
    layer = nn.Linear(8, 4)
    represent(layer, Product(code_bits=6, length=4))
    with LacFile(pack_model_bytes(layer, program=False)) as file:
        assert file.stored("weight").grid != "products"
        np.testing.assert_array_equal(file.array("weight"), layer.weight.detach().numpy())
