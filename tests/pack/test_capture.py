"""Capturing: the program reads the state dict's own tensors, is small, and changes nothing."""

import copy
import warnings

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from laconic.container import program as program_section
from laconic.errors import UnsupportedError, UsageError
from laconic.pack import capture
from laconic.prune import Prune
from laconic.quantize import Uniform
from laconic.represent import plain_state, represent
from laconic.runtime import NumpyExecutor
from laconic.zoo.lenet import LeNet5
from laconic.zoo.resnet import ResNet


def computed(program, model, *inputs):
    """The program's outputs in NumPy, with the model's own tensors."""
    tensors = {name: value.numpy() for name, value in plain_state(model).items()}
    executor = NumpyExecutor(program, tensors)
    return executor.run({v.name: x.numpy() for v, x in zip(program.inputs, inputs, strict=True)})


def operators(program):
    return [node.operator for node in program.nodes]


def section_bytes(program, model):
    return len(program_section.encode(program, list(plain_state(model))))


def test_it_computes_what_the_model_computes_for_another_batch_size(normed, image):
    program = capture(normed, image)
    images = torch.cat([image, image * 2, -image])
    with torch.no_grad():
        expected = normed.eval()(images)
    found = computed(program, normed, images)[0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_every_tensor_it_reads_is_one_of_the_state_dict_by_name(normed, image):
    program = capture(normed, image)
    unread = set(normed.state_dict()) - set(program.free_names())
    assert unread == {"bn1.num_batches_tracked"}
    assert set(program.free_names()) <= set(normed.state_dict())


def test_batch_norm_is_not_folded_into_the_convolution(normed, image):
    program = capture(normed, image)
    assert operators(program)[:3] == ["Conv", "BatchNormalization", "Relu"]
    assert program.nodes[0].inputs == ("image", "conv1.weight")


def test_nothing_large_hides_among_the_constants(normed, image):
    program = capture(normed, image)
    assert sum(array.size for array in program.constants.values()) <= 10


def test_attributes_that_onnx_defaults_are_dropped(normed, image):
    nodes = {node.inputs[1]: node for node in capture(normed, image).nodes if len(node.inputs) > 1}
    assert nodes["conv1.weight"].attributes == {"pads": (1, 1, 1, 1)}
    assert nodes["conv2.weight"].attributes == {"strides": (2, 2)}
    assert nodes["bn1.weight"].attributes == {}
    assert nodes["head.weight"].attributes == {"transB": 1}


def test_an_attribute_that_differs_from_the_default_stays():
    network = nn.Sequential(nn.BatchNorm1d(3, eps=0.5), nn.LeakyReLU(0.3))
    nodes = capture(network, torch.zeros(2, 3)).nodes
    assert nodes[0].attributes == {"epsilon": 0.5}
    assert nodes[1].attributes["alpha"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("network", "shape", "limit"),
    [(LeNet5(), (1, 1, 28, 28), 150), (ResNet(20), (1, 3, 32, 32), 700)],
    ids=["LeNet-5 in 150 bytes", "ResNet-20 in 700 bytes"],
)
def test_a_program_is_small(network, shape, limit):
    assert section_bytes(capture(network, torch.zeros(shape)), network) < limit


def test_the_model_stays_as_it_was(normed, image):
    represent(normed.conv1, Prune(0.5))
    represent(normed.conv1, Uniform(bits=4))
    normed.head.weight.grad = torch.ones_like(normed.head.weight)
    before = copy.deepcopy(normed.state_dict())
    state = torch.get_rng_state()
    capture(normed, image)
    assert torch.equal(torch.get_rng_state(), state)
    assert normed.training
    assert normed.bn1.training
    assert torch.equal(normed.head.weight.grad, torch.ones_like(normed.head.weight))
    assert all(torch.equal(before[k], v) for k, v in normed.state_dict().items())
    assert normed.conv1.parametrizations["weight"].original.requires_grad


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


def test_a_model_that_draws_numbers_leaves_the_generator_as_it_was():
    state = torch.get_rng_state()
    capture(Noisy(), torch.zeros(2, 3))
    assert torch.equal(torch.get_rng_state(), state)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)
        self.factor = torch.tensor([0.5, 1.5, 2.0], dtype=torch.bfloat16)

    def forward(self, x):
        return self.head(x) * self.factor


