"""Packing a torch model: the file decodes to exactly the weights that were evaluated."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from laconic import runtime
from laconic.container import LacFile
from laconic.container import about as about_section
from laconic.container import program as program_section
from laconic.errors import MismatchError, UnsupportedError, UsageError
from laconic.pack import load, pack, pack_model_bytes
from laconic.pack import model as pack_model
from laconic.pack.torch_bits import TORCH_DTYPES, bits_of, tensor_of
from laconic.prune import Prune
from laconic.quantize import Affine, Uniform
from laconic.represent import plain, plain_state, represent, represent_layers
from laconic.share import Share
from laconic.zoo.lenet import LeNet5
from laconic.zoo.resnet import ResNet


def assert_holds(data, model):
    """Every tensor of the state dict is in the file, bit for bit, under its plain name."""
    with LacFile(data) as file:
        state = plain_state(model)
        assert list(file.entries) == list(state)
        for name, tensor in state.items():
            bits, dtype = bits_of(name, tensor)
            assert file.entry(name).dtype == dtype
            np.testing.assert_array_equal(file.bits(name), bits, err_msg=name)


def weights_only(model):
    return pack_model_bytes(model, program=False)


def stored(data, name):
    with LacFile(data) as file:
        return file.stored(name)


CHAINS = {
    "pruned": [Prune(0.8)],
    "shared": [Share(bits=3)],
    "pruned, then shared": [Prune(0.8), Share(bits=3)],
    "uniform": [Uniform(bits=4)],
    "uniform a channel": [Uniform(bits=4, axis=0)],
    "uniform along the second axis": [Uniform(bits=4, axis=1)],
    "affine": [Affine(bits=4, axis=0)],
    "pruned, uniform, pruned again": [Prune(0.5), Uniform(bits=4, axis=0), Prune(0.8)],
    "shared, then pruned": [Share(bits=3), Prune(0.8)],
}
FORMS = {
    "shared": "codebook",
    "pruned, then shared": "codebook",
    "shared, then pruned": "codebook",
    "uniform": "uniform",
    "uniform a channel": "uniform",
    "uniform along the second axis": "uniform",
    "affine": "uniform",
    "pruned, uniform, pruned again": "uniform",
}


@pytest.mark.parametrize("steps", CHAINS)
def test_a_chain_is_stored_as_the_values_it_gives(steps):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 8, 3)
    for step in CHAINS[steps]:
        represent(layer, type(step)(**step.configuration))
    data = weights_only(layer)
    assert_holds(data, layer)
    if steps in FORMS:
        assert stored(data, "weight").grid == FORMS[steps]


def test_a_grid_keeps_the_codes_that_training_used():
    torch.manual_seed(0)
    layer = nn.Linear(20, 10)
    step = represent(layer, Uniform(bits=4, axis=0))
    tensor = stored(weights_only(layer), "weight")
    assert np.array_equal(tensor.codes, step.codes(layer.weight).numpy())
    assert np.array_equal(tensor.tables["scale"].reshape(-1), step.scale.numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_grid_keeps_its_codes_in_half_precision(dtype):
    torch.manual_seed(0)
    layer = nn.Linear(20, 10).to(dtype)
    step = represent(layer, Affine(bits=6, axis=0))
    tensor = stored(weights_only(layer), "weight")
    assert np.array_equal(tensor.codes, step.codes(layer.weight).numpy())
    assert np.array_equal(tensor.tables["scale"].reshape(-1), step.scale.numpy())


def test_what_a_later_step_zeroed_has_code_0():
    torch.manual_seed(0)
    layer = nn.Linear(20, 10)
    represent(layer, Uniform(bits=4, axis=0))
    represent(layer, Prune(0.75))
    assert int((stored(weights_only(layer), "weight").codes == 0).sum()) >= 150


def test_pruning_and_sharing_make_the_file_smaller():
    torch.manual_seed(0)
    network = nn.Linear(300, 100)
    sizes = [len(weights_only(network))]
    for step in (Prune(0.9), Share(bits=4)):
        represent(network, step)
        sizes.append(len(weights_only(network)))
    assert sizes[1] < sizes[0] / 5
    assert sizes[2] < sizes[1] / 2.5


def test_batch_norm_leaves_the_codes_on_their_grid(normed, image):
    represent(normed.conv1, Uniform(bits=3))
    data = pack_model_bytes(normed, example_input=image)
    tensor = stored(data, "conv1.weight")
    assert tensor.grid == "uniform"
    values = normed.conv1.weight.detach()
    assert len(np.unique(tensor.values)) == len(values.unique()) <= 7


def test_a_tied_weight_is_stored_once_and_stays_tied():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(50, 50), nn.Linear(50, 50))
    apart = len(weights_only(network))
    network[1].weight = network[0].weight
    represent_layers(network, {"0.weight": Prune(0.5)})
    data = weights_only(network)
    assert_holds(data, network)
    assert len(data) < apart * 0.6
    with LacFile(data) as file:
        assert file.same_as("1.weight") == "0.weight"


EVERY_BIT = {
    name: torch.arange(256, dtype=torch.int16).to(torch.uint8).repeat(8).view(dtype).clone()
    for name, dtype in TORCH_DTYPES.items()
    if name not in ("BOOL", "F8_E8M0")
}
EVERY_BIT["BOOL"] = torch.tensor([True, False, True])
ODD = {
    "a 0-dimensional parameter": torch.tensor(3.5),
    "an empty tensor": torch.empty(0, 3),
    "an all-zero tensor": torch.zeros(10, 10),
    "minus zero": torch.tensor([0.0, -0.0, -0.0]),
    "NaN and infinities": torch.tensor([float("nan"), float("inf"), -float("inf"), 1.0]),
    "NaN with a payload": torch.tensor([0x7FC12345, -0x3EDCBB], dtype=torch.int32).view(
        torch.float32
    ),
    "subnormal numbers": torch.tensor([1e-45, -1e-40]),
    "a transposed view": torch.arange(12.0).reshape(3, 4).T,
    **{f"dtype {name}": tensor for name, tensor in EVERY_BIT.items()},
}


class Holder(nn.Module):
    def __init__(self, tensor) -> None:
        super().__init__()
        self.register_buffer("odd", tensor)


@pytest.mark.parametrize("kind", ODD)
def test_any_tensor_comes_back_bit_for_bit(kind):
    holder = Holder(ODD[kind])
    data = weights_only(holder)
    assert_holds(data, holder)
    with LacFile(data) as file:
        found = tensor_of(file.bits("odd"), file.entry("odd").dtype)
    assert found.dtype == ODD[kind].dtype
    assert np.array_equal(bits_of("found", found)[0], bits_of("odd", ODD[kind])[0])


def test_a_tensor_that_the_program_does_not_read_is_stored_too(normed, image):
    data = pack_model_bytes(normed, example_input=image)
    with LacFile(data) as file:
        assert file.array("bn1.num_batches_tracked") == normed.bn1.num_batches_tracked == 3


def test_half_precision_runs_and_comes_back():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)).half()
    data = pack_model_bytes(network, example_input=torch.zeros(1, 16).half())
    assert_holds(data, network)


def test_bfloat16_needs_to_be_packed_without_a_probe():
    network, example = nn.Linear(4, 2).bfloat16(), torch.zeros(1, 4).bfloat16()
    with pytest.raises(UnsupportedError, match=r"BF16.*\n?.*probe=False"):
        pack_model_bytes(network, example_input=example)
    assert_holds(pack_model_bytes(network, example_input=example, probe=False), network)


def test_a_network_whose_weights_are_nan_is_packed_and_checked():
    network = nn.Linear(4, 2)
    with torch.no_grad():
        network.weight[0, 0] = float("nan")
    data = pack_model_bytes(network, example_input=torch.zeros(1, 4))
    assert_holds(data, network)
    assert runtime.load(data).check_probe() == 0.0


def test_a_dtype_that_no_file_holds_is_refused_by_name():
    with pytest.raises(UnsupportedError, match=r"odd: torch.complex128 cannot be stored"):
        weights_only(Holder(torch.zeros(2, dtype=torch.complex128)))


def test_a_sparse_tensor_is_refused_by_name():
    with pytest.raises(UnsupportedError, match="odd: the tensor is not dense"):
        weights_only(Holder(torch.eye(3).to_sparse()))


def test_a_tensor_without_values_is_refused_by_name():
    with pytest.raises(UnsupportedError, match="odd: the tensor has no values"):
        weights_only(Holder(torch.zeros(2, device="meta")))


class WithState(nn.Module):
    def get_extra_state(self):
        return {"count": 3}

    def set_extra_state(self, state):
        pass


def test_state_that_is_no_tensor_is_refused_by_name():
    with pytest.raises(UnsupportedError, match="_extra_state: a dict in the state dict"):
        weights_only(WithState())


def test_a_program_needs_an_example_input():
    with pytest.raises(UsageError, match=r"example_input.*program=False"):
        pack_model_bytes(nn.Linear(2, 2))


def test_the_same_model_gives_the_same_bytes(normed, image):
    represent(normed.conv1, Share(bits=3))
    first = pack_model_bytes(normed, example_input=image)
    assert pack_model_bytes(normed, example_input=image) == first


def test_packing_does_not_change_the_model(normed, image):
    represent(normed.conv1, Prune(0.5))
    before = {name: tensor.clone() for name, tensor in normed.state_dict().items()}
    pack_model_bytes(normed, example_input=image)
    after = normed.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert normed.training
    assert normed.conv1.weight.requires_grad


@pytest.mark.parametrize(
    ("network", "shape"),
    [(LeNet5(), (3, 1, 28, 28)), (ResNet(20), (3, 3, 32, 32))],
    ids=["LeNet-5", "ResNet-20"],
)
def test_the_file_computes_what_the_network_computes(network, shape, tmp_path):
    path = tmp_path / "x.lac"
    size = pack(network, path, example_input=torch.zeros(1, *shape[1:]))
    assert size == path.stat().st_size
    images = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = network.eval()(images).numpy()
    session = runtime.load(path)
    found = session.run(images.numpy())[0]
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert session.check_probe() == 0.0


def test_a_program_that_computes_something_else_is_never_written(
    normed, image, tmp_path, monkeypatch
):
    def wrong(model, example, **keywords):
        twin = plain(model)
        with torch.no_grad():
            twin.head.weight.mul_(1.01)
        return twin

    real = pack_model.run
    monkeypatch.setattr(
        pack_model, "run", lambda model, example: real(wrong(model, example), example)
    )
    with pytest.raises(MismatchError, match=r"the program's output, against the model's, deviates"):
        pack(normed, tmp_path / "x.lac", example_input=image)
    assert list(tmp_path.iterdir()) == []


def test_a_coder_that_loses_something_is_caught_before_writing(tmp_path, monkeypatch):
    from laconic import coding

    real = coding.chosen
    monkeypatch.setattr(
        coding, "chosen", lambda codes, preset: real(codes ^ codes.dtype.type(1), preset)
    )
    with pytest.raises(MismatchError, match=r"weight: the coder .* does not give back its values"):
        pack(nn.Linear(3, 2), tmp_path / "x.lac", program=False)
    assert list(tmp_path.iterdir()) == []


def about_of(data):
    with LacFile(data) as file:
        section = file.section("about")
        return None if section is None else about_section.decode(section)


def test_the_section_about_names_the_steps_and_what_the_caller_adds():
    layer = nn.Linear(10, 10)
    represent(layer, Prune(0.9))
    represent(layer, Share(bits=2))
    data = pack_model_bytes(layer, program=False, about={"labels": ["cat", "Käfer"]})
    assert about_of(data) == {
        "steps": {"weight": ["Prune(sparsity=0.9)", "Share(bits=2, start='linear')"]},
        "labels": ["cat", "Käfer"],
    }
    assert about_of(pack_model_bytes(layer, program=False, about=False)) is None


def test_a_model_without_steps_has_no_section_about():
    assert about_of(weights_only(nn.Linear(2, 2))) is None


def test_something_that_is_no_json_in_about_is_wrong_use():
    with pytest.raises(UsageError, match=r"about: .*not JSON serializable"):
        pack_model_bytes(nn.Linear(2, 2), program=False, about={"classes": {1, 2}})


def test_the_program_reads_only_what_the_file_has(normed, image):
    data = pack_model_bytes(normed, example_input=image)
    with LacFile(data) as file:
        program = program_section.decode(file.section("program"), list(file.entries))
        assert set(program.free_names()) <= set(file.entries)


def test_a_packed_model_loads_into_a_fresh_one(normed, image, tmp_path):
    represent(normed.conv1, Uniform(bits=4, axis=0))
    pack(normed, tmp_path / "x.lac", example_input=image)
    fresh = type(normed)()
    report = load(tmp_path / "x.lac", into=fresh)
    assert report.missing == report.unexpected == ()
    assert report.probe_deviation < 1e-5
    for name, tensor in plain_state(normed).items():
        assert torch.equal(fresh.state_dict()[name], tensor), name


def test_about_is_json_that_others_can_read():
    layer = nn.Linear(4, 4)
    represent(layer, Prune(0.5))
    import zlib

    with LacFile(weights_only(layer)) as file:
        section = file.section("about")
    assert json.loads(zlib.decompress(section[1:], -15)) == {
        "steps": {"weight": ["Prune(sparsity=0.5)"]}
    }


def test_a_model_that_returns_a_parameter_is_packed_and_loaded(tmp_path):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return x * self.scale, self.scale

    pack(Scaled(), tmp_path / "x.lac", example_input=torch.zeros(2, 3))
    assert load(tmp_path / "x.lac", into=Scaled()).probe_deviation == 0
