"""What a packed network costs and what it is worth."""

import numpy as np
import pytest
import torch
from torch import nn

from laconic import runtime, zoo
from laconic.container import LacFile
from laconic.errors import DataError, FormatError, MismatchError
from laconic.measure.file import measure_file, score_file
from laconic.measure.tensors import tensor_records
from laconic.pack import load, pack
from laconic.prune import Prune
from laconic.represent import represent
from laconic.share import Share
from laconic.train import evaluate
from laconic.train.array_task import ArrayTask


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        pytest.param("lenet300", 266_610, 784 * 300 + 300 * 100 + 100 * 10, id="LeNet-300-100"),
        pytest.param(
            "lenet5",
            431_080,
            24 * 24 * 20 * 25 + 8 * 8 * 50 * 20 * 25 + 800 * 500 + 500 * 10,
            id="LeNet-5",
        ),
    ],
)
def test_a_dense_lenet_is_counted_exactly(request, images, name, parameters, macs):
    path = request.getfixturevalue(name)
    measured = measure_file(path, images, count=3)
    assert measured.size_bytes == path.stat().st_size
    assert measured.float32_bytes == 4 * parameters
    assert (measured.parameters, measured.nonzeros) == (parameters, parameters)
    assert (measured.macs, measured.effective_macs) == (macs, macs)
    assert measured.peak_memory_bytes > 4 * parameters
    assert (measured.metric_name, measured.higher_is_better) == ("error_percent", False)


def test_the_metric_is_that_of_torch(lenet5, images):
    model = zoo.resolve_model("zoo:lenet5")
    load(lenet5, into=model)
    measured = measure_file(lenet5, images, splits=("validation", "test"), count=1)
    assert measured.metric == {
        split: evaluate(model, images, split) for split in ("validation", "test")
    }


def test_known_values_are_taken_over_and_other_splits_are_not_read(lenet300, images):
    measured = measure_file(
        lenet300.read_bytes(), images, splits=(), metric={"validation": 12.5}, count=1
    )
    assert measured.metric == {"validation": 12.5}


def test_tied_weights_count_once_and_equal_ones_twice(tied):
    """One weight of 64, two biases of 8 that are zero, gain and shift of 8, two statistics of 8."""
    rows, labels = torch.ones(4, 8), torch.arange(4)
    measured = measure_file(tied, ArrayTask(rows, labels, rows, labels, validation_fraction=0.5))
    assert measured.parameters == 64 + 8 + 8 + 8 + 8
    assert measured.nonzeros == 64 + 8  # biases and shift are zero
    assert measured.float32_bytes == 4 * (measured.parameters + 16)
    assert measured.macs == 2 * 64


def test_a_file_without_program_is_no_network(tmp_path, images):
    pack(nn.Linear(2, 2), tmp_path / "x.lac", program=False)
    with pytest.raises(MismatchError, match="2 tensors and no program"):
        measure_file(tmp_path / "x.lac", images)


def test_a_damaged_file_is_refused_with_the_offset(lenet300, images):
    data = bytearray(lenet300.read_bytes())
    data[-30] ^= 1
    with pytest.raises(FormatError, match=r"offset \d+: section probe: the checksum is wrong"):
        measure_file(bytes(data), images)


class Sum(nn.Module):
    def forward(self, left, right):
        return left + right


def test_a_network_with_two_inputs_fits_no_task(tmp_path, images):
    pack(Sum(), tmp_path / "x.lac", example_input=(torch.ones(1, 2), torch.ones(1, 2)))
    with pytest.raises(MismatchError) as caught:
        measure_file(tmp_path / "x.lac", images)
    assert str(caught.value) == "a task has one input, the network has 2: left, right"


def rows_task(width: int) -> ArrayTask:
    rows, labels = torch.ones(4, width), torch.arange(4)
    return ArrayTask(rows, labels, rows, labels, validation_fraction=0.5)


def test_a_task_with_other_inputs_is_refused(tied):
    with pytest.raises(MismatchError, match="dimension 1 is 5, not 8"):
        measure_file(tied, rows_task(5))


