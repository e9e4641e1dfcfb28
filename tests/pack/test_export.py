"""ONNX files that ONNX Runtime opens and that compute what the network computes."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from laconic.container import pack_bytes
from laconic.container import program as program_section
from laconic.errors import FormatError, MismatchError
from laconic.pack import export_onnx, pack
from laconic.pack.torch_program import capture
from laconic.prune import Prune
from laconic.quantize import Uniform
from laconic.represent import represent
from laconic.share import Share
from laconic.zoo.lenet import LeNet5
from laconic.zoo.resnet import ResNet


def exported(model, example, folder, **keywords):
    """The model through a .lac file into an ONNX Runtime session."""
    pack(model, folder / "x.lac", example_input=example, **keywords)
    size = export_onnx(folder / "x.lac", folder / "x.onnx")
    assert size == (folder / "x.onnx").stat().st_size
    return onnxruntime.InferenceSession(folder / "x.onnx", providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("network", "shape"),
    [(LeNet5(), (3, 1, 28, 28)), (ResNet(20), (3, 3, 32, 32))],
    ids=["LeNet-5", "ResNet-20"],
)
def test_onnx_runtime_computes_what_torch_computes(network, shape, tmp_path):
    represent(network.conv1, Uniform(bits=6, axis=0))
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    session = exported(network, images[:1], tmp_path)
    with torch.no_grad():
        expected = network.eval()(images).numpy()
    found = session.run(None, {"images": images.numpy()})[0]
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_weights_in_the_onnx_file_are_those_of_the_network_bit_for_bit(normed, image, tmp_path):
    represent(normed.conv1, Prune(0.5))
    represent(normed.conv1, Share(bits=3))
    exported(normed, image, tmp_path)
    model = onnx.load(tmp_path / "x.onnx")
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    weight = normed.conv1.weight.detach().numpy()
    assert np.array_equal(arrays["conv1.weight"].view(np.uint32), weight.view(np.uint32))


def test_inputs_and_outputs_keep_names_and_a_free_batch(normed, image, tmp_path):
    session = exported(normed, image, tmp_path)
    assert [(v.name, v.shape) for v in session.get_inputs()] == [("image", ["batch", 2, 9, 9])]
    assert [v.name for v in session.get_outputs()] == ["output"]


def test_a_branch_computes_the_same(tmp_path):
    class Chooser(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 3)

        def forward(self, x):
            return torch.cond(
                x.sum() > 0, lambda x: self.head(x) * 2, lambda x: self.head(x) - 1, (x,)
            )

    torch.manual_seed(0)
    network, example = Chooser(), torch.ones(1, 3)
    session = exported(network, example, tmp_path, probe=False)
    for x in (torch.ones(2, 3), -torch.ones(2, 3)):
        with torch.no_grad():
            expected = network(x).numpy()
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], expected, rtol=1e-5)


def test_bfloat16_weights_are_kept(tmp_path):
    network, example = nn.Linear(3, 2).bfloat16(), torch.zeros(1, 3).bfloat16()
    pack(network, tmp_path / "x.lac", example_input=example, probe=False)
    export_onnx(tmp_path / "x.lac", tmp_path / "x.onnx")
    tensors = {t.name: t for t in onnx.load(tmp_path / "x.onnx").graph.initializer}
    assert tensors["weight"].data_type == onnx.TensorProto.BFLOAT16
    bits = network.weight.detach().view(torch.int16).numpy().tobytes()
    assert tensors["weight"].raw_data == bits


def test_weights_alone_are_no_network(tmp_path):
    pack(nn.Linear(2, 2), tmp_path / "x.lac", program=False)
    with pytest.raises(MismatchError, match="no program, so there is no network to export"):
        export_onnx(tmp_path / "x.lac", tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_a_program_that_is_no_valid_onnx_is_refused_and_leaves_no_output(tmp_path):
    class Positive(nn.Module):
        def forward(self, x):
            return torch.relu(x)

    program = capture(Positive(), torch.zeros(1, 3))
    (node,) = program.nodes
    twice = replace(program, nodes=[replace(node, inputs=(*node.inputs, *node.inputs))])
    section = program_section.encode(twice, [])
    (tmp_path / "x.lac").write_bytes(pack_bytes([], {"program": section}))
    with pytest.raises(FormatError, match="the program is not valid ONNX: "):
        export_onnx(tmp_path / "x.lac", tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()