def test_a_bfloat16_constant_is_float32_and_a_cast():
    program = capture(Scaled().bfloat16(), torch.zeros(2, 3, dtype=torch.bfloat16))
    casts = [node for node in program.nodes if node.operator == "Cast"]
    assert [node.attributes for node in casts] == [{"to": onnx.TensorProto.BFLOAT16}]
    assert program.constants[casts[0].inputs[0]].tolist() == [0.5, 1.5, 2.0]


def test_it_is_silent_about_the_exporter(normed, image, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        capture(normed, image)
    assert capfd.readouterr() == ("", "")


class TwoInputs(nn.Module):
    """An input named like a parameter, one returned unchanged, tied weights, a constant array."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
        self.same = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.offset = torch.tensor([0.5, 1.5, 2.5])

    def forward(self, x, y):
        hidden = self.second(self.first(x + self.x)) + self.offset * y[:, None] + self.same
        return {"hidden": hidden, "input": x}


def test_awkward_names_do_not_meet():
    torch.manual_seed(0)
    network, inputs = TwoInputs(), (torch.randn(2, 3), torch.randn(2))
    program = capture(network, inputs)
    assert [value.name for value in program.inputs] == ["x_", "y"]
    assert [value.name for value in program.outputs] == ["output_0", "output_1"]
    assert {"x", "same"} <= set(program.free_names())
    with torch.no_grad():
        expected = network(*inputs)
    hidden, same = computed(program, network, *inputs)
    np.testing.assert_allclose(hidden, expected["hidden"].numpy(), rtol=1e-5)
    np.testing.assert_array_equal(same, inputs[0].numpy())


def test_an_array_of_the_class_is_a_constant_of_the_program():
    program = capture(TwoInputs(), (torch.zeros(2, 3), torch.zeros(2)))
    assert any(np.array_equal(a, np.float32([0.5, 1.5, 2.5])) for a in program.constants.values())


class Chooser(nn.Module):
    """A branch that torch can export."""

    def __init__(self) -> None:
        super().__init__()
        self.yes = nn.Linear(3, 3)
        self.no = nn.Linear(3, 3)

    def forward(self, x):
        return torch.cond(
            x.sum() > 0, lambda x: (self.yes(x), x.clone()), lambda x: (self.no(x) * 2, x + 1), (x,)
        )


def test_a_branch_becomes_an_if_that_survives_the_file():
    network = Chooser()
    program, names = capture(network, torch.zeros(2, 3)), list(network.state_dict())
    assert operators(program)[-1] == "If"
    assert set(program.free_names()) == set(names)
    data = program_section.encode(program, names)
    again = program_section.decode(data, names)
    assert program_section.encode(again, names) == data
    assert set(again.free_names()) == set(names)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_control_flow_on_data_is_refused_with_the_reason(capfd):
    with pytest.raises(UnsupportedError, match=r"branches on values of its data.*program=False"):
        capture(Branching(), torch.zeros(2, 3))
    assert capfd.readouterr() == ("", "")


class OneRow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(x.view(1, -1))


def test_a_model_for_one_batch_size_needs_to_say_so():
    with pytest.raises(UnsupportedError, match="dynamic_batch=False"):
        capture(OneRow(), torch.zeros(1, 3))
    program = capture(OneRow(), torch.zeros(1, 3), dynamic_batch=False)
    assert program.inputs[0].shape == (1, 3)


def test_an_example_on_which_the_model_fails_is_wrong_use():
    with pytest.raises(UsageError, match=r"does not run on an example input of shape \[1, 4\]"):
        capture(nn.Linear(3, 2), torch.zeros(1, 4))


def test_an_example_that_is_no_tensor_is_wrong_use():
    with pytest.raises(UsageError, match="example_input holds a list"):
        capture(nn.Linear(3, 2), ([1.0, 2.0, 3.0],))