class Pairs(ArrayTask):
    def score(self, outputs, targets):
        return outputs.reshape(len(targets), 3)[:, 0]


def test_a_task_that_cannot_score_the_outputs_is_refused(tied):
    rows, labels = torch.ones(4, 8), torch.arange(4)
    with pytest.raises(MismatchError) as caught:
        measure_file(tied, Pairs(rows, labels, rows, labels, validation_fraction=0.5))
    assert str(caught.value).startswith("the task cannot score outputs of shape [4, 8]: ")


class NoTest(ArrayTask):
    def batches(self, split, *, seed=0):
        return iter(()) if split == "test" else super().batches(split, seed=seed)


def test_a_split_without_examples_is_named(tied):
    rows, labels = torch.ones(4, 8), torch.arange(4)
    task = NoTest(rows, labels, rows, labels, validation_fraction=0.5)
    with pytest.raises(DataError, match="the task has no examples in the split 'test'"):
        score_file(runtime.load(tied), task, "test")


def test_every_tensor_has_a_record_of_what_it_is(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 30), nn.BatchNorm1d(30))
    represent(model[0], Prune(0.75))
    represent(model[0], Share(bits=3))
    size = pack(model, tmp_path / "x.lac", program=False)
    with LacFile(tmp_path / "x.lac") as file:
        records = {record.name: record for record in tensor_records(file)}
        weight = file.array("0.weight")
    shared = records["0.weight"]
    assert shared.steps == ["Prune(sparsity=0.75)", "Share(bits=3, start='linear')"]
    assert (shared.shape, shared.dtype, shared.coder.split()[0]) == ([30, 40], "F32", "codebook")
    assert (shared.parameters, shared.nonzeros, shared.distinct) == (1200, 300, 8)
    assert 0 < shared.size_bytes < size
    assert len(shared.bins) == 65
    assert sum(shared.counts) == shared.nonzeros
    assert shared.bins[0] == pytest.approx(weight.min(), rel=1e-5)
    assert shared.bins[-1] == pytest.approx(weight.max(), rel=1e-5)
    assert records["1.running_mean"].steps == ["same as 1.bias"]
    assert records["1.running_mean"].nonzeros == 0
    assert (records["1.running_mean"].bins, records["1.running_mean"].counts) == ([], [])
    counter = records["1.num_batches_tracked"]
    assert (counter.shape, counter.dtype, counter.parameters, counter.bins) == ([], "I64", 1, [])


def odd_values(tmp_path, values: torch.Tensor):
    module = nn.Module()
    module.register_buffer("odd", values)
    pack(module, tmp_path / "x.lac", program=False)
    with LacFile(tmp_path / "x.lac") as file:
        return tensor_records(file)[0]


@pytest.mark.parametrize(
    ("values", "nonzeros", "counted"),
    [
        pytest.param([1.0, float("nan"), float("inf"), 0.0], 3, 1, id="NaN and infinity"),
        pytest.param([2.0, 2.0, 2.0], 3, 3, id="one value"),
        pytest.param([0.0, 0.0], 0, 0, id="zeros alone"),
        pytest.param([-3e38, 3e38], 2, 2, id="the whole range of float32"),
        pytest.param([1e-45, 3e-45], 2, 2, id="subnormal numbers"),
        pytest.param([], 0, 0, id="nothing"),
    ],
)
def test_a_histogram_counts_what_is_finite_and_not_zero(tmp_path, values, nonzeros, counted):
    record = odd_values(tmp_path, torch.tensor(values))
    assert record.nonzeros == nonzeros
    assert sum(record.counts) == counted
    assert np.isfinite(record.bins).all()
    assert record.bins == sorted(record.bins)


def test_a_dtype_that_numpy_lacks_is_counted_too(tmp_path):
    record = odd_values(tmp_path, torch.tensor([0.0, 1.5, -2.0], dtype=torch.bfloat16))
    assert (record.dtype, record.parameters, record.nonzeros) == ("BF16", 3, 2)
