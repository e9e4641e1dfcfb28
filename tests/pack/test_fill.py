"""Loading a file into a torch module: names, shapes, ties and the probe are checked first."""

import pytest
import torch
from torch import nn

from laconic.errors import FormatError, MismatchError, UsageError
from laconic.pack import load, pack
from laconic.prune import Prune
from laconic.represent import represent


@pytest.fixture
def packed(normed, image, tmp_path):
    """A file of `normed` with program and probe."""
    pack(normed, tmp_path / "x.lac", example_input=image)
    return tmp_path / "x.lac"


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_unchanged(model, before):
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_names_that_do_not_match_are_told_on_both_sides(packed, normed):
    other = type(normed)()
    other.tail = other.head
    del other.head
    before = state_of(other)
    with pytest.raises(MismatchError) as caught:
        load(packed, into=other)
    assert "the file lacks tail.weight, tail.bias of the model" in str(caught.value)
    assert "the model lacks head.weight, head.bias of the file" in str(caught.value)
    assert_unchanged(other, before)


def test_without_strict_the_rest_is_loaded_and_the_report_tells(packed, normed):
    other = type(normed)()
    other.tail = other.head
    del other.head
    report = load(packed, into=other, strict=False)
    assert report.missing == ("tail.weight", "tail.bias")
    assert report.unexpected == ("head.weight", "head.bias")
    assert report.probe_deviation is None
    assert torch.equal(other.conv1.weight, normed.conv1.weight)


def test_a_shape_that_differs_names_both_shapes(packed, normed):
    other = type(normed)()
    other.head = nn.Linear(3, 7)
    with pytest.raises(
        MismatchError, match=r"head.weight is F32 \[5, 3\] in the file, F32 \[7, 3\]"
    ):
        load(packed, into=other, strict=False)


def test_a_dtype_that_differs_is_no_match(packed, normed):
    with pytest.raises(MismatchError, match=r"in the file, F16 \[4, 2, 3, 3\] in the model"):
        load(packed, into=type(normed)().half())


def test_a_model_with_steps_is_refused(packed, normed):
    other = type(normed)()
    represent(other.conv1, Prune(0.5))
    with pytest.raises(UsageError, match=r"this one has steps on conv1.weight"):
        load(packed, into=other)


def test_a_module_that_computes_something_else_fails_the_probe_and_stays_as_it_was(packed, normed):
    class Twice(type(normed)):
        def forward(self, image):
            return super().forward(image) * 2

    other = Twice()
    before = state_of(other)
    with pytest.raises(MismatchError, match=r"probe: output 0 deviates by 1.00e\+00"):
        load(packed, into=other)
    assert_unchanged(other, before)


def test_tied_parameters_stay_tied(tmp_path):
    first = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    first[1].weight = first[0].weight
    pack(first, tmp_path / "x.lac", example_input=torch.zeros(1, 3))
    second = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    second[1].weight = second[0].weight
    load(tmp_path / "x.lac", into=second)
    assert second[1].weight is second[0].weight
    assert torch.equal(second[0].weight, first[0].weight)


def test_one_tensor_cannot_take_two_values(tmp_path):
    pack(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), tmp_path / "x.lac", program=False)
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    with pytest.raises(MismatchError, match=r"0.weight and 1.weight are one tensor in the model"):
        load(tmp_path / "x.lac", into=tied)


def test_a_damaged_file_leaves_the_module_as_it_was(packed, normed):
    data = bytearray(packed.read_bytes())
    data[-60] ^= 1
    packed.write_bytes(data)
    other = type(normed)()
    before = state_of(other)
    with pytest.raises(FormatError, match="checksum is wrong"):
        load(packed, into=other)
    assert_unchanged(other, before)


def test_the_module_stays_in_training_and_keeps_its_parameters(packed, normed):
    other = type(normed)()
    parameter = other.conv1.weight
    load(packed, into=other)
    assert other.training
    assert other.conv1.weight is parameter
    assert parameter.requires_grad


def test_without_a_probe_nothing_is_checked(normed, tmp_path):
    pack(normed, tmp_path / "x.lac", program=False)
    assert load(tmp_path / "x.lac", into=type(normed)()).probe_deviation is None
